/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/door.h"

static char place[96];

static void places_set(void)
{
	char self[4096], engine[8192];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		exit(1);
	self[n] = 0;
	setenv("BENCH", self, 1);
	*strrchr(self, '/') = 0;
	snprintf(engine, sizeof(engine), "%s/../engine/polytropon", self);
	setenv("POLYTROPON", access(engine, X_OK) == 0 ? engine : "polytropon", access(engine, X_OK) == 0);
	/* Peers that were built with this. */
	snprintf(engine, sizeof(engine), "%s:%s", self, getenv("PATH") ? getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin");
	setenv("PATH", engine, 1);
}

void place_begin(const char *bench, const char *parent)
{
	signal(SIGPIPE, SIG_IGN);
	places_set();
	snprintf(place, sizeof(place), "%s/bench-%s.XXXXXX", parent, bench);
	if (geteuid() != 0) {
		fprintf(stderr, "bench-%s: needs root\n", bench);
		exit(77);
	}
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(place) ||
	    chdir(place) < 0) {
		fprintf(stderr, "bench-%s: a place to work in: %s\n", bench, strerror(errno));
		exit(77);
	}
}

const char *place_name(void)
{
	return place;
}

int place_end(void)
{
	char command[512];

	/* A daemon in user space ends when its mount goes; its directories are free a moment later. */
	snprintf(command, sizeof(command),
		 "cd / && for i in 1 2 3 4 5; do for m in %s/*; do mountpoint -q $m && umount -l $m; done; "
		 "rm -rf --one-file-system %s && exit 0; sleep 0.2; done 2>/dev/null; exit 1", place, place);
	if (system(command) == 0)
		return 0;
	fprintf(stderr, "'%s' is left behind\n", place);
	return 1;
}

static void child(const char *command, int in, int out)
{
	dup2(in, 0);
	dup2(out, 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

bool door_start(struct door *d, const char *name, const char *command)
{
	int to[2], from[2];
	char line[64];

	*d = (struct door){.name = name};
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(1);
	d->pid = fork();
	if (d->pid == 0)
		child(command, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	d->to = fdopen(to[1], "w");
	d->from = fdopen(from[0], "r");
	if (fgets(line, sizeof(line), d->from) && !strcmp(line, "ready\n"))
		return true;
	door_end(d);
	return false;
}

void door_order(struct door *d, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(d->to, format, list);
	va_end(list);
	fputc('\n', d->to);
	fflush(d->to);
}

void door_answer(struct door *d, char *line, size_t size)
{
	if (d->from && fgets(line, (int)size, d->from))
		return;
	fprintf(stderr, "%s has ended too early\n", d->name);
	exit(1);
}

void door_end(struct door *d)
{
	if (d->to) {
		fclose(d->to);
		fclose(d->from);
		waitpid(d->pid, NULL, 0);
	}
	d->to = d->from = NULL;
}

void door_ready(void)
{
	puts("ready");
	fflush(stdout);
}
