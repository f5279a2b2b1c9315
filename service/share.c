/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shares which file's data, and who may not.
 *
 *  - A hostile process that may write `data` may also cut it, and whoever copies from it then gets SIGBUS. So those who
 *    copy from a file and those who may write its memory are of one user.
 *  - Nothing tells the kernel what clients store by themselves. While it has the file open by FUSE, nobody else has a
 *    share to write; while it may change pages of the file that we do not see (a FUSE file that is open to read and
 *    write may be mapped; one that passes through is written, see share-kernel.c), nobody has one at all - unless there
 *    are mappings of `data`, which we could not take away: then those that are made later belong there too.
 *  - What is mapped is one memory. So nobody maps `data` while FUSE files have pages of the kernel's instead, or would
 *    have; and as long as it is mapped, FUSE files pass through to it.
 *  - One session may append by itself (a grant), if nobody else has the file open. Whatever looks at the end of the
 *    file or changes it takes the grant back first.
 *
 * The shares of an inode are under one lock, which is held while the layer gives or takes; those of a session are in
 * a list under the session's, which is taken second.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "service/lease.h"
#include "service/limit.h"
#include "service/service.h"
#include "service/session.h"
#include "service/share-internal.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

enum {
	COPYING_LOOK_NS = 50000,  /* between two looks whether a client has left memory that is to be cut */
	COPYING_LOOKS = 10000,    /* it may have no core for that long */
	COPYING_LOOKS_LATE = 400, /* if it did not once */
	COPYING_STATE_LOOKS = 200, /* between two looks at the process */
};

static const struct ls_cred self_cred;
static const struct ls_call self_call = {.tenant = "", .cred = &self_cred};

static struct ls *stack_of(const struct inode *inode)
{
	return inode->fs->stack;
}

/* ---- an inode's shares ------------------------------------------------------------------------ */

static struct shares *shares_of(struct inode *inode)
{
	return __atomic_load_n(&inode->shares, __ATOMIC_ACQUIRE);
}

struct shares *shares_make(struct inode *inode)
{
	struct shares *fresh, *sh = shares_of(inode);

	if (sh)
		return sh;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	pthread_mutex_init(&fresh->lock, NULL);
	if (__atomic_compare_exchange_n(&inode->shares, &sh, fresh, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		return fresh;
	pthread_mutex_destroy(&fresh->lock);
	free(fresh);
	return sh;
}

void share_inode_free(struct inode *inode)
{
	if (!inode->shares)
		return;
	pthread_mutex_destroy(&inode->shares->lock);
	free(inode->shares);
}

/* What the kernel knows of the file, it shall ask for again. */
static void kernel_forgets(struct inode *inode)
{
	const struct instance *fs = inode->fs;
	struct caller self;
	bool pages = true;

	if (!fs->hooks)
		return;
	/* Before they go: while a file is open, and it may have been opened just now, there may be new ones at once. */
	if (!__atomic_load_n(&inode->kernel_opens, __ATOMIC_SEQ_CST))
		pages = __atomic_exchange_n(&inode->kernel_pages, false, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&inode->kernel_opens, __ATOMIC_SEQ_CST))
		__atomic_store_n(&inode->kernel_pages, true, __ATOMIC_SEQ_CST);
	if (pages)
		fs->hooks->data(fs->door, inode, 0, 0);
	caller_init(&self, DOOR_SELF, "", 0, 0, 0);
	notify_attr(&self, inode);
	caller_fini(&self);
}

/* From the first share to write on until the last has ended, nobody else knows the file's times and bytes. */
static void written_begin(struct inode *inode, struct shares *sh)
{
	if (__atomic_fetch_add(&sh->writers, 1, __ATOMIC_SEQ_CST))
		return;
	lease_hold(inode);
	kernel_forgets(inode);
}

static void written_end(struct inode *inode, struct shares *sh)
{
	if (__atomic_sub_fetch(&sh->writers, 1, __ATOMIC_SEQ_CST))
		return;
	inode_mark_dirty(inode);
	lease_release(inode);
}

bool share_is_written(struct inode *inode)
{
	struct shares *sh = shares_of(inode);

	return sh && (__atomic_load_n(&sh->writers, __ATOMIC_SEQ_CST) ||
		      __atomic_load_n(&sh->kernel.writers, __ATOMIC_SEQ_CST));
}

/* ---- grants ----------------------------------------------------------------------------------- */

void grant_end(struct inode *inode, struct shares *sh)
{
	if (!sh->granted)
		return;
	ls_grant(stack_of(inode), &self_call, inode->ls, UINT32_MAX);
	__atomic_store_n(&sh->granted, 0, __ATOMIC_SEQ_CST);
	inode_mark_dirty(inode);
}

void share_settle_slow(struct inode *inode)
{
	struct shares *sh = shares_of(inode);

	if (!__atomic_load_n(&sh->granted, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&sh->lock);
	grant_end(inode, sh);
	pthread_mutex_unlock(&sh->lock);
}

void share_opened(struct inode *inode)
{
	share_settle(inode);
}

/* How many of the inode's open files are this session's and nobody else's. */
static unsigned session_opens(struct session *session, const struct inode *inode, const struct ofd *in_hand)
{
	unsigned n = 0;

	pthread_mutex_lock(&session->lock);
	for (unsigned i = 0; i < session->handle_room; i++) {
		const struct ofd *ofd = session->handles[i].ofd;
		if (ofd && ofd->inode == inode && ofd->file &&
		    __atomic_load_n(&ofd->refs, __ATOMIC_SEQ_CST) == (ofd == in_hand ? 2 : 1))
			n++;
	}
	pthread_mutex_unlock(&session->lock);
	return n;
}

static bool session_writes(const struct shares *sh, const struct session *session)
{
	const struct share *share = sh->first;

	while (share && (share->session != session || share->how != LS_SHARE_WRITE))
		share = share->next;
	return share != NULL;
}

static int grant_locked(struct session *session, struct ofd *ofd, struct shares *sh)
{
	struct inode *inode = ofd->inode;
	int r;

	if (!session_writes(sh, session))
		return -EBADF;
	if (sh->granted && sh->granted != session->back.number + 1)
		return -EBUSY;
	/* Whoever opens the file from here on sees the grant, or we see the open. Partner: ofd_new. */
	__atomic_store_n(&sh->granted, session->back.number + 1, __ATOMIC_SEQ_CST);
	if (sh->maps || __atomic_load_n(&inode->opens, __ATOMIC_SEQ_CST) != session_opens(session, inode, ofd))
		r = -EBUSY;
	else
		r = ls_grant(stack_of(inode), &self_call, inode->ls, session->back.number);
	if (r < 0)
		grant_end(inode, sh);
	return r;
}

int share_grant(struct session *session, struct ofd *ofd)
{
	struct shares *sh = shares_of(ofd->inode);
	int r;

	if (!sh)
		return -EBADF;
	pthread_mutex_lock(&sh->lock);
	r = grant_locked(session, ofd, sh);
	pthread_mutex_unlock(&sh->lock);
	if (r != -EBUSY)
		return r;
	/* Files that only wait to be opened again are in the way. */
	sessions_parked_drop(session->service, ofd->inode);
	pthread_mutex_lock(&sh->lock);
	r = grant_locked(session, ofd, sh);
	pthread_mutex_unlock(&sh->lock);
	return r;
}

/* ---- giving ----------------------------------------------------------------------------------- */

struct share *shares_number(struct shares *sh, uint32_t number)
{
	struct share *share = sh->first;

	while (share && share->number != number)
		share = share->next;
	return share;
}

static bool users_agree(const struct shares *sh, unsigned how, uid_t uid)
{
	for (const struct share *other = sh->first; other; other = other->next) {
		if (other->uid == uid || (!share_copies(how) && !share_copies(other->how)))
			continue;
		if (share_writes(how) || share_writes(other->how))
			return false;
	}
	return !sh->tainted;
}

static bool kernel_agrees(const struct inode *inode, const struct shares *sh, unsigned how)
{
	if (sh->maps && !share_copies(how))
		return true;
	/* Who opens it by FUSE later is to map the same memory. */
	if (!share_copies(how) && !share_kernel_may_pass(inode->fs))
		return false;
	if (__atomic_load_n(&inode->kernel_rdwr, __ATOMIC_SEQ_CST))
		return false;
	return !share_writes(how) || !__atomic_load_n(&inode->kernel_opens, __ATOMIC_SEQ_CST);
}

/*
 * One more mapping. What programs map by FUSE files that do not pass through would be other memory. Either who opens one
 * sees that there are mappings, or we see him. Partner: plain_begin in share-kernel.c.
 */
static int map_begin(struct inode *inode, struct shares *sh, bool force)
{
	bool first = !__atomic_fetch_add(&sh->maps, 1, __ATOMIC_SEQ_CST);

	return first && !force && __atomic_load_n(&inode->kernel_plain, __ATOMIC_SEQ_CST) ? -EBUSY : 0;
}

/* Whoever opens it by FUSE meanwhile waits for the lock, to end what will be in the list by then. */
static int layer_share(struct caller *c, struct shares *sh, const struct share *share, bool force,
		       struct ls_share *ret)
{
	struct inode *inode = share->inode;
	int r;

	if (!force && (!users_agree(sh, share->how, share->uid) || !kernel_agrees(inode, sh, share->how)))
		return -EBUSY;
	grant_end(inode, sh);
	if (share_writes(share->how))
		written_begin(inode, sh);
	r = !share_copies(share->how) ? map_begin(inode, sh, force) : 0;
	if (r == 0)
		r = ls_share(stack_of(inode), &c->call, inode->ls, share->how, share->offset, share->length, ret);
	if (r < 0 && !share_copies(share->how))
		__atomic_sub_fetch(&sh->maps, 1, __ATOMIC_SEQ_CST);
	if (r < 0 && share_writes(share->how))
		written_end(inode, sh);
	return r;
}

static void share_untell(struct shares *sh, const struct share *share)
{
	ls_unshare(stack_of(share->inode), &self_call, share->inode->ls, share->how, share->offset, share->length);
	if (share_writes(share->how))
		written_end(share->inode, sh);
}

static uint32_t number_new(void)
{
	static uint32_t last;
	uint32_t number;

	do
		number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	while (!number);
	return number;
}

/* In place of what the session had to copy the same file. */
static void shares_replace(struct shares *sh, const struct share *by)
{
	struct share *share, *next;

	for (share = sh->first; share && share_copies(by->how); share = next) {
		next = share->next;
		if (share != by && share->session == by->session && share_copies(share->how))
			share_drop(sh, share);
	}
}

int share_add(struct caller *c, struct shares *sh, struct share *share, bool force, struct ls_share *ret)
{
	int r = layer_share(c, sh, share, force, ret);

	if (r < 0)
		return r;
	share->number = number_new();
	if (!share_enlist(share)) {
		share_untell(sh, share);
		if (!share_copies(share->how))
			__atomic_sub_fetch(&sh->maps, 1, __ATOMIC_SEQ_CST);
		return -ESTALE;
	}
	inode_ref(share->inode);
	share->next = sh->first;
	sh->first = share;
	shares_replace(sh, share);
	return 0;
}

/* ---- ending ----------------------------------------------------------------------------------- */

/* With the lock held. The layer knows already. */
static void share_remove(struct shares *sh, struct share *share)
{
	struct share **p;

	for (p = &sh->first; *p != share; p = &(*p)->next)
		;
	*p = share->next;
	if (!share_copies(share->how))
		__atomic_sub_fetch(&sh->maps, 1, __ATOMIC_SEQ_CST);
	share_delist(share);
	inode_unref(share->inode);
	free(share);
}

void share_drop(struct shares *sh, struct share *share)
{
	if (share->how == LS_SHARE_WRITE && sh->granted == share->session_number + 1)
		grant_end(share->inode, sh);
	if (share->how == LS_SHARE_MAP_WRITE)
		kernel_forgets(share->inode);
	share_untell(sh, share);
	share_remove(sh, share);
}

void shares_drop(struct shares *sh, unsigned kinds, const struct session *of)
{
	struct share *share, *next;

	for (share = sh->first; share; share = next) {
		next = share->next;
		if ((kinds & 1u << share->how) && (!of || share->session == of))
			share_drop(sh, share);
	}
}

static bool session_has_open(struct session *session, const struct inode *inode)
{
	bool found = false;

	pthread_mutex_lock(&session->lock);
	for (unsigned i = 0; i < session->handle_room && !found; i++)
		found = session->handles[i].ofd && session->handles[i].ofd->inode == inode;
	pthread_mutex_unlock(&session->lock);
	return found;
}

void share_handle_closed(struct session *session, struct inode *inode)
{
	struct shares *sh = shares_of(inode);

	if (!sh)
		return;
	pthread_mutex_lock(&sh->lock);
	if (!session_has_open(session, inode))
		shares_drop(sh, SHARES_COPY, session);
	pthread_mutex_unlock(&sh->lock);
}

void share_kernel_opened(struct inode *inode)
{
	struct shares *sh = shares_of(inode);

	if (!sh)
		return;
	pthread_mutex_lock(&sh->lock);
	shares_drop(sh, __atomic_load_n(&inode->kernel_rdwr, __ATOMIC_SEQ_CST) ? SHARES_COPY : SHARES_WRITE, NULL);
	pthread_mutex_unlock(&sh->lock);
}

void share_end_writers(struct inode *inode)
{
	struct shares *sh = shares_of(inode);

	if (!sh)
		return;
	pthread_mutex_lock(&sh->lock);
	shares_drop(sh, SHARES_WRITE, NULL);
	pthread_mutex_unlock(&sh->lock);
}

static int session_end_one(struct session *session, uint32_t number, bool ended)
{
	uint32_t wanted = number;
	struct inode *inode = session_share(session, &number, SHARES_ALL);
	bool forking = ((const struct wire_session *)session->back.memory)->forking;
	struct share *share;
	struct shares *sh;

	if (!inode || (wanted && number != wanted)) {
		inode_unref(inode);
		return -EBADF;
	}
	sh = shares_of(inode);
	pthread_mutex_lock(&sh->lock);
	share = shares_number(sh, number);
	if (share && share->session == session) {
		if (ended && forking && !share_copies(share->how))
			share_orphan(share);
		else
			share_drop(sh, share);
	}
	pthread_mutex_unlock(&sh->lock);
	inode_unref(inode);
	return 0;
}

int share_end(struct session *session, uint32_t number)
{
	return number ? session_end_one(session, number, false) : -EBADF;
}

void share_session_ended(struct session *session)
{
	while (session_end_one(session, 0, true) == 0)
		;
}

void share_user_changed(struct session *session)
{
	struct inode *inode;
	struct shares *sh;
	uint32_t number = 0;

	while ((inode = session_share(session, &number, SHARES_WRITE | 1u << LS_SHARE_MAP_WRITE)) != NULL) {
		number++;
		sh = shares_of(inode);
		pthread_mutex_lock(&sh->lock);
		sh->tainted = true;
		shares_drop(sh, SHARES_COPY, NULL);
		pthread_mutex_unlock(&sh->lock);
		inode_unref(inode);
	}
}

/* ---- limits ----------------------------------------------------------------------------------- */

static void session_end_writers(struct session *session)
{
	struct inode *inode;
	uint32_t number = 0;

	while ((inode = session_share(session, &number, SHARES_WRITE)) != NULL) {
		number++;
		pthread_mutex_lock(&inode->shares->lock);
		shares_drop(inode->shares, SHARES_WRITE, session);
		pthread_mutex_unlock(&inode->shares->lock);
		inode_unref(inode);
	}
}

/* The session with the least number from that on, referenced; NULL if there is none. */
static struct session *session_next(struct service *s, uint32_t from, bool (*wanted)(const struct session *session))
{
	struct session *session, *found = NULL;

	pthread_mutex_lock(&s->sessions_lock);
	for (session = s->sessions; session; session = session->next)
		if (session->back.number >= from && wanted(session) && (!found || session->back.number < found->back.number))
			found = session;
	if (found)
		found = (struct session *)back_session_get(s->back, found->back.number);
	pthread_mutex_unlock(&s->sessions_lock);
	return found;
}

static bool session_limited(const struct session *session)
{
	return limit_writes(session->container);
}

void share_limited(struct service *s)
{
	struct session *session;
	uint32_t from = 0;

	while ((session = session_next(s, from, session_limited)) != NULL) {
		from = session->back.number + 1;
		session_end_writers(session);
		back_session_put(&session->back);
	}
}

/* ---- cutting ---------------------------------------------------------------------------------- */

static bool session_copies(const struct session *session)
{
	return __atomic_load_n(&((const struct wire_session *)session->back.memory)->copying, __ATOMIC_SEQ_CST) != 0;
}

static bool session_copies_or_did(const struct session *session)
{
	return session_copies(session) || session->copying_stuck;
}

static bool session_has_ended(const struct session *session)
{
	return poll(&(struct pollfd){.fd = session->pidfd, .events = POLLIN}, 1, 0) > 0;
}

/*
 * Who did not come out the last time, and is still in, is not waited for: it is stopped, or a signal handler jumped out of
 * the copy. Who has ended copies no more.
 */
static bool session_leaves(struct session *session)
{
	int looks = session->copying_stuck ? 0 : session->copying_late ? COPYING_LOOKS_LATE : COPYING_LOOKS;

	for (int n = 1; n <= looks && session_copies(session); n++) {
		nanosleep(&(struct timespec){.tv_nsec = COPYING_LOOK_NS}, NULL);
		if (n % COPYING_STATE_LOOKS == 0 &&
		    (session_has_ended(session) || process_is_stopped(session->service->proc_fd, session->pid)))
			break;
	}
	session->copying_stuck = session_copies(session) && !session_has_ended(session);
	session->copying_late |= session->copying_stuck;
	return !session->copying_stuck;
}

static bool copiers_leave(void *arg)
{
	struct service *s = arg;
	struct session *session;
	uint32_t from = 0;
	bool left = true;

	while ((session = session_next(s, from, session_copies_or_did)) != NULL) {
		left = session_leaves(session) && left;
		from = session->back.number + 1;
		back_session_put(&session->back);
	}
	return left;
}

void share_watch(struct service *s, struct ls *ls)
{
	ls->settle = copiers_leave;
	ls->settle_arg = s;
	for (unsigned i = 0; i < ls->below_count; i++)
		share_watch(s, ls->below[i]);
}
