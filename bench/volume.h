/* SPDX-License-Identifier: Apache-2.0 */
/* bench-volume: the places where its workloads run (volume-places.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct place;

/* All on image files in `dir`, the kernel's through a loop device. NULL: that cannot be had here. */
/* A volume of ours, reached through the layer. */
struct place *place_volume(const char *dir, uint64_t size);
/* The same, but not mounted; with `device` on a loop device, as the kernel's. */
struct place *place_volume_new(const char *dir, uint64_t size, bool device);
void place_mount(struct place *p);
void place_unmount(struct place *p);
/* A filesystem of the kernel's ("ext4", ...), mounted, reached by system calls. */
struct place *place_kernel(const char *dir, const char *type, uint64_t size);
/* The image itself: one large file. */
struct place *place_device(const char *dir, uint64_t size);
/* The image of a volume, to read from: the memory that its first file has. */
struct place *place_beneath(const struct place *volume);
struct place *place_free(struct place *p); /* takes NULL */

struct file;

/* What a workload does, wherever it is. Failures end the program. */
struct file *place_create(struct place *p, const char *name);
struct file *place_open(struct place *p, const char *name, bool direct);
void place_file_close(struct file *f);
void place_file_write(struct file *f, const void *buf, size_t size, uint64_t offset);
void place_file_read(struct file *f, void *buf, size_t size, uint64_t offset);
void place_file_sync(struct file *f);
void place_stat(struct place *p, const char *name);
void place_unlink(struct place *p, const char *name);
void place_sync(struct place *p);

struct bench;
/* volume-areas.c: on images in that directory, and on others on the disk of /var/tmp. */
void bench_areas(const struct bench *b, const char *dir);
/* volume-resync.c: a mirror's child that comes back is brought up to date while the mirror is used. */
void bench_resync(const struct bench *b, const char *dir);
/* volume-cpu.c: CPU time, the kernel's threads' included, of small writes, each with its fsync. */
void bench_cpu(const struct bench *b, const char *dir, uint64_t size);
/* volume-mount.c: an empty volume's memory; the time to mount one that was full of files when its process died. */
void bench_memory(const struct bench *b, const char *dir, uint64_t size);
void bench_mount(const struct bench *b, const char *dir, uint64_t size);
