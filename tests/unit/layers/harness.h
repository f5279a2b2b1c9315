/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of layers share: a stack opened from its JSON form, and short ways to say "make a file" or
 * "this must fail with that". References that the helpers obtain are kept in a list and ended by fs_close.
 */
#pragma once

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/libservice.h"

enum { FS_KEPT_MAX = 4096 };

struct fs {
	struct ls *ls;
	struct ls_cred cred;
	struct ls_call call;
	struct ls_inode *root;
	struct ls_inode *kept[FS_KEPT_MAX]; /* references to end */
	unsigned kept_count;
	struct ls_file *files[256]; /* to release */
	unsigned file_count;
};

/* Opens the stack or fails the test. */
struct fs *fs_open(const char *json);
void fs_close(struct fs *fs);
/* Ends references and open files. */
void fs_settle(struct fs *fs);
/* Removes everything below the root. */
void fs_empty(struct fs *fs);

struct ls_inode *fs_get(struct fs *fs, struct ls_inode *dir, const char *name);
int fs_try(struct fs *fs, struct ls_inode *dir, const char *name); /* lookup's result, nothing kept */
struct ls_attr fs_attr(struct fs *fs, struct ls_inode *inode);
struct ls_attr fs_attr_at(struct fs *fs, struct ls_inode *dir, const char *name);
struct ls_inode *fs_mkdir(struct fs *fs, struct ls_inode *dir, const char *name);
struct ls_inode *fs_symlink(struct fs *fs, struct ls_inode *dir, const char *name, const char *target);
struct ls_inode *fs_mknod(struct fs *fs, struct ls_inode *dir, const char *name, mode_t mode);
/* A new file, open for reading and writing; the inode is kept too, and given if ret_inode is not NULL. */
struct ls_file *fs_create(struct fs *fs, struct ls_inode *dir, const char *name,
			  struct ls_inode **ret_inode);
struct ls_inode *fs_file(struct fs *fs, struct ls_inode *dir, const char *name); /* a new one, closed */
struct ls_file *fs_open_file(struct fs *fs, struct ls_inode *inode, int flags);
void fs_release(struct fs *fs, struct ls_file *f);
void fs_forget(struct fs *fs, struct ls_inode *inode);

ssize_t fs_write(struct fs *fs, struct ls_file *f, const void *buf, size_t length, off_t offset);
ssize_t fs_read(struct fs *fs, struct ls_file *f, void *buf, size_t length, off_t offset);
int fs_truncate(struct fs *fs, struct ls_inode *inode, off_t size);
void fs_is(struct fs *fs, struct ls_file *f, off_t offset, const char *text);

int fs_unlink(struct fs *fs, struct ls_inode *dir, const char *name);
int fs_rmdir(struct fs *fs, struct ls_inode *dir, const char *name);
int fs_rename(struct fs *fs, struct ls_inode *dir, const char *name, struct ls_inode *dir2,
	      const char *name2, unsigned flags);

/* What the layer of that type counts by that name. */
uint64_t fs_figure(struct fs *fs, const char *type, const char *name);

/* A listing, read `batch` entries at a time (0: all), each batch by its own readdir. */
struct listing {
	unsigned count;
	struct {
		char name[256];
		uint64_t ino, next;
		unsigned type;
	} * entry;
};
void fs_list(struct fs *fs, struct ls_inode *dir, unsigned batch, struct listing *ret);
void listing_free(struct listing *l);
int listing_count(const struct listing *l, const char *name);

/* A new empty directory on `parent`, removed by scratch_end. */
char *scratch_begin(const char *parent);
void scratch_end(char *path);
/* Runs a command's text with the path in it, and fails the test if it fails. */
__attribute__((format(printf, 1, 2))) void must_run(const char *format, ...);

#define assert_ok(expr) assert_int_equal((expr), 0)
