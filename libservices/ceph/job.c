/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what a call needs, and what it leaves. Some are kept, with their memory, for the next call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/ceph/ceph.h"

enum { SPARE_MAX = 16, SPARE_BYTES = 1 << 20 };

static struct ceph_job *job_take(struct ceph_crew *crew)
{
	struct ceph_job *j;

	pthread_mutex_lock(&crew->lock);
	j = TAILQ_FIRST(&crew->spare);
	if (j) {
		TAILQ_REMOVE(&crew->spare, j, link);
		crew->spare_count--;
	}
	pthread_mutex_unlock(&crew->lock);
	if (!j && (j = calloc(1, sizeof(*j))))
		pthread_cond_init(&j->done, NULL);
	return j;
}

void ceph_job_free(struct ceph_job *j)
{
	pthread_cond_destroy(&j->done);
	free(j->buf);
	free(j);
}

static UserPerm *perm_of(struct ceph_job *j, const struct ls_cred *cred)
{
	size_t n = cred->group_count < CEPH_GROUPS ? cred->group_count : CEPH_GROUPS;

	if (n)
		memcpy(j->groups, cred->groups, n * sizeof(gid_t));
	return ceph_userperm_new(cred->uid, cred->gid, n, j->groups);
}

struct ceph_job *ceph_job_new(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j))
{
	struct ceph_crew *crew = &c->crew;
	struct ceph_job *j = job_take(crew);

	if (!j)
		return NULL;
	j->c = c;
	j->client = &c->client[0];
	j->run = run;
	j->deadline = ls_now() + __atomic_load_n(&crew->timeout, __ATOMIC_RELAXED);
	if (call && call->deadline && call->deadline < j->deadline)
		j->deadline = call->deadline;
	if (call && call->cred)
		j->perm = perm_of(j, call->cred);
	return j;
}

int ceph_job_named(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
		   struct ls_inode *dir, const char *name, struct ceph_job **ret)
{
	struct ceph_job *j;
	size_t n = strlen(name);

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	j = ceph_job_on(c, call, run, dir);
	if (!j)
		return -ENOMEM;
	memcpy(j->name, name, n + 1);
	*ret = j;
	return 0;
}

struct ceph_job *ceph_job_on(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
			     struct ls_inode *inode)
{
	struct ceph_job *j = ceph_job_new(c, call, run);

	if (j) {
		j->inode = ceph_inode_ref(c, ceph_inode_of(inode));
		j->client = j->inode->client;
	}
	return j;
}

/* What another client has is found by its number, once for the job. */
static int meet_foreign(struct ceph_job *j)
{
	vinodeno_t vino = {{j->inode2->ino}, {CEPH_NOSNAP}};
	int r = j->inode2->snap == CEPH_NOSNAP ? ceph_ll_lookup_vino(j->client->mount, vino, &j->in2) : -EROFS;

	j->meets = r >= 0;
	return r == -ENOENT ? -ESTALE : r;
}

int ceph_job_meet(struct ceph_job *j)
{
	if (j->in2)
		return 0;
	if (j->inode2->client != j->client)
		return meet_foreign(j);
	j->in2 = j->inode2->in;
	return 0;
}

void ceph_job_share_out(struct ceph_job *j, bool is_new)
{
	struct ceph_client *client = &j->c->client[j->stx.stx_ino % j->c->clients];
	vinodeno_t vino = {{j->stx.stx_ino}, {CEPH_NOSNAP}};
	Inode *in = NULL;

	if (client == j->client || j->stx.stx_dev != CEPH_NOSNAP)
		return;
	if (is_new)
		ceph_ll_sync_inode(j->client->mount, j->inode->in, 0); /* until then the other may not see it: change_show */
	if (ceph_ll_lookup_vino(client->mount, vino, &in) < 0)
		return;
	ceph_ll_put(j->client->mount, j->in);
	j->in = in;
	j->client = client;
}

struct ceph_job *ceph_job_with(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
			       struct ls_file *f)
{
	struct ceph_job *j = ceph_job_new(c, call, run);

	if (j) {
		j->file = ceph_file_of(f);
		j->client = j->file->inode->client;
		__atomic_add_fetch(&j->file->refs, 1, __ATOMIC_RELAXED);
	}
	return j;
}

int ceph_job_room(struct ceph_job *j, size_t size)
{
	if (size <= j->buf_size)
		return 0;
	free(j->buf);
	j->buf = malloc(size);
	j->buf_size = j->buf ? size : 0;
	return j->buf ? 0 : -ENOMEM;
}

void ceph_job_end(struct ceph_job *j)
{
	struct ceph_job empty = {0};
	struct ceph_crew *crew;
	struct ceph *c;
	bool keep;

	if (!j)
		return;
	c = j->c;
	crew = &c->crew;
	if (j->meets)
		ceph_ll_put(j->client->mount, j->in2);
	if (j->file)
		ceph_file_unref(c, j->file);
	if (j->inode)
		ceph_inode_unref(c, j->inode, 1);
	if (j->inode2)
		ceph_inode_unref(c, j->inode2, 1);
	if (j->perm)
		ceph_userperm_destroy(j->perm);
	if (j->buf_size > SPARE_BYTES) {
		free(j->buf);
		j->buf = NULL;
		j->buf_size = 0;
	}
	empty.done = j->done;
	empty.buf = j->buf;
	empty.buf_size = j->buf_size;
	pthread_mutex_lock(&crew->lock);
	keep = crew->spare_count < SPARE_MAX;
	if (keep) {
		*j = empty;
		TAILQ_INSERT_HEAD(&crew->spare, j, link);
		crew->spare_count++;
	}
	pthread_mutex_unlock(&crew->lock);
	if (!keep)
		ceph_job_free(j);
}
