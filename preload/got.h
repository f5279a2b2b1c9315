/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "preload/image.h"

/* The functions of libc that are redirected where its text cannot be: number of the system call that takes the
 * same arguments, name. entry.S has GOT_THUNKS thunks for them. */
#define GOT_FUNCTIONS(X)                                                                            \
	X(0, read) X(1, write) X(2, open) X(2, open64) X(2, __open_2) X(2, __open64_2) X(3, close) \
	X(4, stat) X(4, stat64) X(5, fstat) X(5, fstat64) X(6, lstat) X(6, lstat64)                \
	X(8, lseek) X(8, lseek64) X(17, pread) X(17, pread64) X(18, pwrite) X(18, pwrite64)        \
	X(19, readv) X(20, writev) X(21, access) X(32, dup) X(33, dup2) X(74, fsync)               \
	X(75, fdatasync) X(76, truncate) X(76, truncate64) X(77, ftruncate) X(77, ftruncate64)     \
	X(80, chdir) X(81, fchdir) X(82, rename) X(83, mkdir) X(84, rmdir)           \
	X(85, creat) X(85, creat64) X(86, link) X(87, unlink) X(88, symlink) X(89, readlink)       \
	X(90, chmod) X(91, fchmod) X(257, openat) X(257, openat64) X(257, __openat_2)              \
	X(257, __openat64_2) X(258, mkdirat) X(262, fstatat) X(262, fstatat64) X(263, unlinkat)    \
	X(264, renameat) X(267, readlinkat) X(280, utimensat) X(292, dup3) X(332, statx)           \
	X(439, faccessat)

/* The address of a function that an object defines; 0: it does not. */
uintptr_t got_function(const struct link_object *object, const char *name);

/* Redirects calls of those functions from the program and its libraries. Returns enum preload_coverage. */
uint32_t got_redirect(const struct start_info *info);
