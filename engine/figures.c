/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A neighbour is found by what the pools' meters say of the same seconds: time in the service on the core that the slow
 * operation was served on or, if it was lost in waiting for a device, time that the other waited for one that both use.
 * What programs compute is not seen.
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/figures.h"

enum { PATIENCE_S = 2 }; /* a service may hang */

static int ask(const char *method, const char *pool, int64_t after, struct json_object **ret, int *ret_fd,
	       struct error *error)
{
	_cleanup_(close_p) int connection = command_connect();
	struct json_object *parameters = json_object_new_object();
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int r;

	if (connection < 0) {
		json_object_put(parameters);
		return error_set(error, CALL_NO_POOL, "no pool '%s' runs, nor any other", pool ? pool : "");
	}
	if (pool)
		json_set(parameters, "pool", "%s", pool);
	if (after)
		json_object_object_add(parameters, "after", json_object_new_int64(after));
	errno = 0;
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = engine_call(connection, method, parameters, ret, ret_fd, error);
	if (r == CALL_FAILED && errno == EAGAIN && pool)
		error_set(error, 0, "the service of pool '%s' has not answered for %d s", pool, PATIENCE_S);
	return r;
}

struct json_object *figures_pools(void)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	int connection = command_connect();
	struct error error;

	if (connection < 0)
		return connection == -ENOENT ? json_object_new_array() : NULL;
	close(connection);
	if (ask("Ps", NULL, 0, &reply, NULL, &error) != CALL_OK) {
		complain("%s", error.text);
		return NULL;
	}
	return json_object_get(json_child(reply, "pools", json_type_array));
}

struct meter *figures_meter(const char *pool, struct error *error)
{
	_cleanup_(close_p) int fd = -1;
	struct meter *meter;

	if (ask("Meter", pool, 0, NULL, &fd, error) != CALL_OK)
		return NULL;
	meter = meter_map(fd);
	if (!meter)
		error_set(error, 0, "the figures of pool '%s' are of another version", pool);
	return meter;
}

static struct json_object *stats_measured(const char *pool, struct error *error)
{
	struct error why = *error;
	struct meter *meter = figures_meter(pool, error);
	struct json_object *o;

	if (!meter)
		return NULL;
	o = json_object_new_object();
	json_set(o, "pool", "%s", pool);
	json_set(o, "note", "%s", why.text);
	json_object_object_add(o, "doors", meter_doors_json(meter));
	meter_unmap(meter);
	return o;
}

struct json_object *figures_stats(const char *pool, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	int r = ask("Stats", pool, 0, &reply, NULL, error);

	if (r == CALL_FAILED)
		return stats_measured(pool, error);
	return r == CALL_OK ? json_object_get(json_child(reply, "stats", json_type_object)) : NULL;
}

struct json_object *figures_stats_whole(const char *pool, struct error *error)
{
	struct json_object *stats = figures_stats(pool, error), *containers;
	struct error unseen;
	struct meter *meter = stats ? figures_meter(pool, &unseen) : NULL;

	if (!meter)
		return stats;
	containers = json_child(stats, "containers", json_type_object);
	if (!containers) {
		containers = meter_containers_json(meter);
		json_object_object_add(stats, "containers", containers);
	}
	meter_containers_add(meter, containers);
	json_object_object_add(stats, "histograms", meter_histograms_json(meter));
	meter_unmap(meter);
	return stats;
}

/* ---- processes ------------------------------------------------------------------------------------- */

/* {"0": 5} -> {"read": 5} */
static struct json_object *calls_named(struct json_object *calls)
{
	struct json_object *named = json_object_new_object();

	json_object_object_foreach(calls, nr, n) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, atoi(nr));
		json_object_object_add(named, name ? name : nr, json_object_get(n));
		free(name);
	}
	return named;
}

static void process_name_calls(struct json_object *process)
{
	static const char *const keys[] = {"served", "kernel"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct json_object *calls = json_child(process, keys[i], json_type_object);
		if (calls)
			json_object_object_add(process, keys[i], calls_named(calls));
	}
}

struct json_object *figures_processes(const char *pool, struct error *error)
{
	struct json_object *list = json_object_new_array();
	int64_t after = 0;

	for (;;) {
		_cleanup_(json_put_p) struct json_object *reply = NULL;
		struct json_object *some;
		size_t n;
		if (ask("Processes", pool, after, &reply, NULL, error) != CALL_OK) {
			json_object_put(list);
			return NULL;
		}
		some = json_child(reply, "stats", json_type_array);
		n = some ? json_object_array_length(some) : 0;
		for (size_t i = 0; i < n; i++) {
			struct json_object *process = json_object_array_get_idx(some, i);
			process_name_calls(process);
			after = json_number(process, "pid", INT32_MAX);
			json_object_array_add(list, json_object_get(process));
		}
		if (!n)
			return list;
	}
}

/* ---- slow operations ------------------------------------------------------------------------------- */

enum { NEIGHBOURS_MAX = 64, DEVICES_MAX = 32 };

struct neighbour {
	const char *name;
	struct meter *meter;
	dev_t device[DEVICES_MAX];
	unsigned devices;
};

/* The devices of the files, directories and block devices that a pool's description names. */
static void devices_find(struct json_object *json, struct neighbour *n)
{
	struct stat st;

	if (json_object_is_type(json, json_type_array))
		for (size_t i = 0; i < json_object_array_length(json); i++)
			devices_find(json_object_array_get_idx(json, i), n);
	if (json_object_is_type(json, json_type_object)) {
		json_object_object_foreach(json, key, value) {
			(void)key;
			devices_find(value, n);
		}
	}
	if (!json_object_is_type(json, json_type_string) || *json_object_get_string(json) != '/' ||
	    n->devices == DEVICES_MAX || stat(json_object_get_string(json), &st) < 0)
		return;
	n->device[n->devices++] = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
}

static bool devices_meet(const struct neighbour *a, const struct neighbour *b)
{
	for (unsigned i = 0; i < a->devices; i++)
		for (unsigned j = 0; j < b->devices; j++)
			if (a->device[i] == b->device[j])
				return true;
	return false;
}

static unsigned neighbours_open(struct json_object *pools, struct neighbour *n)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct json_object *specs;
	struct error error;
	unsigned count = 0;

	if (ask("Dump", NULL, 0, &reply, NULL, &error) != CALL_OK)
		return 0;
	specs = json_child(reply, "pools", json_type_object);
	for (size_t i = 0; i < json_object_array_length(pools) && count < NEIGHBOURS_MAX; i++) {
		const char *name = json_string(json_object_array_get_idx(pools, i), "pool");
		struct json_object *spec = json_child(specs, name, json_type_object);
		n[count] = (struct neighbour){.name = name, .meter = figures_meter(name, &error)};
		devices_find(json_child(spec, "mounts", json_type_object), &n[count]);
		count += n[count].meter != NULL;
	}
	return count;
}

static void slow_explain(struct json_object *slow, const struct neighbour *self, const struct neighbour *n,
			 unsigned count)
{
	uint64_t ended = json_number(slow, "ended_ns", 0), ns = json_number(slow, "ns", 0), most = 0;
	uint64_t until = ended / 1000000000u, from = (ended > ns ? ended - ns : 0) / 1000000000u;
	const char *stage = json_string(slow, "lost_in"), *who = NULL;
	bool device = !strcmp(stage, "device") || !strcmp(stage, "network");
	uint32_t cpu = (uint32_t)json_number(slow, "cpu", UINT32_MAX);

	for (const struct neighbour *other = n; other < n + count; other++) {
		struct meter_second busy;
		uint64_t time;
		if (other == self || (device && !devices_meet(self, other)))
			continue;
		meter_busy(other->meter, device ? UINT32_MAX : cpu, from, until, &busy);
		time = device ? busy.device_ns : busy.busy_ns;
		if (time > most) {
			most = time;
			who = other->name;
		}
	}
	if (!who)
		return;
	json_set(slow, "neighbour", "%s", who);
	json_set(slow, "shared", "%s", device ? "device" : "core");
	json_object_object_add(slow, "neighbour_ns", json_object_new_uint64(most));
}

struct json_object *figures_slow(const char *pool, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *pools = figures_pools();
	struct neighbour n[NEIGHBOURS_MAX], *self = NULL;
	struct json_object *list = NULL;
	unsigned count;

	if (!pools) {
		error_set(error, 0, "the engine does not answer");
		return NULL;
	}
	count = neighbours_open(pools, n);
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(n[i].name, pool))
			self = &n[i];
	if (self) {
		list = meter_slow_json(self->meter);
		for (size_t i = 0; i < json_object_array_length(list); i++)
			slow_explain(json_object_array_get_idx(list, i), self, n, count);
	} else {
		meter_unmap(figures_meter(pool, error)); /* says what is wrong */
	}
	while (count > 0)
		meter_unmap(n[--count].meter);
	return list;
}

/* ---- for people ------------------------------------------------------------------------------------ */

const char *figure_bytes(double bytes, char buf[static 16])
{
	static const char units[] = "BKMGTP";
	int unit = 0;

	for (; bytes >= 999.5 && unit < 5; unit++)
		bytes /= 1024;
	snprintf(buf, 16, bytes < 9.95 && unit ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
	return buf;
}

const char *figure_time(double ns, char buf[static 16])
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	int unit = 0;

	for (; ns >= 999.5 && unit < 3; unit++)
		ns /= 1000;
	snprintf(buf, 16, ns < 9.95 && unit ? "%.1f%s" : "%.0f%s", ns, units[unit]);
	return buf;
}
