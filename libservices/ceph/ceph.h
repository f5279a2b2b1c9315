/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ceph layer's insides. See ceph.c for the idea as a whole.
 *
 * Locks: a file's and an inode's before the table's and the crew's, which are last and held for no call of libcephfs.
 */
#pragma once

#include <cephfs/libcephfs.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "libservices/libservice.h"
#include "libservices/rules.h"

#define CEPH_SNAPDIR ((uint64_t)-1) /* and of a directory `.snap` */
#define CEPH_SNAP_NAME ".snap"

enum { CEPH_CLIENTS_MAX = 16, CEPH_GROUPS = 64, CEPH_PIECE = 4 << 20, CEPH_TEXT = 512 };

/* One of the clients that serve the directory together: ceph.c. */
struct ceph_client {
	struct ceph_mount_info *mount;
	bool mounted;
	char *address; /* as evict.c last saw it */
};

struct ceph_inode {
	struct ceph_inode *next; /* in its bucket */
	struct ceph_client *client; /* whose it is as long as somebody refers to it */
	Inode *in;               /* with one reference of libcephfs */
	uint64_t ino, snap;
	mode_t type;
	int64_t changed;          /* of a directory: when we last changed what is in it, ns; atomic */
	uint64_t refs;            /* the table's lock */
	pthread_mutex_t appends;  /* one at a time: libcephfs looks for the end first, and then writes */
	bool unsynced;            /* written to since the last fsync; atomic */
	struct ceph_file *locker; /* the file by which it is locked; lock.c */
};

/* A file that an evicted client had open is opened again; threads may still be in calls with the old handle. */
struct ceph_handle {
	struct ceph_handle *older;
	Fh *fh;
};

struct ceph_file {
	struct ceph_inode *inode;
	unsigned refs; /* atomic */
	int flags;
	pthread_mutex_t lock; /* what follows */
	struct ceph_handle *handle;
	struct ceph_dir_result *dir;
	struct ceph_job *recall; /* atomic: what is to be done when its delegation is called back */
	bool delegated;          /* atomic */
	LIST_ENTRY(ceph_file) delegated_link;
	bool unheard;            /* atomic: its delegation may have ended without a recall */
	struct ceph_listing *listing; /* entries that were read and not yet taken: dir.c */
};

struct ceph_table {
	pthread_mutex_t lock;
	struct ceph_inode **bucket;
	size_t bucket_count, count;
};

enum ceph_job_state { CEPH_QUEUED, CEPH_RUNNING, CEPH_DONE, CEPH_LEFT };

/*
 * One call of libcephfs, or a few, with all that it needs: whoever asked may be gone when it ends. crew.c says more.
 */
struct ceph_job {
	TAILQ_ENTRY(ceph_job) link;
	struct ceph *c;
	ssize_t (*run)(struct ceph_job *j);
	void (*undo)(struct ceph_job *j); /* a success that comes too late; may be NULL */
	enum ceph_job_state state;
	pthread_cond_t done;
	ssize_t result;
	int64_t deadline;
	bool late;    /* its caller has gone */
	bool changes; /* what is in the directories that it is on */

	UserPerm *perm;
	gid_t groups[CEPH_GROUPS];
	struct ceph_client *client; /* which makes the call */
	struct ceph_inode *inode, *inode2; /* referenced by the job */
	Inode *in2;                        /* inode2, as that client has it: by ceph_job_meet */
	bool meets;                        /* another client has inode2 */
	struct ceph_file *file;            /* the same */
	char name[NAME_MAX + 1], name2[NAME_MAX + 1];
	mode_t mode;
	uint64_t flags, offset, length;
	struct flock lock;
	uint64_t owner;

	/* What came of it. */
	Inode *in;
	struct ceph_statx stx;
	Fh *fh;
	struct ceph_dir_result *dir;
	struct ceph_listing *listing;
	struct statvfs vfs;
	char *buf;
	size_t buf_size;
};

TAILQ_HEAD(ceph_jobs, ceph_job);

struct ceph_crew {
	pthread_mutex_t lock;
	pthread_cond_t come, gone;
	struct ceph_jobs queue, spare;
	unsigned helpers, idle, spare_count, max;
	unsigned looking, spin; /* helpers that look out for a job, and how long */
	unsigned queued;        /* atomic for those */
	bool ending;
	uint64_t timeout; /* ns; atomic */
	uint64_t calls, timed_out, late;
	bool silent;       /* it was said that calls get no answer in time; atomic */
	int64_t silent_at; /* when one last got none; atomic */
};

struct ceph_watch {
	pthread_mutex_t lock;
	pthread_cond_t change;
	pthread_t thread;
	bool runs, ending;
	uint64_t thrown_out;
	LIST_HEAD(, ceph_file) delegated;
};

struct ceph {
	struct ls *ls;
	struct ceph_client client[CEPH_CLIENTS_MAX];
	unsigned clients;
	struct ceph_crew crew;
	struct ceph_table table;
	struct ceph_watch watch;
	struct ceph_inode *root;
	pthread_rwlock_t names; /* written by those who change several names as if it were one step */
	bool may_change;        /* a name was made or removed: the key has the right to; atomic */
	uint64_t serial;        /* of names of our own; atomic */
	uint64_t reopened;      /* atomic */
};

extern const struct ls_option ls_ceph_options[];

static inline struct ceph *ceph_of(struct ls *ls)
{
	return ls->state;
}

static inline struct ceph_inode *ceph_inode_of(struct ls_inode *inode)
{
	return (struct ceph_inode *)inode;
}

static inline struct ceph_file *ceph_file_of(struct ls_file *f)
{
	return (struct ceph_file *)f;
}

/* crew.c */
int ceph_crew_init(struct ceph_crew *crew, unsigned max, uint64_t timeout);
/* False: some helper does not come back, and nothing that it may use can be freed. */
bool ceph_crew_fini(struct ceph_crew *crew);

/* job.c */
void ceph_job_free(struct ceph_job *j);
/* A job with the caller's identity; NULL: no memory. */
struct ceph_job *ceph_job_new(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j));
/* The same with an inode and a name. -errno if the name is too long. */
int ceph_job_named(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
		   struct ls_inode *dir, const char *name, struct ceph_job **ret);
struct ceph_job *ceph_job_on(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
			     struct ls_inode *inode);
struct ceph_job *ceph_job_with(struct ceph *c, const struct ls_call *call, ssize_t (*run)(struct ceph_job *j),
			       struct ls_file *f);
/* In a helper: finds in2. */
int ceph_job_meet(struct ceph_job *j);
/* In a helper, which has found, or made, the directory j->in in the root: gives it to the client whose it is to be. */
void ceph_job_share_out(struct ceph_job *j, bool is_new);
/* Room for the job's data. */
int ceph_job_room(struct ceph_job *j, size_t size);
void ceph_job_end(struct ceph_job *j); /* takes NULL */

/* crew.c again */
/* Runs it and waits. -ETIMEDOUT: *j became NULL, and the job is the crew's. */
ssize_t ceph_job_do(struct ceph_job **j);
/* Runs it with nobody to wait for it, beyond the limit of helpers if need be. Blocks nowhere. */
void ceph_job_start(struct ceph_job *j);
/* For one job of which nothing but the result is wanted. */
ssize_t ceph_job_do_end(struct ceph_job *j);

/* table.c */
int ceph_table_init(struct ceph_table *table);
void ceph_table_fini(struct ceph *c);
/* The inode, whose reference of libcephfs it takes over; one reference for the caller. */
int ceph_inode_enter(struct ceph *c, struct ceph_client *client, Inode *in, const struct ceph_statx *stx, struct ceph_inode **ret);
struct ceph_inode *ceph_inode_ref(struct ceph *c, struct ceph_inode *inode);
void ceph_inode_unref(struct ceph *c, struct ceph_inode *inode, uint64_t n);
/* By number; referenced. NULL: not known. */
struct ceph_inode *ceph_inode_known(struct ceph *c, uint64_t number);
uint64_t ceph_number(uint64_t ino, uint64_t snap);

/* attr.c */
/* The inode may be NULL. */
void ceph_attr(const struct ceph_inode *inode, const struct ceph_statx *stx, struct ls_attr *ret);
/* Gives the caller what a job found, as lookup does. */
int ceph_job_inode(struct ceph_job *j, struct ls_inode **ret_inode, struct ls_attr *ret_attr);
void ceph_undo_inode(struct ceph_job *j);

/* file.c */
int ceph_file_new(struct ceph *c, struct ceph_inode *inode, int flags, Fh *fh, struct ceph_dir_result *dir,
		  struct ls_file **ret);
void ceph_file_unref(struct ceph *c, struct ceph_file *file);
/* Its handle as it is now. */
Fh *ceph_file_handle(struct ceph_file *file);

/* Opens the job's file again, unless somebody else has done so. */
int ceph_handle_renew(struct ceph_job *j, Fh *dead);
/* Calls with the file's handle, and once more with a new one if it is dead. */
ssize_t ceph_with_handle(struct ceph_job *j, ssize_t (*fn)(struct ceph_job *j, Fh *fh));

/* delegate.c */
int ceph_delegations_allow(struct ceph_client *client);
/* The file's delegation, if it has one, is gone. */
void ceph_recall(struct ceph_file *file);
int ceph_delegate_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, enum ls_delegation what);

/* evict.c: where others may change the files. */
int ceph_watch_begin(struct ceph *c);
void ceph_watch_end(struct ceph *c); /* if it was begun */
void ceph_watch_add(struct ceph *c, struct ceph_file *file);
void ceph_watch_remove(struct ceph *c, struct ceph_file *file);

/* lock.c */
int ceph_lock_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f, bool get,
		 struct ls_lock *lock);

/* name.c */
/* Around a change of what is in a directory: when it begins, and after it was done. */
int64_t ceph_change_begin(void);
void ceph_change_end(struct ceph_inode *dir, int64_t began);

/* dir.c */
void ceph_listing_free(struct ceph_listing *listing);

/* connect.c: in a helper. The reason of a failure goes to `error`. */
struct json_object;
int ceph_connect(struct ceph *c, struct json_object *config, char *error, size_t error_size);
/* Sets one of our options on the clients, in Ceph's words. */
int ceph_option_apply(struct ceph *c, const char *option, const char *value);

/* The operations, ceph_<op>_op: ceph_lookup and others are libcephfs' own names. */
#define X(ret, name, params, ...) ret ceph_##name##_op params;
LS_FILE_OPS(X)
#undef X
