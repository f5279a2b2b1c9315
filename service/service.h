/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem service of a pool: what its parts share. */
#pragma once

#include "ipc/back.h"
#include "ipc/copy.h"
#include "service/instance.h"

struct json_object;
struct session;
struct fuse_door;

struct roots;
struct view;
struct root_door;

enum { SERVICE_MOUNTS_MAX = WIRE_MOUNTS_MAX };

struct settings {
	int64_t flush_interval; /* ns; atomic; 0: leave it to what is below */
};

struct service {
	const char *pool;
	int engine_fd; /* BOOT_FD */
	int listen_fd;
	int proc_fd;
	uint64_t mount_namespace; /* the pool's, by its number; 0: not known */
	pid_t init;               /* of the pool; 0: not known */
	struct wire_table *table;
	struct back *back;
	struct copy_thresholds copy;
	unsigned queues;
	int cpus[WIRE_QUEUES_MAX];
	struct instance *mount[SERVICE_MOUNTS_MAX];
	struct fuse_door *door[SERVICE_MOUNTS_MAX];
	unsigned mount_count; /* of the pool file; behind them are roots of containers: roots.h */
	pthread_rwlock_t mounts_lock; /* of those */
	unsigned root_top;            /* atomic: one more than the last of them */
	bool root_held[SERVICE_MOUNTS_MAX]; /* atomic */
	struct roots *roots;          /* NULL: the pool has none */
	const struct root_door *root_door;
	struct settings settings;
	pthread_mutex_t sessions_lock;
	struct session *sessions;
	unsigned session_count;
	int epoll_fd;
	struct view *views; /* the socket thread's: view.h */
	struct view *own_view; /* NULL: the pool's own namespace is not watched */
	unsigned last_view;
	pthread_mutex_t watch_lock;
	unsigned watchers;   /* sessions that watch something: watched.h. Under watch_lock */
	unsigned watch_turn; /* atomic; changed under watch_lock */
	bool stopping, stop_asked;
};

/*
 * mounts.c: the filesystem with that number, with a reference to its root; NULL if there is none (now). Any thread. From
 * the first to service_mount_top().
 */
struct instance *service_mount_get(struct service *s, unsigned n);
void service_mount_put(struct instance *fs);
unsigned service_mount_top(const struct service *s);
/* What the pool file has there, of the fixed ones. */
struct ls *service_stack(const struct service *s, unsigned n);

/* socket.c: accepts clients and watches their lives, in the thread that calls it, until service_stop. */
int socket_loop(struct service *s);

/* worker.c */
int workers_start(struct service *s);
void workers_join(struct service *s);

/* request.c: serves one request; may complete it later, from another thread. */
void request_serve(struct service *s, struct back_request *request);
/* request-hold.c: true: it waits for a limit, and will be served later. To be asked if limit_is_on(). */
bool request_is_held(struct service *s, const struct back_request *request);
void session_held_end(struct session *session);

/* request-lock.c */
struct lock_wait_request;
void session_waits_end(struct session *session);

/* flush.c */
int flusher_start(struct service *s);
void flusher_stop(struct service *s);
void flusher_wake(void); /* something became dirty, or the interval changed */
void service_write_back(struct service *s);
void instance_write_back(struct service *s, struct instance *fs);

/* control.c: one message of the engine; true when the service is to end. */
bool control_message(struct service *s);
/* settings.c: 0, or -EINVAL with a sentence that names the nearest key. */
int setting_set(struct service *s, const char *key, const char *value, char *error, size_t size);
struct json_object *setting_json(struct service *s);

/* session-life.c */
int session_attach(struct service *s, int socket, const struct wire_hello *hello);
void session_end(struct service *s, struct session *session);
struct session *session_of_pid(struct service *s, pid_t pid); /* referenced by back_session; NULL if none */
