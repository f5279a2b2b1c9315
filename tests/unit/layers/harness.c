/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>

#include "tests/unit/layers/harness.h"

struct fs *fs_open(const char *json)
{
	struct json_object *stack = json_tokener_parse(json);
	struct fs *fs = calloc(1, sizeof(*fs));
	char error[512] = "";

	assert_non_null(stack);
	umask(0);
	fs->call = (struct ls_call){.tenant = "test", .cred = &fs->cred};
	if (ls_stack_open(stack, "test", &fs->ls, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	json_object_put(stack);
	fs->root = fs->ls->root;
	return fs;
}

void fs_settle(struct fs *fs)
{
	while (fs->file_count)
		ls_release(fs->ls, &fs->call, fs->files[--fs->file_count]);
	while (fs->kept_count)
		ls_forget(fs->ls, &fs->call, fs->kept[--fs->kept_count], 1);
}

void fs_close(struct fs *fs)
{
	fs_settle(fs);
	assert_null(ls_stack_close(fs->ls));
	free(fs);
}

static struct ls_inode *keep(struct fs *fs, struct ls_inode *inode)
{
	assert_in_range(fs->kept_count, 0, FS_KEPT_MAX - 1);
	fs->kept[fs->kept_count++] = inode;
	return inode;
}

static struct ls_file *keep_file(struct fs *fs, struct ls_file *f)
{
	assert_in_range(fs->file_count, 0, sizeof(fs->files) / sizeof(*fs->files) - 1);
	fs->files[fs->file_count++] = f;
	return f;
}

void fs_forget(struct fs *fs, struct ls_inode *inode)
{
	for (unsigned i = fs->kept_count; i-- > 0;)
		if (fs->kept[i] == inode) {
			fs->kept[i] = fs->kept[--fs->kept_count];
			ls_forget(fs->ls, &fs->call, inode, 1);
			return;
		}
	fail_msg("no reference to forget");
}

void fs_release(struct fs *fs, struct ls_file *f)
{
	for (unsigned i = fs->file_count; i-- > 0;)
		if (fs->files[i] == f) {
			fs->files[i] = fs->files[--fs->file_count];
			ls_release(fs->ls, &fs->call, f);
			return;
		}
	fail_msg("not an open file");
}

struct ls_inode *fs_get(struct fs *fs, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_lookup(fs->ls, &fs->call, dir, name, &inode, &attr));
	return keep(fs, inode);
}

int fs_try(struct fs *fs, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = ls_lookup(fs->ls, &fs->call, dir, name, &inode, &attr);

	if (r == 0)
		ls_forget(fs->ls, &fs->call, inode, 1);
	return r;
}

struct ls_attr fs_attr(struct fs *fs, struct ls_inode *inode)
{
	struct ls_attr attr;

	assert_ok(ls_getattr(fs->ls, &fs->call, inode, NULL, &attr));
	return attr;
}

struct ls_attr fs_attr_at(struct fs *fs, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_lookup(fs->ls, &fs->call, dir, name, &inode, &attr));
	ls_forget(fs->ls, &fs->call, inode, 1);
	return attr;
}

struct ls_inode *fs_mkdir(struct fs *fs, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_mkdir(fs->ls, &fs->call, dir, name, 0755, &inode, &attr));
	return keep(fs, inode);
}

struct ls_inode *fs_symlink(struct fs *fs, struct ls_inode *dir, const char *name, const char *target)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_symlink(fs->ls, &fs->call, dir, name, target, &inode, &attr));
	return keep(fs, inode);
}

struct ls_inode *fs_mknod(struct fs *fs, struct ls_inode *dir, const char *name, mode_t mode)
{
	struct ls_inode *inode;
	struct ls_attr attr;

	assert_ok(ls_mknod(fs->ls, &fs->call, dir, name, mode, 0, 0, &inode, &attr));
	return keep(fs, inode);
}

struct ls_file *fs_create(struct fs *fs, struct ls_inode *dir, const char *name,
			  struct ls_inode **ret_inode)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	struct ls_file *f;

	assert_ok(ls_create(fs->ls, &fs->call, dir, name, 0644, O_RDWR, &inode, &attr, &f));
	keep(fs, inode);
	if (ret_inode)
		*ret_inode = inode;
	return keep_file(fs, f);
}

struct ls_inode *fs_file(struct fs *fs, struct ls_inode *dir, const char *name)
{
	struct ls_inode *inode;

	fs_release(fs, fs_create(fs, dir, name, &inode));
	return inode;
}

struct ls_file *fs_open_file(struct fs *fs, struct ls_inode *inode, int flags)
{
	struct ls_file *f;

	assert_ok(ls_open(fs->ls, &fs->call, inode, flags, &f));
	return keep_file(fs, f);
}

ssize_t fs_write(struct fs *fs, struct ls_file *f, const void *buf, size_t length, off_t offset)
{
	struct iovec iov = {(void *)buf, length};
	off_t end = -1;
	ssize_t n = ls_write(fs->ls, &fs->call, f, &iov, 1, offset, 0, &end);

	if (n >= 0)
		assert_int_equal(end, offset + n);
	return n;
}

ssize_t fs_read(struct fs *fs, struct ls_file *f, void *buf, size_t length, off_t offset)
{
	struct iovec iov = {buf, length};

	return ls_read(fs->ls, &fs->call, f, &iov, 1, offset);
}

int fs_truncate(struct fs *fs, struct ls_inode *inode, off_t size)
{
	struct ls_attr in = {.size = size}, attr;
	int r = ls_setattr(fs->ls, &fs->call, inode, NULL, &in, LS_SET_SIZE, &attr);

	if (r == 0)
		assert_int_equal(attr.size, size);
	return r;
}

void fs_is(struct fs *fs, struct ls_file *f, off_t offset, const char *text)
{
	char buf[256];
	size_t n = strlen(text);

	assert_in_range(n, 0, sizeof(buf));
	assert_int_equal(fs_read(fs, f, buf, n, offset), n);
	assert_memory_equal(buf, text, n);
}

int fs_unlink(struct fs *fs, struct ls_inode *dir, const char *name)
{
	return ls_unlink(fs->ls, &fs->call, dir, name);
}

int fs_rmdir(struct fs *fs, struct ls_inode *dir, const char *name)
{
	return ls_rmdir(fs->ls, &fs->call, dir, name);
}

int fs_rename(struct fs *fs, struct ls_inode *dir, const char *name, struct ls_inode *dir2,
	      const char *name2, unsigned flags)
{
	return ls_rename(fs->ls, &fs->call, dir, name, dir2, name2, flags);
}

/* ---- listings ------------------------------------------------------------------------------------ */

struct collecting {
	struct listing *to;
	unsigned room;
	uint64_t next;
};

static int collect(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct collecting *c = arg;
	struct listing *l = c->to;

	if (c->room == 0)
		return 1;
	c->room--;
	if ((l->count & (l->count + 1)) == 0)
		l->entry = realloc(l->entry, (l->count + 1) * 2 * sizeof(*l->entry));
	assert_in_range(len, 1, 255);
	memcpy(l->entry[l->count].name, name, len);
	l->entry[l->count].name[len] = 0;
	l->entry[l->count].ino = ino;
	l->entry[l->count].type = type;
	l->entry[l->count].next = next;
	l->count++;
	c->next = next;
	return 0;
}

void fs_list(struct fs *fs, struct ls_inode *dir, unsigned batch, struct listing *ret)
{
	struct ls_file *f = fs_open_file(fs, dir, O_RDONLY | O_DIRECTORY);
	struct collecting c = {.to = ret};
	unsigned before;

	*ret = (struct listing){0};
	do {
		before = ret->count;
		c.room = batch ? batch : UINT32_MAX;
		assert_ok(ls_readdir(fs->ls, &fs->call, f, c.next, collect, &c));
	} while (ret->count != before);
	fs_release(fs, f);
}

void listing_free(struct listing *l)
{
	free(l->entry);
	*l = (struct listing){0};
}

int listing_count(const struct listing *l, const char *name)
{
	int n = 0;

	for (unsigned i = 0; i < l->count; i++)
		n += strcmp(l->entry[i].name, name) == 0;
	return n;
}

static void empty_dir(struct fs *fs, struct ls_inode *dir)
{
	struct listing l;

	fs_list(fs, dir, 0, &l);
	for (unsigned i = 0; i < l.count; i++) {
		const char *name = l.entry[i].name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (l.entry[i].type == DT_DIR) {
			struct ls_inode *sub = fs_get(fs, dir, name);
			empty_dir(fs, sub);
			fs_forget(fs, sub);
			assert_ok(fs_rmdir(fs, dir, name));
		} else {
			assert_ok(fs_unlink(fs, dir, name));
		}
	}
	listing_free(&l);
}

void fs_empty(struct fs *fs)
{
	empty_dir(fs, fs->root);
}

/* ---- scratch directories ------------------------------------------------------------------------- */

/* What a failed test leaves behind is removed at the end. */
static char *scratches[64];
static pid_t scratch_owner;

static void scratch_clean(void)
{
	char command[512];

	for (size_t i = 0; i < sizeof(scratches) / sizeof(*scratches) && getpid() == scratch_owner; i++) {
		if (!scratches[i])
			continue;
		snprintf(command, sizeof(command), "rm -rf --one-file-system '%s'", scratches[i]);
		if (system(command) != 0)
			fprintf(stderr, "%s\n", command);
		free(scratches[i]);
	}
}

static void scratch_remember(const char *path)
{
	if (!scratch_owner)
		atexit(scratch_clean);
	scratch_owner = getpid();
	for (size_t i = 0; i < sizeof(scratches) / sizeof(*scratches); i++)
		if (!scratches[i]) {
			scratches[i] = strdup(path);
			return;
		}
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void figure_take(void *arg, const char *name, uint64_t value)
{
	struct wanted *w = arg;

	if (strcmp(name, w->name) == 0)
		w->value = value;
}

uint64_t fs_figure(struct fs *fs, const char *type, const char *name)
{
	struct ls *ls = ls_stack_find(fs->ls, type);
	struct wanted w = {name, UINT64_MAX};

	ls->type->stats(ls, figure_take, &w);
	assert_int_not_equal(w.value, UINT64_MAX);
	return w.value;
}

static void scratch_forget(const char *path)
{
	for (size_t i = 0; i < sizeof(scratches) / sizeof(*scratches); i++)
		if (scratches[i] && strcmp(scratches[i], path) == 0) {
			free(scratches[i]);
			scratches[i] = NULL;
		}
}

char *scratch_begin(const char *parent)
{
	char *path;

	assert_return_code(asprintf(&path, "%s/layers-XXXXXX", parent), errno);
	assert_non_null(mkdtemp(path));
	assert_ok(chmod(path, 0755));
	scratch_remember(path);
	return path;
}

void scratch_end(char *path)
{
	must_run("rm -rf '%s'", path);
	scratch_forget(path);
	free(path);
}

void must_run(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("%s", command);
}
