/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share's other list: of its session, under the session's lock; or, when its process has ended while a child of it
 * may have its mappings, of orphans, for a while. Both locks are taken after that of an inode's shares, so who comes
 * from here takes a reference to the inode and the share's number, and looks for it there.
 */
#include <errno.h>
#include <time.h>

#include "service/session.h"
#include "service/share-internal.h"

enum { ORPHAN_SECONDS = 10 };

static struct {
	pthread_mutex_t lock;
	struct share *first;
} orphans = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t seconds(void)
{
	return ls_now() / 1000000000;
}

static void list_remove(struct share **p, struct share *share)
{
	while (*p && *p != share)
		p = &(*p)->session_next;
	if (*p)
		*p = share->session_next;
}

bool share_enlist(struct share *share)
{
	struct session *session = share->session;
	bool ended;

	pthread_mutex_lock(&session->lock);
	ended = session->ended;
	if (!ended) {
		share->session_next = session->shares;
		session->shares = share;
	}
	pthread_mutex_unlock(&session->lock);
	if (ended)
		share->session = NULL;
	return !ended;
}

void share_delist(struct share *share)
{
	pthread_mutex_t *lock = share->session ? &share->session->lock : &orphans.lock;

	pthread_mutex_lock(lock);
	list_remove(share->session ? &share->session->shares : &orphans.first, share);
	pthread_mutex_unlock(lock);
}

void share_orphan(struct share *share)
{
	share_delist(share);
	share->session = NULL;
	share->orphan_until = seconds() + ORPHAN_SECONDS;
	pthread_mutex_lock(&orphans.lock);
	share->session_next = orphans.first;
	orphans.first = share;
	pthread_mutex_unlock(&orphans.lock);
}

struct inode *session_share(struct session *session, uint32_t *number, unsigned kinds)
{
	struct share *share, *found = NULL;
	struct inode *inode = NULL;

	pthread_mutex_lock(&session->lock);
	for (share = session->shares; share; share = share->session_next)
		if ((kinds & 1u << share->how) && share->number >= *number && (!found || share->number < found->number))
			found = share;
	if (found) {
		*number = found->number;
		inode = inode_ref(found->inode);
	}
	pthread_mutex_unlock(&session->lock);
	return inode;
}

struct inode *orphan_share(uint32_t session, uint32_t number)
{
	struct inode *inode = NULL;
	struct share *share;

	pthread_mutex_lock(&orphans.lock);
	for (share = orphans.first; share && !inode; share = share->session_next)
		if (share->session_number == session && share->number == number)
			inode = inode_ref(share->inode);
	pthread_mutex_unlock(&orphans.lock);
	return inode;
}

static struct inode *orphan_expired(uint32_t *ret_number)
{
	int64_t now = seconds();
	struct inode *inode = NULL;
	struct share *share;

	pthread_mutex_lock(&orphans.lock);
	for (share = orphans.first; share && !inode; share = share->session_next)
		if (share->orphan_until <= now) {
			*ret_number = share->number;
			inode = inode_ref(share->inode);
		}
	pthread_mutex_unlock(&orphans.lock);
	return inode;
}

int share_orphans_expire(void)
{
	struct inode *inode;
	struct share *share;
	uint32_t number;
	bool left;

	while ((inode = orphan_expired(&number)) != NULL) {
		pthread_mutex_lock(&inode->shares->lock);
		share = shares_number(inode->shares, number);
		if (share && !share->session)
			share_drop(inode->shares, share);
		pthread_mutex_unlock(&inode->shares->lock);
		inode_unref(inode);
	}
	pthread_mutex_lock(&orphans.lock);
	left = orphans.first != NULL;
	pthread_mutex_unlock(&orphans.lock);
	return left ? 1000 : -1;
}
