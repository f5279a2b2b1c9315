/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container is what `polytropon run` or `exec` started: its first process is one in the pool's PID namespace whose
 * parent is outside of it. One with a PID namespace of its own is all that is in there. Of others, processes that lost
 * their parents belong to row 0, with those of containers that found no row.
 */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/container.h"
#include "service/histogram.h"
#include "service/limit.h"
#include "service/parent.h"
#include "service/share.h"
#include "service/stats.h"

enum { ANCESTORS = 32 };

static bool pid_lives(const struct service *s, uint32_t pid)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", pid);
	return faccessat(s->proc_fd, name, F_OK, 0) == 0;
}

static void row_clear(struct meter *m, unsigned row)
{
	memset(&m->container[row], 0, sizeof(m->container[row]));
	for (unsigned i = 0; i < METER_SHARDS; i++)
		if (m->shard[i].owner)
			memset(&m->shard[i].container[row], 0, sizeof(m->shard[i].container[row]));
	histogram_give(m, row);
}

/* The container's row, a new one perhaps; one whose process has ended goes when there is no other. */
static unsigned row_of(const struct service *s, pid_t pid, const char *name)
{
	struct meter *m = stat_meter();
	unsigned row, free_row = 0;

	for (row = 1; row < METER_CONTAINERS; row++) {
		if (m->container[row].pid == (uint32_t)pid) {
			/* It may have been found when it was about to exec. */
			snprintf(m->container[row].name, sizeof(m->container[row].name), "%s", name);
			return row;
		}
		if (!free_row && !m->container[row].pid)
			free_row = row;
	}
	for (row = 1; row < METER_CONTAINERS && !free_row; row++)
		if (!pid_lives(s, m->container[row].pid))
			free_row = row;
	if (!free_row)
		return 0;
	row_clear(m, free_row);
	limit_forget(free_row);
	snprintf(m->container[free_row].name, sizeof(m->container[free_row].name), "%s", name);
	m->container[free_row].pid = (uint32_t)pid;
	return free_row;
}

/* False: that session's process is not known. */
static bool row_of_session(struct service *s, pid_t pid, unsigned *ret)
{
	struct session *session = session_of_pid(s, pid);

	if (!session)
		return false;
	*ret = session->container;
	back_session_put(&session->back);
	return true;
}

/* The number of its PID namespace; 0: it has ended. */
static uint64_t namespace_of(const struct service *s, pid_t pid)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "%d/ns/pid", pid);
	return fstatat(s->proc_fd, name, &st, 0) == 0 ? st.st_ino : 0;
}

/* A container's first process is our own command until it execs, which may be later than it was found. */
static void row_rename(unsigned row, pid_t pid, const char *name)
{
	struct meter_container *c = &stat_meter()->container[row];

	if (c->pid == (uint32_t)pid && !strncmp(c->name, "polytropon", sizeof("polytropon") - 1))
		snprintf(c->name, sizeof(c->name), "%s", name);
}

/*
 * Of what is in a PID namespace of its own below the pool's: whoever entered that later belongs to the same container. What
 * the rows' namespaces are is remembered, so that only one that may be it is looked at in /proc: namespaces' numbers come
 * again.
 */
static unsigned row_of_namespace(const struct service *s, pid_t pid, const char *name)
{
	static struct {
		uint32_t pid;
		uint64_t number;
	} known[METER_CONTAINERS]; /* under rows_lock */
	const struct meter *m = stat_meter();
	uint64_t own = namespace_of(s, pid);

	for (unsigned row = 1; own && row < METER_CONTAINERS; row++) {
		uint32_t first = m->container[row].pid;
		if (!first || (known[row].pid == first && known[row].number && known[row].number != own))
			continue;
		known[row].pid = first;
		known[row].number = namespace_of(s, (pid_t)first);
		if (known[row].number == own) {
			row_rename(row, pid, name);
			return row;
		}
	}
	return row_of(s, pid, name);
}

enum { DEPTH_HOST = 1, DEPTH_POOL };

/* The first process of a container, whose parent is outside; `depth`: of its namespace. */
static unsigned row_of_first(const struct service *s, pid_t pid, unsigned depth, const char *name)
{
	if (depth > DEPTH_POOL)
		return row_of_namespace(s, pid, name);
	return process_inner_pid(s->proc_fd, pid) == 1 ? 0 : row_of(s, pid, name); /* 1: the pool's init */
}

/* Of a process whose parent has no session. *ret_inside: the parent belongs to it, too. */
static unsigned row_climb(struct service *s, pid_t pid, const struct process *process, bool *ret_inside)
{
	char name[16];
	pid_t at = pid, parent = process->parent;
	unsigned row, depth = process->depth;

	memcpy(name, process->name, sizeof(name));
	for (unsigned i = 0; i < ANCESTORS && parent > 0; i++) {
		struct process p = {0};
		if (process_read(s->proc_fd, parent, &p) < 0)
			break;
		process_fini(&p);
		*ret_inside = at != pid;
		if (p.depth <= DEPTH_HOST || (p.depth == DEPTH_POOL && depth > DEPTH_POOL))
			return row_of_first(s, at, depth, name);
		if (p.depth == DEPTH_POOL && process_inner_pid(s->proc_fd, parent) == 1)
			return 0;
		at = parent;
		parent = p.parent;
		depth = p.depth;
		memcpy(name, p.name, sizeof(name));
		*ret_inside = true;
		if (row_of_session(s, parent, &row))
			return row;
	}
	*ret_inside = false;
	return 0;
}

static unsigned row_find(struct service *s, pid_t pid, const struct process *process)
{
	const unsigned depth = process->depth;
	bool inside = false;
	uint64_t parent;
	unsigned row;

	if (depth <= DEPTH_HOST)
		return row_of(s, pid, process->name);
	/* (After an exec it is its own predecessor.) */
	if (row_of_session(s, pid, &row) || row_of_session(s, process->parent, &row))
		return row;
	parent = parent_id(process->parent);
	if (parent_known(parent, depth, &row))
		return row;
	row = row_climb(s, pid, process, &inside);
	if (inside)
		parent_remember(parent, depth, row);
	return row;
}

static pthread_mutex_t rows_lock = PTHREAD_MUTEX_INITIALIZER;

void container_join(struct service *s, struct session *session)
{
	struct meter *m = stat_meter();

	pthread_mutex_lock(&rows_lock);
	session->container = row_find(s, session->pid, &session->process);
	m->container[session->container].processes++;
	pthread_mutex_unlock(&rows_lock);
}

unsigned container_of_process(struct service *s, pid_t pid)
{
	struct process process = {0};
	unsigned row = CONTAINER_NONE;

	if (process_read(s->proc_fd, pid, &process) < 0)
		return 0;
	pthread_mutex_lock(&rows_lock);
	if (process.depth > DEPTH_HOST)
		row = row_find(s, pid, &process);
	pthread_mutex_unlock(&rows_lock);
	process_fini(&process);
	return row;
}

int container_limit(struct service *s, pid_t pid, const char *name, struct json_object *settings, char *error, size_t size)
{
	unsigned row = pid > 0 ? container_of_process(s, pid) : 0;
	int r = 0;

	if (!row || row == CONTAINER_NONE) {
		snprintf(error, size, "process %d is in no container, or there are more than %d", pid, METER_CONTAINERS - 1);
		return -ESRCH;
	}
	if (*name)
		snprintf(stat_meter()->container[row].name, sizeof(stat_meter()->container[row].name), "%s", name);
	json_object_object_foreach(settings, key, value) {
		if (r == 0)
			r = limit_set((int)row, key, json_object_get_string(value), error, size);
		if (r == -ENOENT)
			snprintf(error, size, "'%s' is no limit of a container", key);
	}
	if (r == 0 && s->back)
		share_limited(s);
	return r;
}

/*
 * Threads that were looked for lately, each a word: its number, a time of an eighth of a second, and the row. A look into
 * /proc takes as long as a request.
 */
enum { KNOWN = 256, TICK_SHIFT = 27 /* of ns */, TICK_BITS = 24, ROW_BITS = 8 };
enum { ROW_NONE = (1 << ROW_BITS) - 1 };
_Static_assert((int)METER_CONTAINERS <= (int)ROW_NONE, "a row fits");

unsigned container_of_thread(struct service *s, pid_t tid)
{
	static uint64_t known[KNOWN]; /* atomic */
	uint64_t tick = (uint64_t)stat_now() >> TICK_SHIFT & ((1u << TICK_BITS) - 1);
	uint64_t word = (uint64_t)(uint32_t)tid << (ROW_BITS + TICK_BITS) | tick << ROW_BITS;
	uint64_t *place = &known[(uint32_t)tid % KNOWN], was = __atomic_load_n(place, __ATOMIC_RELAXED);
	pid_t pid, inner;
	unsigned row;

	if (tid <= 0)
		return 0;
	if (was >> ROW_BITS == word >> ROW_BITS)
		return (was & ROW_NONE) == ROW_NONE ? CONTAINER_NONE : was & ROW_NONE;
	row = thread_identify(s->proc_fd, tid, &pid, &inner) < 0 ? 0 : container_of_process(s, pid);
	__atomic_store_n(place, word | (row & ROW_NONE), __ATOMIC_RELAXED);
	return row;
}

/* ---- counts ------------------------------------------------------------------------------------ */

static const struct wire_counts *counts_of(const struct session *session)
{
	return (const struct wire_counts *)(session->back.memory + WIRE_COUNTS_AT);
}

/* The shards that have memory: a look at another would make some. */
static unsigned shards_used(const struct session *session)
{
	unsigned char there[WIRE_COUNT_SHARDS] = {0};
	unsigned used = 0;

	if (!session->back.memory || mincore(session->back.memory + WIRE_COUNTS_AT, sizeof(struct wire_counts), there) < 0)
		return 0;
	for (unsigned s = 0; s < WIRE_COUNT_SHARDS; s++)
		used |= (there[s] & 1u) << s;
	return used;
}

/* A client that writes nonsense gets nonsense, but no negative numbers. */
static void counts_add(const struct session *session, uint64_t to[64])
{
	const struct wire_counts *c = counts_of(session);
	unsigned used = shards_used(session);

	for (unsigned s = 0; s < WIRE_COUNT_SHARDS; s++)
		for (unsigned i = 0; (used >> s & 1) && i < WIRE_COUNT_MAX; i++)
			to[i] += __atomic_load_n(&c->shard[s].count[i], __ATOMIC_RELAXED) & INT64_MAX >> 8;
}

void container_count(const struct session *session)
{
	counts_add(session, stat_meter()->container[session->container].count);
}

static void counts_put(struct json_object *o, const uint64_t count[64])
{
	for (unsigned i = 0; i < WIRE_COUNT_MAX; i++)
		if (count[i])
			json_object_object_add(o, meter_count_name(i), json_object_new_uint64(count[i]));
}

/* Of the live sessions of a container (row), or of all (METER_CONTAINERS). */
static void counts_live(struct service *s, unsigned row, uint64_t to[64])
{
	pthread_mutex_lock(&s->sessions_lock);
	for (struct session *session = s->sessions; session; session = session->next)
		if (row == METER_CONTAINERS || session->container == row)
			counts_add(session, to);
	pthread_mutex_unlock(&s->sessions_lock);
}

struct json_object *counts_json(struct service *s)
{
	struct json_object *o = json_object_new_object();
	const struct meter *m = stat_meter();
	uint64_t count[64] = {0};

	for (unsigned row = 0; row < METER_CONTAINERS; row++)
		for (unsigned i = 0; i < WIRE_COUNT_MAX; i++)
			count[i] += m->container[row].count[i];
	counts_live(s, METER_CONTAINERS, count);
	for (unsigned i = 0; i < WIRE_COUNT_MAX; i++)
		json_object_object_add(o, meter_count_name(i), json_object_new_uint64(count[i]));
	return o;
}

static struct json_object *container_json(struct service *s, unsigned row)
{
	struct json_object *o = json_object_new_object();
	const struct meter *m = stat_meter();
	uint64_t requests = 0, errors = 0, bytes = 0, time_ns = 0, count[64], throttled = 0, throttled_ns = 0;

	for (const struct meter_shard *shard = m->shard; shard < m->shard + METER_SHARDS; shard++) {
		if (!shard->owner)
			continue;
		requests += shard->container[row].count;
		errors += shard->container[row].errors;
		bytes += shard->container[row].bytes;
		time_ns += shard->container[row].time_ns;
		throttled += shard->container[row].throttled;
		throttled_ns += shard->container[row].throttled_ns;
	}
	json_object_object_add(o, "requests", json_object_new_uint64(requests));
	json_object_object_add(o, "errors", json_object_new_uint64(errors));
	json_object_object_add(o, "bytes", json_object_new_uint64(bytes));
	json_object_object_add(o, "time_ns", json_object_new_uint64(time_ns));
	json_object_object_add(o, "mean_ns", json_object_new_uint64(requests ? time_ns / requests : 0));
	json_object_object_add(o, "throttled", json_object_new_uint64(throttled));
	json_object_object_add(o, "throttled_ns", json_object_new_uint64(throttled_ns));
	json_object_object_add(o, "io", limit_json(row));
	json_object_object_add(o, "processes", json_object_new_uint64(m->container[row].processes));
	memcpy(count, m->container[row].count, sizeof(count));
	counts_live(s, row, count);
	count[WIRE_COUNT_REQUESTS] = 0; /* the service knows better */
	counts_put(o, count);
	return o;
}

struct json_object *containers_json(struct service *s)
{
	struct json_object *o = json_object_new_object();
	const struct meter *m = stat_meter();

	for (unsigned row = 0; row < METER_CONTAINERS; row++) {
		char name[48];
		if (row && !m->container[row].pid)
			continue;
		if (row)
			snprintf(name, sizeof(name), "%u %s%s", m->container[row].pid, m->container[row].name,
				 pid_lives(s, m->container[row].pid) ? "" : " +");
		else
			snprintf(name, sizeof(name), "others");
		json_object_object_add(o, name, container_json(s, row));
	}
	return o;
}

/* ---- processes --------------------------------------------------------------------------------- */

static struct json_object *calls_json(const struct session *session, bool kernel)
{
	struct json_object *o = json_object_new_object();
	const struct wire_counts *c = counts_of(session);
	unsigned used = shards_used(session);

	for (unsigned nr = 0; nr < WIRE_COUNT_CALLS; nr++) {
		uint64_t n = 0;
		char name[8];
		for (unsigned s = 0; s < WIRE_COUNT_SHARDS; s++)
			n += !(used >> s & 1) ? 0 : kernel ? c->shard[s].kernel[nr] : c->shard[s].served[nr];
		snprintf(name, sizeof(name), "%u", nr);
		if (n)
			json_object_object_add(o, name, json_object_new_uint64(n));
	}
	return o;
}

static struct json_object *process_json(const struct session *session)
{
	struct json_object *o = json_object_new_object(), *counts = json_object_new_object();
	uint64_t count[64] = {0};

	counts_add(session, count);
	counts_put(counts, count);
	json_object_object_add(o, "pid", json_object_new_int(session->pid));
	json_object_object_add(o, "name", json_object_new_string(session->process.name));
	json_object_object_add(o, "container",
			       json_object_new_uint64(stat_meter()->container[session->container].pid));
	json_object_object_add(o, "counts", counts);
	json_object_object_add(o, "served", calls_json(session, false));
	json_object_object_add(o, "kernel", calls_json(session, true));
	return o;
}

/* The session with the least pid above `after`. The lock is held. */
static struct session *session_after(struct service *s, pid_t after)
{
	struct session *next = NULL;

	for (struct session *session = s->sessions; session; session = session->next)
		if (session->pid > after && session->back.memory && (!next || session->pid < next->pid))
			next = session;
	return next;
}

struct json_object *processes_json(struct service *s, pid_t after)
{
	enum { AT_ONCE = 24 }; /* an entry has at most a few thousand bytes */
	struct json_object *list = json_object_new_array();
	struct session *session;

	pthread_mutex_lock(&s->sessions_lock);
	while (json_object_array_length(list) < AT_ONCE && (session = session_after(s, after))) {
		json_object_array_add(list, process_json(session));
		after = session->pid;
	}
	pthread_mutex_unlock(&s->sessions_lock);
	return list;
}
