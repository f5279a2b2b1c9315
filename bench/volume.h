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
/* A filesystem of the kernel's ("ext4", ...), mounted, reached by system calls. */
struct place *place_kernel(const char *dir, const char *type, uint64_t size);
/* The image itself: one large file. */
struct place *place_device(const char *dir, uint64_t size);
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
