/* SPDX-License-Identifier: Apache-2.0 */
/* `metrics`: what `stats` says of all pools, as OpenMetrics text: printed, or served. */
#include <signal.h>
#include <string.h>

#include "engine/command.h"
#include "engine/cpu-time.h"
#include "engine/figures.h"
#include "engine/metrics.h"

const struct option_row metrics_options[] = {
	{"socket", "PATH", "serve on a UNIX socket"},
	{"listen", "ADDRESS:PORT", "serve on the loopback, as in 127.0.0.1:9464 or [::1]:9464"},
	{},
};

static void sources_take(struct sources *s)
{
	struct error error;
	double age;

	*s = (struct sources){.pools = figures_pools()};
	for (size_t i = 0; s->pools && i < json_object_array_length(s->pools) && s->count < METRICS_POOLS; i++) {
		struct json_object *pool = json_object_array_get_idx(s->pools, i);
		struct source_pool *p = &s->pool[s->count++];
		p->name = json_string(pool, "pool");
		p->state = json_string(pool, "state");
		p->restarts = json_number(pool, "restarts", 0);
		if (cpu_time((pid_t)json_number(pool, "service", 0), &p->cpu, &age) < 0)
			p->cpu = -1;
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

void metrics_write(FILE *out)
{
	static struct sources s;

	sources_take(&s);
	metrics_pools(out, &s);
	metrics_ops(out, &s);
	metrics_containers(out, &s);
	metrics_container_ops(out, &s);
	metrics_spared(out, &s);
	metrics_limits(out, &s);
	metrics_caches(out, &s);
	fputs("# EOF\n", out);
	sources_put(&s);
}

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
		return metrics_serve_unix(w.socket);
	if (w.listen)
		return metrics_serve_loopback(command, w.listen);
	metrics_write(stdout);
	return 0;
}
