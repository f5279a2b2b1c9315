/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/boot.h"
#include "service/booting.h"
#include "service/container.h"
#include "service/lease.h"
#include "service/limit.h"
#include "service/roots.h"
#include "service/share.h"
#include "service/stats.h"
#include "service/token.h"

static int fail(struct boot *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(b->error, sizeof(b->error), format, args);
	va_end(args);
	return -EINVAL;
}

/* One message; its descriptors go behind those that are there. */
static ssize_t receive(struct boot *b, char *text, size_t size)
{
	union {
		char bytes[CMSG_SPACE(BOOT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {text, size - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(BOOT_FD, &msg, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	text[n] = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    b->fd_count + count > sizeof(b->fds) / sizeof(b->fds[0]))
			return -EPROTO;
		memcpy(b->fds + b->fd_count, CMSG_DATA(c), count * sizeof(int));
		b->fd_count += count;
	}
	return n;
}

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? value : NULL;
}

/* The descriptor that a member names by its place; -1 if there is none. */
static int fd_of(struct boot *b, struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);
	int place = value ? json_object_get_int(value) : -1;

	return place >= 0 && (unsigned)place < b->fd_count ? b->fds[place] : -1;
}

/* Turns every descriptor of a stack, which is a place in the message, into one of ours. */
static void stack_fds(struct boot *b, struct json_object *o)
{
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			stack_fds(b, json_object_array_get_idx(o, i));
		return;
	}
	if (!json_object_is_type(o, json_type_object))
		return;
	json_object_object_foreach(o, key, value) {
		if (!strcmp(key, "fd") || !strcmp(key, "conf_fd") || !strcmp(key, "dir") || !strcmp(key, "large_dir"))
			json_object_object_add(o, key, json_object_new_int(fd_of(b, o, key)));
		else
			stack_fds(b, value);
	}
}

static int mount_boot(struct boot *b, struct service *s, struct json_object *mount)
{
	const char *path = json_object_get_string(get(mount, "path"));
	struct json_object *stack = get(mount, "stack");
	char error[512] = "";
	struct ls *ls;
	unsigned m = s->mount_count;
	int r;

	if (!path || !stack || m >= WIRE_MOUNTS_FIXED)
		return fail(b, "a mount needs path and stack, and there may be %d", WIRE_MOUNTS_FIXED);
	stack_fds(b, stack);
	r = ls_stack_open(stack, s->pool, &ls, error, sizeof(error));
	if (r == 0) {
		share_watch(s, ls);
		limit_watch(ls);
	}
	if (r == 0 && !strcmp(path, WIRE_ROOTS))
		r = roots_new(s, ls, &ls, error, sizeof(error));
	if (r < 0)
		return fail(b, "mount '%s': %s", path, *error ? error : strerror(-r));
	r = instance_new(ls, s->pool, path, m, &s->mount[m]);
	if (r < 0) {
		ls_stack_close(ls);
		return fail(b, "mount '%s': %s", path, strerror(-r));
	}
	ls->revoke = lease_revoke;
	ls->revoke_arg = s->mount[m];
	s->mount[m]->dev = s->table->mount[m].dev;
	s->table->mount[m].root_ino = s->mount[m]->root->ino;
	s->mount[m]->became_dirty = flusher_wake;
	s->mount[m]->flush_interval = &s->settings.flush_interval;
	b->fuse_fd[m] = fd_of(b, mount, "fuse");
	s->mount[m]->root_fd = fd_of(b, mount, "root");
	b->fuse_live[m] = get(mount, "fuse_live") && json_object_get_boolean(get(mount, "fuse_live"));
	s->mount_count++;
	/* Without tokens, too, files can be opened, read and written. */
	if (b->fuse_fd[m] < 0 && tokens_open(s->mount[m], b->token_fd[m]) == 0)
		s->table->mount[m].dev = s->mount[m]->dev;
	return 0;
}

static int cpus_boot(struct boot *b, struct service *s, struct json_object *cpus)
{
	size_t n = cpus ? json_object_array_length(cpus) : 0;

	if (!n)
		return fail(b, "the pool has no cpus");
	s->queues = n < WIRE_QUEUES_MAX ? n : WIRE_QUEUES_MAX;
	for (unsigned i = 0; i < s->queues; i++)
		s->cpus[i] = json_object_get_int(json_object_array_get_idx(cpus, i));
	return 0;
}

static int table_map(struct boot *b, struct service *s)
{
	struct stat st;
	int fd = fd_of(b, b->message, "table");

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(*s->table))
		return fail(b, "the pool's table is missing or too small");
	s->table = mmap(NULL, sizeof(*s->table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s->table == MAP_FAILED)
		return fail(b, "map the pool's table: %s", strerror(errno));
	if (s->table->magic != WIRE_MAGIC || s->table->version != WIRE_VERSION)
		return fail(b, "the pool's table is of another version");
	return 0;
}

static int settings_boot(struct boot *b, struct service *s, struct json_object *settings)
{
	json_object_object_foreach(settings, key, value) {
		char error[256] = "";
		if (setting_set(s, key, json_object_get_string(value), error, sizeof(error)) < 0)
			return fail(b, "%s", error);
	}
	return 0;
}

/* A container that has ended meanwhile has no limits. */
static void limits_boot(struct boot *b, struct service *s)
{
	struct json_object *limits = get(b->message, "limits");
	char ignored[256];

	for (size_t i = 0; limits && i < json_object_array_length(limits); i++) {
		struct json_object *o = json_object_array_get_idx(limits, i), *pid = get(o, "pid");
		if (pid && get(o, "settings"))
			container_limit(s, json_object_get_int(pid), "", get(o, "settings"), ignored, sizeof(ignored));
	}
}

int boot_receive(struct boot *b)
{
	static char text[BOOT_MESSAGE_MAX], more[64];
	ssize_t n = receive(b, text, sizeof(text));
	unsigned wanted;

	if (n < 0)
		return fail(b, "no boot message: %s", strerror(-n));
	b->message = json_tokener_parse(text);
	if (!b->message || !get(b->message, "pool") || !get(b->message, "mounts"))
		return fail(b, "the boot message is not the JSON that it should be");
	wanted = json_object_get_int(get(b->message, "fds"));
	while (b->fd_count < wanted) {
		n = receive(b, more, sizeof(more));
		if (n < 0)
			return fail(b, "descriptors are missing: %s", strerror(-n));
	}
	return 0;
}

/* Is a stack, or an area in one, of a cluster? */
static bool is_remote(struct json_object *o)
{
	bool found = false;

	if (json_object_is_type(o, json_type_array))
		for (size_t i = 0; i < json_object_array_length(o) && !found; i++)
			found = is_remote(json_object_array_get_idx(o, i));
	if (!json_object_is_type(o, json_type_object))
		return found;
	json_object_object_foreach(o, key, value) {
		found = found || !strcmp(key, "ceph") || !strcmp(key, "rbd") || is_remote(value);
	}
	return found;
}

bool boot_network(struct boot *b)
{
	return is_remote(get(b->message, "mounts"));
}

void boot_prepare(struct boot *b)
{
	struct json_object *mounts = get(b->message, "mounts");
	size_t count = json_object_array_length(mounts);

	for (size_t i = 0; i < count && i < WIRE_MOUNTS_FIXED; i++)
		b->token_fd[i] = get(json_object_array_get_idx(mounts, i), "fuse") ? -1 : tokens_mount();
}

int boot_apply(struct boot *b, struct service *s)
{
	struct json_object *mounts = get(b->message, "mounts"), *settings = get(b->message, "settings");
	int r;

	s->pool = strdup(json_object_get_string(get(b->message, "pool")));
	s->engine_fd = BOOT_FD;
	s->listen_fd = fd_of(b, b->message, "listen");
	s->proc_fd = fd_of(b, b->message, "proc");
	s->mount_namespace = get(b->message, "mnt_ns") ? json_object_get_int64(get(b->message, "mnt_ns")) : 0;
	s->init = get(b->message, "init") ? json_object_get_int(get(b->message, "init")) : 0;
	b->generation = json_object_get_int(get(b->message, "generation"));
	if (s->listen_fd < 0 || s->proc_fd < 0)
		return fail(b, "the boot message lacks listen or proc");
	r = table_map(b, s);
	if (r == 0 && stat_open(fd_of(b, b->message, "meter")) < 0)
		r = fail(b, "the memory for figures is not what it should be");
	if (r == 0)
		r = cpus_boot(b, s, get(b->message, "cpus"));
	for (size_t i = 0; r == 0 && i < json_object_array_length(mounts); i++)
		r = mount_boot(b, s, json_object_array_get_idx(mounts, i));
	if (r == 0 && settings)
		r = settings_boot(b, s, settings);
	if (r == 0)
		limits_boot(b, s);
	return r;
}

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *value = get(o, key);

	return value ? json_object_get_int64(value) : -1;
}

int boot_roots(struct boot *b, struct service *s)
{
	struct json_object *roots = get(b->message, "roots");
	int r = 0;

	roots_begin(s);
	for (size_t i = 0; roots && i < json_object_array_length(roots) && r == 0; i++) {
		struct json_object *o = json_object_array_get_idx(roots, i);
		struct root_wish wish = {
			.name = json_object_get_string(get(o, "name")), .path = json_object_get_string(get(o, "path")),
			.dev = number(o, "dev"), .slot = number(o, "slot"), .live = true,
			.fuse = fd_of(b, o, "fuse"), .root = fd_of(b, o, "root")};
		unsigned slot;
		if (!wish.name || !wish.path)
			return fail(b, "a root needs name and path");
		r = root_open(s, &wish, &slot, b->error, sizeof(b->error));
	}
	return r;
}
