/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the mount table a session may name. The fast door leads by number to any filesystem of the pool; but a process
 * in a mount namespace of its own, such as a container, is to reach what is mounted there, and nothing else: not the
 * store, nor the roots of other containers. What it sees is looked up once, when it attaches; a call to anything else
 * is left to the kernel, which knows best.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "service/service.h"
#include "service/session.h"

static void allow(struct session *session, unsigned n)
{
	session->view[n / 64] |= 1ull << (n % 64);
}

static void allow_device(struct service *s, struct session *session, uint64_t dev)
{
	for (unsigned n = 0; n < service_mount_top(s); n++) {
		struct instance *fs = service_mount_get(s, n);
		if (!fs)
			continue;
		if (fs->dev == dev)
			allow(session, n);
		service_mount_put(fs);
	}
}

/* The third field of each line is major:minor. What is mounted there is read from the kernel, not from the process. */
static int view_read(struct service *s, struct session *session)
{
	unsigned major_, minor_;
	char name[32], line[4096 + 512];
	FILE *mounts;
	int fd;

	snprintf(name, sizeof(name), "%d/mountinfo", session->pid);
	fd = openat(s->proc_fd, name, O_RDONLY | O_CLOEXEC);
	mounts = fd < 0 ? NULL : fdopen(fd, "re");
	if (!mounts) {
		if (fd >= 0)
			close(fd);
		return -EACCES;
	}
	while (fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%*d %*d %u:%u ", &major_, &minor_) == 2)
			allow_device(s, session, makedev(major_, minor_));
	fclose(mounts);
	return 0;
}

/* Of the container's root that the process' own is: its view. 0: of none. */
static unsigned root_of(struct service *s, const struct session *session)
{
	unsigned found = 0;
	struct statx st;
	char name[32];

	snprintf(name, sizeof(name), "%d/root", session->pid);
	/* DONT_SYNC: the answer must not need this service. */
	if (statx(s->proc_fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
		return 0;
	for (unsigned n = s->mount_count; n < service_mount_top(s) && !found; n++) {
		struct instance *fs = service_mount_get(s, n);
		if (!fs)
			continue;
		if (fs->dev == makedev(st.stx_dev_major, st.stx_dev_minor))
			found = fs->view;
		service_mount_put(fs);
	}
	return found;
}

int session_view(struct service *s, struct session *session)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "%d/ns/mnt", session->pid);
	if (!s->mount_namespace)
		return 0;
	if (fstatat(s->proc_fd, name, &st, 0) < 0)
		return -errno;
	if (st.st_ino == s->mount_namespace)
		return 0;
	session->confined = true;
	session->root = root_of(s, session);
	return view_read(s, session);
}

bool session_sees(const struct session *session, unsigned n)
{
	return !session->confined || (n < SERVICE_MOUNTS_MAX && session->view[n / 64] >> (n % 64) & 1);
}
