/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of a Ceph file system, through libcephfs: a client of the cluster's for each instance, or some (`clients`), with the
 * tenant's name, key and settings, in the tenant's process. Names and permissions are never libcephfs' to judge: all is reached by
 * inodes (ceph_ll_*), and the service has made the checks.
 *
 * Files:
 *   crew.c, job.c   no call waits longer than it may
 *   connect.c       the client and its settings
 *   table.c         inodes and their numbers
 *   delegate.c      what may be kept above, and until when
 *   evict.c         what is done when the cluster throws us out
 *   lock.c          locks between hosts
 *   name.c, attr.c, file.c, data.c, dir.c, xattr.c   the operations
 *
 * Others may change the directory at any time (LS_SHARED), unless it is said to be exclusive.
 *
 * A client has one lock, under which it copies whatever it has cached. So there may be several: the first has the directory itself
 * and the files in it, and the directories in it are shared out, each with all that is below it. Which client does what decides how
 * fast it is, never whether it is right: to the cluster they are as clients of different hosts. They meet where something is
 * moved or linked from the part of one to that of another; there one waits until the other has given up its capabilities,
 * and nobody who waits for that holds what is needed to give them up (delegate.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/ceph/ceph.h"
#include "libservices/object.h"

enum { BLOCK = 4096 }; /* Ceph counts in 4 MiB */
#define CEPH_MAGIC 0x00c36400 /* f_type of statfs(2) */

/* ---- the whole of it ------------------------------------------------------------------------------- */

static ssize_t sync_run(struct ceph_job *j)
{
	int r, first = 0;

	for (unsigned i = 0; i < j->c->clients; i++) {
		r = ceph_sync_fs(j->c->client[i].mount);
		first = first ? first : r;
	}
	return first;
}

int ceph_sync_op(struct ls *ls, const struct ls_call *call)
{
	struct ceph_job *j = ceph_job_new(ceph_of(ls), call, sync_run);

	return j ? ceph_job_do_end(j) : -ENOMEM;
}

static ssize_t statfs_run(struct ceph_job *j)
{
	return ceph_ll_statfs(j->client->mount, j->inode->in, &j->vfs);
}

int ceph_statfs_op(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	struct ceph_job *j = ceph_job_on(ceph_of(ls), call, statfs_run, ls->root);
	int r = j ? ceph_job_do(&j) : -ENOMEM;

	if (r == 0)
		*ret = (struct ls_statfs){
			.bsize = BLOCK,
			.frsize = BLOCK,
			.blocks = j->vfs.f_blocks * (j->vfs.f_frsize / BLOCK),
			.bfree = j->vfs.f_bfree * (j->vfs.f_frsize / BLOCK),
			.bavail = j->vfs.f_bavail * (j->vfs.f_frsize / BLOCK),
			.files = j->vfs.f_files,
			.ffree = j->vfs.f_ffree == UINT64_MAX ? 0 : j->vfs.f_ffree, /* it has no limit of its own */
			.namelen = NAME_MAX,
			.type = CEPH_MAGIC,
		};
	ceph_job_end(j);
	return r;
}

/* ---- open, close ----------------------------------------------------------------------------------- */

static const char *text_of(struct json_object *config, const char *key)
{
	return json_object_get_string(json_object_object_get(config, key));
}

/* The job's memory has the configuration as text, and after a failure the sentence. */
static ssize_t connect_run(struct ceph_job *j)
{
	struct json_object *config = json_tokener_parse(j->buf);
	int r = config ? ceph_connect(j->c, config, j->buf, j->buf_size) : -ENOMEM;

	json_object_put(config);
	return r;
}

static void *unmount(void *client)
{
	struct ceph_client *cl = client;

	ceph_unmount(cl->mount);
	return NULL;
}

/* Each dawdles for a second or two, so all do at once. */
static ssize_t unmount_run(struct ceph_job *j)
{
	pthread_t thread[CEPH_CLIENTS_MAX];
	bool started[CEPH_CLIENTS_MAX] = {false};

	for (unsigned i = 1; i < j->c->clients; i++)
		if (j->c->client[i].mounted)
			started[i] = pthread_create(&thread[i], NULL, unmount, &j->c->client[i]) == 0;
	for (unsigned i = 0; i < j->c->clients; i++)
		if (j->c->client[i].mounted && !started[i])
			unmount(&j->c->client[i]);
	for (unsigned i = 0; i < j->c->clients; i++)
		if (started[i])
			pthread_join(thread[i], NULL);
	return 0;
}

/*
 * Everything is written back first; if the cluster does not answer in time, what a helper is still busy with stays, until
 * the process ends.
 */
static void ceph_type_close(struct ls *ls)
{
	struct ceph *c = ceph_of(ls);
	struct ceph_job *j;

	ceph_watch_end(c);
	if (c->client[0].mounted) {
		ceph_table_fini(c);
		j = ceph_job_new(c, NULL, unmount_run);
		if (!j || ceph_job_do(&j) == -ETIMEDOUT)
			return;
		ceph_job_end(j);
	} else {
		free(c->table.bucket);
	}
	if (!ceph_crew_fini(&c->crew))
		return;
	for (unsigned i = 0; i < c->clients; i++)
		if (c->client[i].mount)
			ceph_release(c->client[i].mount);
	pthread_rwlock_destroy(&c->names);
	free(c);
}

static int connect_do(struct ceph *c, struct json_object *config, char *error, size_t error_size)
{
	const char *text = json_object_to_json_string(config);
	struct ceph_job *j = ceph_job_new(c, NULL, connect_run);
	size_t n = strlen(text) + 1;
	int r = j ? ceph_job_room(j, n > CEPH_TEXT ? n : CEPH_TEXT) : -ENOMEM;

	if (r == 0) {
		memcpy(j->buf, text, n);
		r = ceph_job_do(&j);
	}
	if (r == -ETIMEDOUT)
		snprintf(error, error_size, "ceph: no answer from the cluster at '%s' within %s",
			 json_object_object_get(config, "monitors") ? text_of(config, "monitors") : text_of(config, "conf"),
			 text_of(config, "timeout"));
	else if (r < 0)
		snprintf(error, error_size, "%s", j->buf);
	if (r == -ETIMEDOUT && !j)
		return 1; /* a helper is still in it */
	ceph_job_end(j);
	return r;
}

static int ceph_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	struct ceph *c = calloc(1, sizeof(*c));
	uint64_t timeout = 0;
	int r;

	if (!c)
		return -ENOMEM;
	c->ls = ls;
	ls->state = c;
	c->clients = strtoul(text_of(config, "clients"), NULL, 10);
	ls_parse_time(text_of(config, "timeout"), &timeout);
	pthread_rwlock_init(&c->names, NULL);
	ceph_crew_init(&c->crew, strtoul(text_of(config, "calls"), NULL, 10), timeout);
	r = ceph_table_init(&c->table);
	if (r == 0)
		r = connect_do(c, config, error, error_size);
	if (r == 1)
		return -ETIMEDOUT;
	if (r < 0) {
		ceph_type_close(ls);
		return r;
	}
	ls->root = (struct ls_inode *)c->root;
	if (strcmp(text_of(config, "exclusive"), "true") == 0)
		return 0;
	ls->traits |= LS_SHARED | LS_DELEGATES | LS_LOCKS;
	r = ceph_watch_begin(c);
	if (r < 0)
		ceph_type_close(ls);
	return r;
}

static int ceph_type_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	int r = ceph_option_apply(ceph_of(ls), option, value);

	if (r < 0)
		snprintf(error, error_size, "ceph: libcephfs does not take '%s' for '%s'", value, option);
	return r;
}

static void ceph_type_stats(struct ls *ls, ls_figure *figure, void *arg)
{
	struct ceph *c = ceph_of(ls);
	struct ceph_crew *crew = &c->crew;
	uint64_t calls, timed_out, late, helpers, waiting;

	pthread_mutex_lock(&crew->lock);
	calls = crew->calls;
	timed_out = crew->timed_out;
	late = crew->late;
	helpers = crew->helpers;
	waiting = crew->helpers - crew->idle;
	pthread_mutex_unlock(&crew->lock);
	figure(arg, "calls", calls);
	figure(arg, "calls_under_way", waiting);
	figure(arg, "calls_timed_out", timed_out);
	figure(arg, "calls_ended_late", late);
	figure(arg, "threads", helpers);
	figure(arg, "clients", c->clients);
	figure(arg, "inodes", __atomic_load_n(&c->table.count, __ATOMIC_RELAXED));
	figure(arg, "thrown_out", c->watch.thrown_out);
	figure(arg, "files_reopened", __atomic_load_n(&c->reopened, __ATOMIC_RELAXED));
}

static const struct ls_type ceph_type = {
	.name = "ceph",
	.help = "a directory of a Ceph file system",
	.unset = LS_REFUSE,
	.options = ls_ceph_options,
	.open = ceph_type_open,
	.close = ceph_type_close,
	.set = ceph_type_set,
	.stats = ceph_type_stats,
	.ops = {
#define X(ret, op_name, ...) .op_name = ceph_##op_name##_op,
		LS_FILE_OPS(X)
#undef X
		.delegate = ceph_delegate_op,
		.lock = ceph_lock_op,
	},
};

__attribute__((visibility("default"))) const struct ls_object ls_object = {
	.version = POLYTROPON_VERSION, .layer = &ceph_type};
