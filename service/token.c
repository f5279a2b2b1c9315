/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/token.h"

enum { BUCKETS = 256 };

struct token {
	struct instance *fs;
	ino_t ino;
	int watch;
	struct ofd *ofd;
	struct token *ino_next, *watch_next;
};

static struct {
	pthread_mutex_t lock;
	int inotify; /* one for all: a user may have few */
	struct token *by_ino[BUCKETS], *by_watch[BUCKETS];
	unsigned next;
} tokens = {.lock = PTHREAD_MUTEX_INITIALIZER, .inotify = -1};

/* ---- the file system --------------------------------------------------------------------------- */

int tokens_mount(void)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), mount = -1;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0700", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		mount = -errno;
	close(fs);
	return mount;
}

int tokens_open(struct instance *fs, int mount)
{
	struct stat st;

	if (mount < 0)
		return mount;
	if (tokens.inotify < 0)
		tokens.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (tokens.inotify < 0) {
		close(mount);
		return -errno;
	}
	fs->token_dir = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(mount);
	if (fs->token_dir < 0 || fstat(fs->token_dir, &st) < 0)
		return -errno;
	fs->dev = st.st_dev;
	return 0;
}

/* ---- tokens ------------------------------------------------------------------------------------ */

static struct token **ino_place(ino_t ino)
{
	return &tokens.by_ino[ino % BUCKETS];
}

static struct token **watch_place(int watch)
{
	return &tokens.by_watch[(unsigned)watch % BUCKETS];
}

/* With the lock held. */
static void token_enter(struct token *token)
{
	token->ino_next = *ino_place(token->ino);
	*ino_place(token->ino) = token;
	token->watch_next = *watch_place(token->watch);
	*watch_place(token->watch) = token;
}

/* With the lock held. NULL: there is none with this watch. */
static struct token *token_take(int watch)
{
	struct token **p = watch_place(watch), *token;

	while (*p && (*p)->watch != watch)
		p = &(*p)->watch_next;
	token = *p;
	if (!token)
		return NULL;
	*p = token->watch_next;
	for (p = ino_place(token->ino); *p != token; p = &(*p)->ino_next)
		;
	*p = token->ino_next;
	return token;
}

static void token_free(struct token *token)
{
	ofd_unref(token->ofd);
	free(token);
}

/* A list of them, by watch_next, that nobody finds any more. */
static void tokens_free(struct token *list)
{
	struct token *token;

	while ((token = list) != NULL) {
		list = token->watch_next;
		token_free(token);
	}
}

/* Makes the file, has it watched, opens it, and takes its name away. A descriptor or -errno. */
static int file_make(struct token *token)
{
	bool dir = token->ofd->inode->type == S_IFDIR;
	int at = token->fs->token_dir, fd = -1;
	char name[16];

	snprintf(name, sizeof(name), "%x", tokens.next++);
	/* A socket's: open(2) refuses it to everybody, by whatever name. */
	if ((dir ? mkdirat(at, name, 0111) : mknodat(at, name, S_IFSOCK, 0)) < 0)
		return -errno;
	/* A watch is set by a name alone. No other thread of this process depends on where it is. */
	token->watch = fchdir(at) < 0 ? -1 : inotify_add_watch(tokens.inotify, name, IN_DELETE_SELF);
	if (token->watch >= 0)
		fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	unlinkat(at, name, dir ? AT_REMOVEDIR : 0);
	return fd;
}

int token_make(struct ofd *ofd)
{
	struct instance *fs = ofd->inode->fs;
	struct token *token;
	struct stat st;
	int fd;

	if (fs->token_dir < 0)
		return -ENOTSUP;
	token = malloc(sizeof(*token));
	if (!token)
		return -ENOMEM;
	*token = (struct token){.fs = fs, .ofd = ofd_ref(ofd)};
	pthread_mutex_lock(&tokens.lock);
	fd = file_make(token);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		token->ino = st.st_ino;
		token_enter(token);
		token = NULL;
	}
	pthread_mutex_unlock(&tokens.lock);
	if (token)
		token_free(token);
	return fd;
}

struct ofd *token_find(struct instance *fs, ino_t ino)
{
	struct ofd *ofd = NULL;
	struct token *token;

	pthread_mutex_lock(&tokens.lock);
	token = *ino_place(ino);
	while (token && (token->ino != ino || token->fs != fs))
		token = token->ino_next;
	if (token)
		ofd = ofd_ref(token->ofd);
	pthread_mutex_unlock(&tokens.lock);
	return ofd;
}

/* ---- their ends -------------------------------------------------------------------------------- */

int tokens_fd(void)
{
	return tokens.inotify;
}

void tokens_reap(void)
{
	char buf[64 * sizeof(struct inotify_event)] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct token *ended = NULL, *token;
	ssize_t n;

	if (tokens.inotify < 0)
		return;
	pthread_mutex_lock(&tokens.lock);
	while ((n = read(tokens.inotify, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event)) { /* none carries a name */
			const struct inotify_event *event = (const struct inotify_event *)p;
			token = event->mask & IN_DELETE_SELF ? token_take(event->wd) : NULL;
			if (!token)
				continue;
			token->watch_next = ended;
			ended = token;
		}
	pthread_mutex_unlock(&tokens.lock);
	tokens_free(ended);
}

/* The instance ends, and all that is open in it. */
void tokens_close(struct instance *fs)
{
	struct token *ended = NULL, *token, **p;

	if (fs->token_dir < 0)
		return;
	pthread_mutex_lock(&tokens.lock);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (p = &tokens.by_watch[i]; (token = *p) != NULL;) {
			if (token->fs != fs) {
				p = &token->watch_next;
				continue;
			}
			inotify_rm_watch(tokens.inotify, token->watch);
			token_take(token->watch);
			token->watch_next = ended;
			ended = token;
		}
	pthread_mutex_unlock(&tokens.lock);
	tokens_free(ended);
	close(fs->token_dir);
	fs->token_dir = -1;
}
