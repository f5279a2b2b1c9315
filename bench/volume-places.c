/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the workloads run: a volume through its layer, a filesystem of the kernel's, a bare image. All
 * stand on files of the same size on one tmpfs; the kernel's need a loop device in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/volume.h"
#include "libservices/libservice.h"
#include "libservices/volume/volume.h"

struct place {
	char device[32], image[96], mount[96];
	int fd;        /* the image */
	int loop;      /* the loop device on it, or -1 */
	struct ls *ls; /* of a volume */
	int dir;       /* of a mounted filesystem */
	bool bare;
	uint64_t size, first;
	unsigned files; /* of a bare one: parts of it that were given out */
};

struct file {
	struct place *place;
	int fd;
	uint64_t base; /* of a part of a bare image */
	struct ls_inode *inode;
	struct ls_file *file;
};

#define PART (UINT64_C(256) << 20) /* as long as the largest file */
#define FIRST (UINT64_C(64) << 20) /* where the first file of a volume of 2 GiB lies, nearly */

static const struct ls_cred cred;
static const struct ls_call call = {.tenant = "bench", .cred = &cred};

static void must_ls(int r, const char *what)
{
	errno = r < 0 ? -r : 0;
	bench_must(r >= 0, what);
}

/* ---- images and devices ---------------------------------------------------------------------- */

static struct place *place_new(const char *dir, uint64_t size)
{
	struct place *p = calloc(1, sizeof(*p));
	static int count;

	bench_must(p, "memory");
	p->dir = p->loop = -1;
	snprintf(p->image, sizeof(p->image), "%s/image-%d", dir, count++);
	p->fd = open(p->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* With memory from the start: who touches a page first is not what is measured. */
	bench_must(p->fd >= 0 && posix_fallocate(p->fd, 0, size) == 0, p->image);
	return p;
}

/* For filesystems of the kernel's. */
static bool device_attach(struct place *p)
{
	struct loop_config config = {.fd = p->fd, .block_size = 4096};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number;

	if (control < 0)
		return false;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(p->device, sizeof(p->device), "/dev/loop%d", number);
	p->loop = open(p->device, O_RDWR | O_CLOEXEC);
	if (p->loop >= 0 && ioctl(p->loop, LOOP_CONFIGURE, &config) == 0)
		return true;
	if (p->loop >= 0)
		close(p->loop);
	p->loop = -1;
	return false;
}

struct place *place_free(struct place *p)
{
	if (!p)
		return NULL;
	if (p->ls)
		ls_stack_close(p->ls);
	if (p->dir >= 0)
		close(p->dir);
	if (*p->mount) {
		umount2(p->mount, MNT_DETACH);
		rmdir(p->mount);
	}
	if (p->loop >= 0) {
		ioctl(p->loop, LOOP_CLR_FD, 0);
		close(p->loop);
	}
	close(p->fd);
	if (*p->image)
		unlink(p->image);
	free(p);
	return NULL;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static void volume_make(const struct place *p)
{
	struct volume_params params = {.size = 0};
	struct json_object *config;
	struct area *area;
	char text[64], error[512] = "";

	snprintf(text, sizeof(text), "{\"file\": {\"fd\": %d}}", p->fd);
	config = json_tokener_parse(text);
	if (area_check(config, error, sizeof(error)) < 0 ||
	    area_open(config, &area, error, sizeof(error)) < 0 ||
	    volume_mkfs(area, p->image, &params, error, sizeof(error)) < 0) {
		fprintf(stderr, "bench-volume: %s\n", error);
		exit(1);
	}
	json_object_put(config);
	area_close(area);
}

struct place *place_volume_new(const char *dir, uint64_t size, bool device)
{
	struct place *p = place_new(dir, size);

	volume_make(p);
	if (device && !device_attach(p))
		return place_free(p);
	return p;
}

void place_mount(struct place *p)
{
	struct json_object *stack;
	char text[96], error[512] = "";

	if (p->loop >= 0)
		snprintf(text, sizeof(text), "{\"volume\": {\"area\": {\"file\": {\"path\": \"%s\"}}}}", p->device);
	else
		snprintf(text, sizeof(text), "{\"volume\": {\"area\": {\"file\": {\"fd\": %d}}}}", p->fd);
	stack = json_tokener_parse(text);
	if (ls_stack_open(stack, "bench", &p->ls, error, sizeof(error)) < 0) {
		fprintf(stderr, "bench-volume: %s\n", error);
		exit(1);
	}
	json_object_put(stack);
}

void place_unmount(struct place *p)
{
	p->ls = ls_stack_close(p->ls);
}

struct place *place_volume(const char *dir, uint64_t size)
{
	struct place *p = place_volume_new(dir, size, false);

	place_mount(p);
	return p;
}

static bool command_run(const char *format, const char *a, const char *b)
{
	char command[256];

	snprintf(command, sizeof(command), format, a, b);
	return system(command) == 0;
}

struct place *place_kernel(const char *dir, const char *type, uint64_t size)
{
	struct place *p = place_new(dir, size);

	if (!device_attach(p) || !command_run("mkfs.%s -q %s >/dev/null 2>&1", type, p->device))
		return place_free(p);
	snprintf(p->mount, sizeof(p->mount), "%s/mount-%s", dir, type);
	mkdir(p->mount, 0755);
	if (mount(p->device, p->mount, type, 0, NULL) < 0)
		return place_free(p);
	p->dir = open(p->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_must(p->dir >= 0, p->mount);
	return p;
}

struct place *place_device(const char *dir, uint64_t size)
{
	struct place *p = place_new(dir, size);

	p->bare = true;
	p->size = size;
	return p;
}

struct place *place_beneath(const struct place *volume)
{
	struct place *p = calloc(1, sizeof(*p));

	bench_must(p, "memory");
	p->dir = p->loop = -1;
	p->fd = fcntl(volume->fd, F_DUPFD_CLOEXEC, 0);
	bench_must(p->fd >= 0, volume->image);
	p->bare = true;
	p->first = FIRST;
	return p;
}

/* ---- what is done there ---------------------------------------------------------------------- */

static struct file *file_new(struct place *p)
{
	struct file *f = calloc(1, sizeof(*f));

	bench_must(f, "memory");
	f->place = p;
	f->fd = -1;
	return f;
}

struct file *place_create(struct place *p, const char *name)
{
	struct file *f = file_new(p);
	struct ls_attr attr;

	if (p->ls)
		must_ls(
		    ls_create(p->ls, &call, p->ls->root, name, 0644, O_RDWR, &f->inode, &attr, &f->file),
		    name);
	else if (!p->bare)
		bench_must((f->fd = openat(p->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) >= 0,
		     name);
	else if (p->files++ > 0) /* other memory than the first, as a new file has it */
		f->base = PART * (1 + p->files % (p->size / PART - 1));
	return f;
}

struct file *place_open(struct place *p, const char *name, bool direct)
{
	struct file *f = file_new(p);
	int flags = O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0);
	struct ls_attr attr;

	f->base = p->first;
	if (p->ls) {
		must_ls(ls_lookup(p->ls, &call, p->ls->root, name, &f->inode, &attr), name);
		must_ls(ls_open(p->ls, &call, f->inode, flags, &f->file), name);
	} else if (!p->bare) {
		bench_must((f->fd = openat(p->dir, name, flags)) >= 0, name);
	}
	return f;
}

void place_file_close(struct file *f)
{
	if (f->file) {
		ls_release(f->place->ls, &call, f->file);
		ls_forget(f->place->ls, &call, f->inode, 1);
	} else if (f->fd >= 0) {
		close(f->fd);
	}
	free(f);
}

void place_file_write(struct file *f, const void *buf, size_t size, uint64_t offset)
{
	struct iovec iov = {(void *)buf, size};
	off_t end;

	if (f->file)
		must_ls(ls_write(f->place->ls, &call, f->file, &iov, 1, offset, 0, &end) == (ssize_t)size
			    ? 0
			    : -EIO,
			"write");
	else
		bench_must(pwrite(f->place->bare ? f->place->fd : f->fd, buf, size, f->base + offset) == (ssize_t)size,
		     "write");
}

void place_file_read(struct file *f, void *buf, size_t size, uint64_t offset)
{
	struct iovec iov = {buf, size};

	if (f->file)
		must_ls(ls_read(f->place->ls, &call, f->file, &iov, 1, offset) == (ssize_t)size ? 0 : -EIO,
			"read");
	else
		bench_must(pread(f->place->bare ? f->place->fd : f->fd, buf, size, f->base + offset) == (ssize_t)size,
		     "read");
}

void place_file_sync(struct file *f)
{
	if (f->file)
		must_ls(ls_fsync(f->place->ls, &call, f->file, 0), "fsync");
	else
		bench_must(fsync(f->place->bare ? f->place->fd : f->fd) == 0, "fsync");
}

void place_stat(struct place *p, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	struct stat st;

	if (p->ls) {
		must_ls(ls_lookup(p->ls, &call, p->ls->root, name, &inode, &attr), name);
		ls_forget(p->ls, &call, inode, 1);
	} else {
		bench_must(fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0, name);
	}
}

void place_unlink(struct place *p, const char *name)
{
	if (p->ls)
		must_ls(ls_unlink(p->ls, &call, p->ls->root, name), name);
	else if (!p->bare)
		bench_must(unlinkat(p->dir, name, 0) == 0, name);
}

void place_sync(struct place *p)
{
	if (p->ls)
		must_ls(ls_sync(p->ls, &call), "sync");
	else if (!p->bare)
		bench_must(syncfs(p->dir) == 0, "sync");
	else
		bench_must(fsync(p->fd) == 0, "sync");
}
