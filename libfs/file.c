/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of library open files.
 *
 * A reference is held by each descriptor or public handle, and by each operation under way, so that an open
 * file closed by another thread stays itself until the operation is done. A file with no reference is free;
 * whoever makes the count 0 sends the close, with the handle that it read before.
 */
#include "libfs/direct.h"
#include "libfs/internal.h"
#include "libfs/park.h"

#define FILE_ENDING (1u << 31) /* in refs: the last has gone, and the entry is not free yet */

static struct {
	struct fs_file file[FS_FILES_MAX];
	uint32_t hint; /* no free file is below, mostly */
} __attribute__((aligned(4096))) files; /* whole pages, and nothing else in them */

int fs_files_wipe_on_fork(void)
{
	return fs_wipe_on_fork(&files, sizeof(files));
}

static int file_claim(struct fs_file *f)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(&f->refs, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

struct fs_file *fs_file_new(uint32_t mount, uint32_t handle, uint32_t flags, const struct wire_attr *attr)
{
	uint32_t i, n, hint = __atomic_load_n(&files.hint, __ATOMIC_RELAXED);
	struct fs_file *f;

	for (n = 0; n < FS_FILES_MAX; n++) {
		i = (hint + n) % FS_FILES_MAX;
		f = &files.file[i];
		if (f->refs || !file_claim(f))
			continue;
		__atomic_store_n(&files.hint, i + 1, __ATOMIC_RELAXED);
		f->handle = handle;
		f->session = fs_session();
		f->flags = flags;
		f->offset = 0;
		f->ino = attr->ino;
		f->mount = mount;
		f->type = attr->mode & 0170000;
		f->api = 0;
		f->share = f->heat = f->hint = f->created = 0;
		f->path = 0;
		return f;
	}
	return NULL;
}

int fs_files_full(void)
{
	return __atomic_load_n(&files.hint, __ATOMIC_RELAXED) >= FS_FILES_MAX;
}

struct fs_file *fs_file_opened(uint32_t mount, const struct fs_opened *opened, uint32_t flags)
{
	struct fs_file *f = fs_file_new(mount, opened->handle, flags, &opened->attr);

	if (f) {
		f->path = opened->path;
		f->created = (opened->how & WIRE_OPENED_CREATED) != 0;
	}
	return f;
}

uint32_t fs_file_index(const struct fs_file *f)
{
	return (uint32_t)(f - files.file);
}

struct fs_file *fs_file_at(uint32_t index)
{
	return &files.file[index % FS_FILES_MAX];
}

int fs_file_get(struct fs_file *f)
{
	uint32_t refs = __atomic_load_n(&f->refs, __ATOMIC_RELAXED);

	while (refs && refs != FILE_ENDING)
		if (__atomic_compare_exchange_n(&f->refs, &refs, refs + 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 1;
	return 0;
}

/* 1: that was the last, and nobody but the caller comes to the file until file_free. */
static int file_unref(struct fs_file *f)
{
	uint32_t refs = __atomic_load_n(&f->refs, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&f->refs, &refs, refs > 1 ? refs - 1 : FILE_ENDING, 1, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED))
		;
	return refs <= 1;
}

static void file_free(struct fs_file *f)
{
	uint32_t index = fs_file_index(f);

	if (f->share)
		direct_release(f->share);
	__atomic_store_n(&f->refs, 0, __ATOMIC_RELEASE);
	if (index < __atomic_load_n(&files.hint, __ATOMIC_RELAXED))
		__atomic_store_n(&files.hint, index, __ATOMIC_RELAXED);
}

int64_t fs_file_put(struct fs_file *f)
{
	struct fs_file was;

	if (!file_unref(f))
		return 0;
	was = *f;
	f->share = 0;
	file_free(f);
	if (park_put(&was)) {
		direct_linger(was.share);
		return 0;
	}
	direct_release(was.share);
	return fs_close(was.handle, was.session);
}

void fs_file_drop(struct fs_file *f)
{
	if (file_unref(f))
		file_free(f);
}

int fs_file_stale(const struct fs_file *f)
{
	return f->session != fs_session() ||
	       f->session >> 32 != __atomic_load_n(&fs_table()->generation, __ATOMIC_ACQUIRE);
}

void fs_object_file(const struct fs_file *f, struct fs_object *ret)
{
	*ret = (struct fs_object){
		.handle = f->handle, .session = f->session, .mount = f->mount, .flags = WIRE_EMPTY | fs_file_alone(f),
		.path = "", .ino = f->ino};
}

void fs_object_below(const struct fs_file *dir, const char *path, uint32_t len, struct fs_object *ret)
{
	*ret = (struct fs_object){
		.base = dir->handle, .session = dir->session, .mount = dir->mount, .len = len, .path = path,
		.ino = dir->ino};
}
