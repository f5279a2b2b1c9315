/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delegations: while we have one of a file, no other client of the cluster changes it (READ), or looks at it (WRITE). Whoever stands
 * on this layer may then keep its data.
 *
 * The MDS takes back what another client waits for. libcephfs says so in a thread of its own, with its lock held: all that
 * is done there is to hand a job, made beforehand, to the crew. Its helper calls `recall` of the layer above, which drops what it
 * kept; then the delegation is given back. That must be done in half of the time after which the MDS would throw the client
 * out; after it libcephfs gives up the client.
 *
 * There are none of directories, and so nothing above may keep names: libcephfs (16.2) wants capabilities for one that the MDS gives for
 * files only, and neither of its callbacks for dentries and inodes is called when those of a directory are taken away.
 *
 * While a delegation is called back, a write waits for that, too, even ours. What libcephfs itself has buffered it writes back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libservices/ceph/ceph.h"

enum { RETURN_MAX = 30 }; /* s */

/* Without a limit there are no delegations. Below that after which the MDS throws a client out. */
int ceph_delegations_allow(struct ceph_client *client)
{
	uint32_t most = ceph_get_cap_return_timeout(client->mount);

	if (most < 4)
		return 0;
	return ceph_set_deleg_timeout(client->mount, most / 2 < RETURN_MAX ? most / 2 : RETURN_MAX);
}

/* Takes the delegation's job from the file; NULL: it is already being given back. */
static struct ceph_job *recall_take(struct ceph_file *file)
{
	return __atomic_exchange_n(&file->recall, NULL, __ATOMIC_ACQ_REL);
}

/* False: it had ended already. */
static bool delegation_end(struct ceph *c, struct ceph_file *file)
{
	if (!__atomic_exchange_n(&file->delegated, false, __ATOMIC_ACQ_REL))
		return false;
	ceph_watch_remove(c, file);
	return true;
}

static void let_go(struct ceph *c, struct ceph_file *file, Fh *fh)
{
	if (delegation_end(c, file))
		ceph_ll_delegation(file->inode->client->mount, fh, CEPH_DELEGATION_NONE, NULL, NULL);
}

static ssize_t recall_run(struct ceph_job *j)
{
	struct ls *ls = j->c->ls;

	if (!delegation_end(j->c, j->file))
		return 0;
	if (ls->recall)
		ls->recall(ls->recall_arg, (struct ls_file *)j->file);
	ceph_ll_delegation(j->client->mount, j->fh, CEPH_DELEGATION_NONE, NULL, NULL);
	return 0;
}

static void recalled(Fh *fh, void *arg)
{
	struct ceph_job *j = recall_take(arg);

	if (j)
		ceph_job_start(j);
}

void ceph_recall(struct ceph_file *file)
{
	recalled(NULL, file);
}

static ssize_t delegate_run(struct ceph_job *j)
{
	static const unsigned command[] = {
		[LS_DELEGATION_READ] = CEPH_DELEGATION_RD, [LS_DELEGATION_WRITE] = CEPH_DELEGATION_WR};
	struct ceph_file *file = j->file;
	struct ceph_job *recall = ceph_job_with(j->c, NULL, recall_run, (struct ls_file *)file), *none = NULL;
	int r;

	if (!recall)
		return -ENOMEM;
	recall->fh = ceph_file_handle(file);
	if (!__atomic_compare_exchange_n(&file->recall, &none, recall, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		ceph_job_end(recall);
		return -EBUSY;
	}
	ceph_watch_add(j->c, file);
	__atomic_store_n(&file->delegated, true, __ATOMIC_RELEASE);
	__atomic_store_n(&file->unheard, false, __ATOMIC_RELEASE); /* before: whatever ends this one is noticed again */
	r = ceph_ll_delegation(j->client->mount, recall->fh, command[j->flags], recalled, file);
	if (r < 0) {
		delegation_end(j->c, file);
		ceph_job_end(recall_take(file));
	}
	return r;
}

static ssize_t return_run(struct ceph_job *j)
{
	let_go(j->c, j->file, ceph_file_handle(j->file));
	ceph_job_end(recall_take(j->file));
	return 0;
}

int ceph_delegate_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, enum ls_delegation what)
{
	struct ceph_job *j;

	if (ceph_file_of(f)->dir)
		return -EOPNOTSUPP;
	if ((unsigned)what > LS_DELEGATION_WRITE)
		return -EINVAL;
	j = ceph_job_with(ceph_of(ls), call, what == LS_DELEGATION_NONE ? return_run : delegate_run, f);
	if (!j)
		return -ENOMEM;
	j->flags = what;
	return ceph_job_do_end(j);
}
