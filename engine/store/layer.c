/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two archive readers on each other: the lower one takes the compression off (its output is what a diff id is the
 * digest of), the upper one reads the tar. What both consume is counted, and the limits are checked where the bytes
 * come out, so that a bomb is noticed before it is written.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "engine/store/entry.h"
#include "engine/store/layer.h"

enum { CHUNK = 256 * 1024, WATCH_EACH = 8 << 20 };

struct unpack {
	int fd;
	const struct layer_limits *limits;
	struct archive *outer, *inner, *disk;
	struct digest *packed, *plain;
	struct layer_result *result;
	struct error *error;
	layer_watch *watch;
	void *watch_arg;
	uint64_t watched;
	int failed; /* -errno, once error has its sentence */
	char in[CHUNK], out[CHUNK];
};

static int fail_archive(struct unpack *u, struct archive *a, const char *what)
{
	const char *why = archive_error_string(a);
	int err = archive_errno(a);

	if (u->failed)
		return u->failed;
	u->failed = error_set(u->error, err > 0 && err < 4096 ? -err : -EINVAL, "%s: %s", what,
			      why ? why : "it cannot be understood");
	text_tame(u->error->text);
	return u->failed;
}

/* ---- bytes ------------------------------------------------------------------------------------- */

static la_ssize_t packed_read(struct archive *a, void *arg, const void **ret)
{
	struct unpack *u = arg;
	ssize_t n;

	do
		n = read(u->fd, u->in, sizeof(u->in));
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "%s", strerror(errno));
		return ARCHIVE_FATAL;
	}
	digest_add(u->packed, u->in, n);
	u->result->packed_bytes += n;
	*ret = u->in;
	return n;
}

static int check_bomb(struct unpack *u)
{
	const struct layer_result *r = u->result;

	if (r->bytes > u->limits->bytes)
		return u->failed = error_set(u->error, -EFBIG, "it unpacks to more than the limit of %llu bytes",
					     (unsigned long long)u->limits->bytes);
	if (r->bytes > LAYER_RATIO_FROM && r->bytes / u->limits->ratio > r->packed_bytes)
		return u->failed = error_set(u->error, -EFBIG,
					     "it unpacks to more than %llu times its size; it may be a bomb",
					     (unsigned long long)u->limits->ratio);
	return 0;
}

static la_ssize_t plain_read(struct archive *a, void *arg, const void **ret)
{
	struct unpack *u = arg;
	la_ssize_t n = archive_read_data(u->outer, u->out, sizeof(u->out));

	if (n < 0)
		fail_archive(u, u->outer, "it cannot be unpacked");
	if (n > 0) {
		digest_add(u->plain, u->out, n);
		u->result->bytes += n;
		n = check_bomb(u) < 0 ? ARCHIVE_FATAL : n;
	}
	if (n < 0)
		archive_set_error(a, EIO, "%s", u->error->text);
	if (u->watch && u->result->bytes >= u->watched + WATCH_EACH) {
		u->watched = u->result->bytes;
		u->watch(u->watch_arg, u->result);
	}
	*ret = u->out;
	return n;
}

static int open_outer(struct unpack *u)
{
	struct archive_entry *entry;
	int r;

	archive_read_support_filter_gzip(u->outer);
	archive_read_support_filter_zstd(u->outer);
	archive_read_support_format_raw(u->outer);
	archive_read_support_format_empty(u->outer);
	if (archive_read_open(u->outer, u, NULL, packed_read, NULL) != ARCHIVE_OK)
		return fail_archive(u, u->outer, "it cannot be read");
	r = archive_read_next_header(u->outer, &entry);
	if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
		return fail_archive(u, u->outer, "it cannot be unpacked");
	/* The last of them is no compression at all. */
	if (archive_filter_count(u->outer) > 2)
		return u->failed = error_set(u->error, -EINVAL, "it is compressed more than once");
	return 0;
}

static int open_inner(struct unpack *u)
{
	archive_read_support_format_tar(u->inner);
	archive_read_support_format_empty(u->inner);
	if (archive_read_open(u->inner, u, NULL, plain_read, NULL) != ARCHIVE_OK)
		return fail_archive(u, u->inner, "it is no tar archive");
	return 0;
}

/* ---- entries ----------------------------------------------------------------------------------- */

static int mark_opaque(const char *path)
{
	return lsetxattr(path, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

static int make_opaque(struct unpack *u, const char *path)
{
	struct stat st;
	int r = 0;

	if (lstat(path, &st) < 0 && mkdir(path, 0755) < 0)
		r = -errno;
	else if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r == 0)
		r = mark_opaque(path);
	return r < 0 ? u->failed = error_errno(u->error, r, "make '%s' opaque", path) : 0;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Its directories, where they have no entries of their own. */
static void make_parents(const char *path)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *p = dir; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(dir, 0755);
	}
}

/* It hides what layers below have there. What this layer itself has there is no business of it. */
static int make_whiteout(struct unpack *u, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? make_opaque(u, path) : 0;
	make_parents(path);
	if (mknod(path, S_IFCHR, makedev(0, 0)) < 0)
		return u->failed = error_errno(u->error, errno, "make a whiteout '%s'", path);
	return 0;
}

static int copy_data(struct unpack *u)
{
	const void *data;
	size_t size;
	la_int64_t offset;
	int r;

	while ((r = archive_read_data_block(u->inner, &data, &size, &offset)) == ARCHIVE_OK) {
		if (offset < 0 || (uint64_t)offset + size > u->limits->bytes)
			return u->failed = error_set(u->error, -EFBIG, "a file is larger than the limit");
		if (archive_write_data_block(u->disk, data, size, offset) < ARCHIVE_WARN)
			return fail_archive(u, u->disk, "write");
	}
	return r < ARCHIVE_WARN ? fail_archive(u, u->inner, "its data ends too early") : 0;
}

static int extract_plain(struct unpack *u, struct archive_entry *entry, const char *path)
{
	char what[PATH_MAX + 16];
	struct stat st;
	bool replaces = lstat(path, &st) == 0 && is_whiteout(&st);

	snprintf(what, sizeof(what), "extract '%s'", path);
	/* The whiteout and then what replaces it: nothing of a directory below shows through. */
	if (replaces && unlink(path) < 0)
		return u->failed = error_errno(u->error, errno, "%s", what);
	if (archive_write_header(u->disk, entry) < ARCHIVE_WARN)
		return fail_archive(u, u->disk, what);
	if (archive_entry_size(entry) > 0 && copy_data(u) < 0)
		return u->failed;
	if (archive_write_finish_entry(u->disk) < ARCHIVE_WARN)
		return fail_archive(u, u->disk, what);
	return replaces && archive_entry_filetype(entry) == AE_IFDIR && !archive_entry_hardlink(entry) ?
		       make_opaque(u, path) :
		       0;
}

static int extract_entry(struct unpack *u, struct archive_entry *entry)
{
	const struct entry_rules rules = {
		.devices = u->limits->devices, .depth = u->limits->depth, .size = u->limits->bytes};
	char path[PATH_MAX];
	int kind;

	if (++u->result->entries > u->limits->entries)
		return u->failed = error_set(u->error, -EFBIG, "it has more than the limit of %llu entries",
					     (unsigned long long)u->limits->entries);
	kind = entry_take(entry, &rules, path, u->error);
	if (kind < 0)
		return u->failed = kind;
	if (kind == ENTRY_OPAQUE)
		return make_opaque(u, path);
	if (kind == ENTRY_WHITEOUT)
		return make_whiteout(u, path);
	if (kind == ENTRY_PLAIN)
		return extract_plain(u, entry, path);
	u->result->left_out++;
	return 0;
}

static int extract_all(struct unpack *u)
{
	struct archive_entry *entry;
	const void *ignored;
	int r;

	while ((r = archive_read_next_header(u->inner, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN)
		if (extract_entry(u, entry) < 0)
			return u->failed;
	if (r != ARCHIVE_EOF)
		return fail_archive(u, u->inner, "it is no tar archive, or damaged");
	/* What follows the end of the tar counts for the digests. */
	while ((r = plain_read(u->inner, u, &ignored)) > 0)
		;
	if (r < 0)
		return u->failed;
	return archive_write_close(u->disk) < ARCHIVE_WARN ? fail_archive(u, u->disk, "finish") : 0;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static int unpack_open(struct unpack *u)
{
	u->outer = archive_read_new();
	u->inner = archive_read_new();
	u->disk = archive_write_disk_new();
	u->packed = digest_new();
	u->plain = digest_new();
	if (!u->outer || !u->inner || !u->disk || !u->packed || !u->plain)
		return error_errno(u->error, ENOMEM, "unpack");
	archive_write_disk_set_options(u->disk, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM |
							ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
							ARCHIVE_EXTRACT_UNLINK);
	return 0;
}

static void unpack_close(struct unpack *u)
{
	archive_read_free(u->inner);
	archive_read_free(u->outer);
	archive_write_free(u->disk);
	digest_free(u->packed);
	digest_free(u->plain);
	free(u);
}

int layer_extract_here(int archive, const struct layer_limits *limits, layer_watch *watch, void *arg,
		       struct layer_result *ret, struct error *error)
{
	struct unpack *u = calloc(1, sizeof(*u));
	int r;

	*ret = (struct layer_result){};
	if (!u)
		return error_errno(error, ENOMEM, "unpack");
	u->fd = archive;
	u->limits = limits;
	u->result = ret;
	u->error = error;
	u->watch = watch;
	u->watch_arg = arg;
	r = unpack_open(u);
	if (r == 0)
		r = open_outer(u);
	if (r == 0)
		r = open_inner(u);
	if (r == 0)
		r = extract_all(u);
	if (r == 0) {
		digest_hex(u->packed, ret->packed);
		digest_hex(u->plain, ret->plain);
	}
	unpack_close(u);
	return r;
}
