/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `metrics`: what `stats` says of all pools, as OpenMetrics text: printed, or served by HTTP on a UNIX socket (root's
 * alone) or on the loopback. One request at a time, which has two seconds to be sent and to be taken: nobody can hold up
 * the others for longer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/command.h"
#include "engine/figures.h"

const struct option_row metrics_options[] = {
	{"socket", "PATH", "serve on a UNIX socket"},
	{"listen", "ADDRESS:PORT", "serve on the loopback, as in 127.0.0.1:9464 or [::1]:9464"},
	{},
};

enum { POOLS_MAX = 64, REQUEST_MAX = 4096, PATIENCE_S = 2 };

struct source_pool {
	const char *name, *state;
	int64_t restarts;
	struct meter *meter;
	struct json_object *stats;
};

struct sources {
	struct json_object *pools;
	struct source_pool pool[POOLS_MAX];
	unsigned count;
};

/* ---- text ------------------------------------------------------------------------------------------ */

/* A label's value: paths may have anything in them. */
static void put_label(FILE *out, const char *key, const char *value)
{
	fprintf(out, "%s=\"", key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			putc(*value, out);
	}
	putc('"', out);
}

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE polytropon_%s %s\n# HELP polytropon_%s %s\n", name, type, name, help);
}

static void put_op(FILE *out, const char *name, const struct source_pool *p, unsigned door, unsigned op)
{
	fprintf(out, "polytropon_%s{", name);
	put_label(out, "pool", p->name);
	fprintf(out, ",door=\"%s\",op=\"%s\"", meter_door_name(door), meter_op_name(op));
}

typedef void op_writer(FILE *out, const struct source_pool *p, unsigned door, unsigned op, const struct meter_sum *sum);

static void write_count(FILE *out, const struct source_pool *p, unsigned door, unsigned op, const struct meter_sum *sum)
{
	put_op(out, "errors_total", p, door, op);
	fprintf(out, "} %llu\n", (unsigned long long)sum->cell.errors);
}

static void write_bytes(FILE *out, const struct source_pool *p, unsigned door, unsigned op, const struct meter_sum *sum)
{
	if (!sum->cell.bytes)
		return;
	put_op(out, "bytes_total", p, door, op);
	fprintf(out, "} %llu\n", (unsigned long long)sum->cell.bytes);
}

/* A bucket for each power of two that anything is below of. */
static void write_latency(FILE *out, const struct source_pool *p, unsigned door, unsigned op,
			  const struct meter_sum *sum)
{
	uint64_t seen = 0, all = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		all += sum->bucket[i];
	for (unsigned i = 0; i < METER_BUCKETS && seen < all; i++) {
		seen += sum->bucket[i];
		if (i % METER_STEPS != METER_STEPS - 1 || !seen)
			continue;
		put_op(out, "latency_seconds_bucket", p, door, op);
		fprintf(out, ",le=\"%.9g\"} %llu\n", (double)(32ull << (i / METER_STEPS)) / 1e9,
			(unsigned long long)seen);
	}
	put_op(out, "latency_seconds_bucket", p, door, op);
	fprintf(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)all);
	put_op(out, "latency_seconds_count", p, door, op);
	fprintf(out, "} %llu\n", (unsigned long long)all);
	put_op(out, "latency_seconds_sum", p, door, op);
	fprintf(out, "} %.9f\n", sum->cell.time_ns / 1e9);
}

static void write_stages(FILE *out, const struct source_pool *p, unsigned door, unsigned op,
			 const struct meter_sum *sum)
{
	for (unsigned i = 0; i < STAGE_MAX; i++) {
		uint64_t n = i == STAGE_QUEUE ? sum->cell.queued : sum->cell.sampled;
		if (!n || !sum->cell.stage_ns[i])
			continue;
		put_op(out, "stage_seconds", p, door, op);
		fprintf(out, ",stage=\"%s\"} %.9f\n", meter_stage_name(i), sum->cell.stage_ns[i] / 1e9 / n);
	}
}

static void each_op(FILE *out, const struct sources *s, op_writer *write)
{
	struct meter_sum sum;

	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++)
		for (unsigned d = 0; p->meter && d < METER_DOORS; d++)
			for (unsigned op = 0; op < METER_OPS; op++)
				if (meter_sum(p->meter, d, op, &sum))
					write(out, p, d, op, &sum);
}

static void write_pools(FILE *out, const struct sources *s)
{
	family(out, "up", "gauge", "1: the pool is up.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		fputs("polytropon_up{", out);
		put_label(out, "pool", p->name);
		fprintf(out, "} %d\n", !strcmp(p->state, "up"));
	}
	family(out, "restarts", "counter", "Services that died and were started again.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		fputs("polytropon_restarts_total{", out);
		put_label(out, "pool", p->name);
		fprintf(out, "} %lld\n", (long long)p->restarts);
	}
	family(out, "slow_operations", "counter", "Operations that took 10 ms or longer.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		if (!p->meter)
			continue;
		fputs("polytropon_slow_operations_total{", out);
		put_label(out, "pool", p->name);
		fprintf(out, "} %llu\n", (unsigned long long)p->meter->slows);
	}
}

static void write_spared(FILE *out, const struct sources *s)
{
	family(out, "spared", "counter", "What programs did without a message, and what they did not, by kind.");
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *spared = json_child(p->stats, "spared", json_type_object);
		if (!spared)
			continue;
		json_object_object_foreach(spared, kind, n) {
			fputs("polytropon_spared_total{", out);
			put_label(out, "pool", p->name);
			fprintf(out, ",kind=\"%s\"} %s\n", kind, json_object_get_string(n));
		}
	}
}

static void write_cache(FILE *out, const struct sources *s, const char *figure, const char *name, bool counter,
			double unit, const char *help)
{
	family(out, name, counter ? "counter" : "gauge", help);
	for (const struct source_pool *p = s->pool; p < s->pool + s->count; p++) {
		struct json_object *caches = json_child(p->stats, "cache", json_type_object);
		if (!caches)
			continue;
		json_object_object_foreach(caches, mount, cache) {
			fprintf(out, "polytropon_%s%s{", name, counter ? "_total" : "");
			put_label(out, "pool", p->name);
			putc(',', out);
			put_label(out, "mount", mount);
			fprintf(out, "} %.9g\n", json_number(cache, figure, 0) / unit);
		}
	}
}

static void write_caches(FILE *out, const struct sources *s)
{
	write_cache(out, s, "hits", "cache_hits", true, 1, "Reads that the cache had everything for.");
	write_cache(out, s, "misses", "cache_misses", true, 1, "Reads that it did not.");
	write_cache(out, s, "written", "cache_written_pages", true, 1, "Pages written back.");
	write_cache(out, s, "throttled_ns", "cache_throttled_seconds", true, 1e9,
		    "Time that writers were held up for being ahead of writing back.");
	write_cache(out, s, "pool_used", "cache_used_bytes", false, 1, "Of the pool's cache, the same for each mount.");
	write_cache(out, s, "pool_dirty", "cache_dirty_bytes", false, 1, "Not written back yet, the same for each mount.");
	write_cache(out, s, "pool_size", "cache_size_bytes", false, 1, "Limit of the pool's cache, the same for each mount.");
}

static void sources_take(struct sources *s)
{
	struct error error;

	*s = (struct sources){.pools = figures_pools()};
	for (size_t i = 0; s->pools && i < json_object_array_length(s->pools) && s->count < POOLS_MAX; i++) {
		struct json_object *pool = json_object_array_get_idx(s->pools, i);
		struct source_pool *p = &s->pool[s->count++];
		p->name = json_string(pool, "pool");
		p->state = json_string(pool, "state");
		p->restarts = json_number(pool, "restarts", 0);
		p->meter = figures_meter(p->name, &error);
		p->stats = figures_stats(p->name, &error);
	}
}

static void sources_put(struct sources *s)
{
	while (s->count > 0) {
		meter_unmap(s->pool[--s->count].meter);
		json_object_put(s->pool[s->count].stats);
	}
	json_object_put(s->pools);
}

static void write_metrics(FILE *out)
{
	struct sources s;

	sources_take(&s);
	write_pools(out, &s);
	family(out, "latency_seconds", "histogram", "Operations, and how long the service took for them.");
	each_op(out, &s, write_latency);
	family(out, "errors", "counter", "Operations that failed.");
	each_op(out, &s, write_count);
	family(out, "bytes", "counter", "Read, written and copied.");
	each_op(out, &s, write_bytes);
	family(out, "stage_seconds", "gauge", "Mean time in a stage of an operation, of those that were sampled.");
	each_op(out, &s, write_stages);
	write_spared(out, &s);
	write_caches(out, &s);
	fputs("# EOF\n", out);
	sources_put(&s);
}

/* ---- HTTP ------------------------------------------------------------------------------------------ */

/* The request's first line; false: it is not to be answered. */
static bool request_take(int fd, char line[static REQUEST_MAX])
{
	size_t n = 0;

	for (;;) {
		ssize_t r = recv(fd, line + n, REQUEST_MAX - 1 - n, 0);
		if (r <= 0)
			return false;
		n += r;
		line[n] = 0;
		if (strstr(line, "\r\n\r\n") || strstr(line, "\n\n"))
			break;
		if (n == REQUEST_MAX - 1)
			return false;
	}
	line[strcspn(line, "\r\n")] = 0;
	return true;
}

static void send_whole(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		length -= n;
	}
}

static void answer(int fd)
{
	static const char wrong[] = "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n";
	struct timeval patience = {.tv_sec = PATIENCE_S};
	char line[REQUEST_MAX], head[160], *text = NULL;
	size_t length = 0;
	FILE *out;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!request_take(fd, line))
		return;
	if (strncmp(line, "GET /metrics ", 13) && strncmp(line, "GET / ", 6)) {
		send_whole(fd, wrong, sizeof(wrong) - 1);
		return;
	}
	out = open_memstream(&text, &length);
	if (!out)
		return;
	write_metrics(out);
	fclose(out);
	snprintf(head, sizeof(head),
		 "HTTP/1.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
		 "Content-Length: %zu\r\n\r\n", length);
	send_whole(fd, head, strlen(head));
	send_whole(fd, text, length);
	free(text);
}

static char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

static void end(int signal)
{
	if (*unix_path)
		unlink(unix_path);
	_exit(0);
}

static int serve(int listen_fd)
{
	struct sigaction action = {.sa_handler = end};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (listen(listen_fd, 8) < 0)
		return complain("listen: %s", strerror(errno));
	for (;;) {
		_cleanup_(close_p) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			answer(fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return complain("accept a connection: %s", strerror(errno));
	}
}

static int serve_unix(const char *path)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain("the socket's path '%s' is too long", path);
	strcpy(address.sun_path, path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) { /* left by one that was killed, perhaps */
		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return complain("somebody serves on '%s' already", path);
		unlink(path);
	}
	umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return complain("serve on '%s': %s", path, strerror(errno));
	snprintf(unix_path, sizeof(unix_path), "%s", path);
	return serve(fd);
}

/* Of the loopback only: figures tell much of what tenants do. */
static bool address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char host[64] = "", *end_of;
	const char *colon = strrchr(text, ':');
	unsigned long port = colon ? strtoul(colon + 1, &end_of, 10) : 0;
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (!port || port > 65535 || *end_of || length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	*ret = (struct sockaddr_storage){0};
	if (!strcmp(host, "[::1]")) {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port),
					    .sin6_addr = in6addr_loopback};
		*ret_size = sizeof(*v6);
		return true;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	*ret_size = sizeof(*v4);
	return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1 &&
	       ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

static int serve_loopback(const struct command *command, const char *text)
{
	struct sockaddr_storage address;
	_cleanup_(close_p) int fd = -1;
	socklen_t size;
	int on = 1;

	if (!address_parse(text, &address, &size))
		return misuse(command, "--listen takes an address of the loopback and a port, as in 127.0.0.1:9464, not '%s'",
			      text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0)
		return complain("serve on '%s': %s", text, strerror(errno));
	return serve(fd);
}

/* ---- the command ----------------------------------------------------------------------------------- */

struct wanted {
	const char *socket, *listen;
};

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct wanted *w = arg;

	if (!strcmp(option->name, "socket"))
		w->socket = value;
	else
		w->listen = value;
	return 0;
}

int cmd_metrics(const struct command *command, char **argv)
{
	struct wanted w = {};
	int r = options_take(command, &argv, take, &w);

	if (r == 0 && argv[0])
		r = misuse(command, "it takes no '%s'", argv[0]);
	if (r == 0 && w.socket && w.listen)
		r = misuse(command, "--socket and --listen are two places: start it twice");
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	if (w.socket)
		return serve_unix(w.socket);
	if (w.listen)
		return serve_loopback(command, w.listen);
	write_metrics(stdout);
	return 0;
}
