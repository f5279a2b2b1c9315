/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that claim what POSIX and Linux promise of files. Each is given a directory that is empty, works in
 * it, and says nothing if all is well. They know nothing of pools: on a kernel's file system they must pass too.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                              \
	do {                                                                                          \
		if (!(condition)) {                                                                   \
			fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", __FILE__, __LINE__,     \
				#condition, errno, strerror(errno));                                  \
			_exit(1);                                                                     \
		}                                                                                     \
	} while (0)

#define EQUAL(got, wanted)                                                                            \
	do {                                                                                          \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted);                     \
		if (got_ != wanted_) {                                                                \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld (errno %d, %s)\n", __FILE__,     \
				__LINE__, #got, got_, wanted_, errno, strerror(errno));               \
			_exit(1);                                                                     \
		}                                                                                     \
	} while (0)

#define FAILS(expression, error)                                                                      \
	do {                                                                                          \
		long long got_;                                                                       \
		errno = 0;                                                                            \
		got_ = (long long)(expression);                                                       \
		if (got_ != -1 || errno != (error)) {                                                 \
			fprintf(stderr, "%s:%d: %s gives %lld, errno %d (%s), not %s\n", __FILE__,    \
				__LINE__, #expression, got_, errno, strerror(errno), strerror(error)); \
			_exit(1);                                                                     \
		}                                                                                     \
	} while (0)

static const char *dir; /* the directory, absolute */

/* A path in it, in one of a few buffers. */
static inline char *at(const char *name)
{
	static _Thread_local char paths[8][9000];
	static _Thread_local unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	EQUAL(write(fd, text, strlen(text)), strlen(text));
	EQUAL(close(fd), 0);
}

/* The file holds exactly this. */
static inline void holds(const char *path, const char *text)
{
	char buf[8192];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n >= 0);
	buf[n] = 0;
	if (strcmp(buf, text)) {
		fprintf(stderr, "%s holds '%s', not '%s'\n", path, buf, text);
		_exit(1);
	}
	EQUAL(close(fd), 0);
}

/* The child ended well. */
static inline void child_ok(pid_t child)
{
	int status;

	CHECK(child > 0);
	EQUAL(waitpid(child, &status, 0), child);
	if (status != 0) {
		fprintf(stderr, "a child ended with status %#x\n", status);
		_exit(1);
	}
}

/* Runs code in a child: CHILD { ...; } and waits for it. */
#define CHILD for (pid_t pid_ = fork(), once_ = 1; once_; pid_ ? child_ok(pid_) : _exit(0), once_ = 0) if (!pid_)

#define MAIN(...)                                                         \
	int main(int argc, char **argv)                                   \
	{                                                                 \
		void (*const claims[])(void) = {__VA_ARGS__};             \
		static char absolute[4096];                               \
                                                                          \
		if (argc != 2 || !realpath(argv[1], absolute)) {          \
			fprintf(stderr, "usage: %s DIR\n", argv[0]);      \
			return 2;                                         \
		}                                                         \
		dir = absolute;                                           \
		umask(022);                                               \
		for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) \
			claims[i]();                                      \
		return 0;                                                 \
	}
