/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem service of a pool: what its parts share. */
#pragma once

#include "ipc/back.h"
#include "ipc/copy.h"
#include "service/instance.h"

struct json_object;
struct session;
struct fuse_door;

enum { SERVICE_MOUNTS_MAX = WIRE_MOUNTS_MAX };

struct settings {
	int64_t flush_interval; /* ns; atomic; 0: leave it to what is below */
};

struct service {
	const char *pool;
	int engine_fd; /* BOOT_FD */
	int listen_fd;
	int proc_fd;
	struct wire_table *table;
	struct back *back;
	struct copy_thresholds copy;
	unsigned queues;
	int cpus[WIRE_QUEUES_MAX];
	struct instance *mount[SERVICE_MOUNTS_MAX];
	struct fuse_door *door[SERVICE_MOUNTS_MAX];
	unsigned mount_count;
	struct settings settings;
	pthread_mutex_t sessions_lock;
	struct session *sessions;
	unsigned session_count;
	int epoll_fd;
	bool stopping, stop_asked;
};

/* socket.c: accepts clients and watches their lives, in the thread that calls it, until service_stop. */
int socket_loop(struct service *s);

/* worker.c */
int workers_start(struct service *s);
void workers_join(struct service *s);

/* request.c: serves one request; may complete it later, from another thread. */
void request_serve(struct service *s, unsigned queue, struct back_request *request);

/* request-lock.c */
struct lock_wait_request;
void session_waits_end(struct session *session);

/* flush.c */
int flusher_start(struct service *s);
void flusher_stop(struct service *s);
void flusher_wake(void); /* something became dirty, or the interval changed */
void service_write_back(struct service *s);

/* control.c: one message of the engine; true when the service is to end. */
bool control_message(struct service *s);
/* settings.c: 0, or -EINVAL with a sentence that names the nearest key. */
int setting_set(struct service *s, const char *key, const char *value, char *error, size_t size);
struct json_object *setting_json(struct service *s);

/* session-life.c */
int session_attach(struct service *s, int socket, const struct wire_hello *hello);
void session_end(struct service *s, struct session *session);
struct session *session_of_pid(struct service *s, pid_t pid); /* referenced by back_session; NULL if none */
