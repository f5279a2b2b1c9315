/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "engine/cpus.h"
#include "engine/spec-keys.h"
#include "libservices/libservice.h"

static const struct spec_key cache_keys[] = {
	{"size", SPEC_SIZE, 0, 0, "bytes of the pool's page cache; 0: none", .live = true},
	{"floor", SPEC_SIZE, 0, 0, "of it, what it keeps where the machine is short of memory; 0: all", .live = true},
	{"readahead", SPEC_SIZE, 0, 0, "bytes read ahead of a sequential reader", .live = true},
	{"policy", SPEC_WORD, .help = "which pages leave the cache first", .live = true},
	{"flush_interval", SPEC_TIME, .help = "flush.interval", .alias = "flush.interval", .live = true},
	{"dirty_ratio", SPEC_COUNT, 0, 100, "flush.dirty_ratio", .alias = "flush.dirty_ratio",
	 .live = true},
	{"dirty_background_ratio", SPEC_COUNT, 0, 100, "flush.background_ratio",
	 .alias = "flush.background_ratio", .live = true},
	{"background_ratio", SPEC_COUNT, 0, 100, "flush.background_ratio",
	 .alias = "flush.background_ratio", .live = true},
	{"writeback_batch", SPEC_SIZE, 0, 0, "flush.batch", .alias = "flush.batch", .live = true},
	{},
};

static const struct spec_key flush_keys[] = {
	{"interval", SPEC_TIME, .help = "how long changes wait for their write-back; 0: until something else causes it",
	 .live = true},
	{"dirty_ratio", SPEC_COUNT, 0, 100, "percent of the cache that may be dirty before writers wait",
	 .live = true},
	{"background_ratio", SPEC_COUNT, 0, 100,
	 "percent of the cache that may be dirty before it is flushed", .live = true},
	{"batch", SPEC_SIZE, 0, 0, "bytes written back at once", .live = true},
	{"on_close", SPEC_BOOL, .help = "write back when a file is closed", .live = true},
	{},
};

const struct spec_key spec_io_keys[] = {
	{"read_bps", SPEC_SIZE, .help = "bytes read a second; 0: no limit", .live = true},
	{"write_bps", SPEC_SIZE, .help = "bytes written a second; 0: no limit", .live = true},
	{"iops", SPEC_COUNT, .help = "reads and writes a second; 0: no limit", .live = true},
	{"meta_ops", SPEC_COUNT, .help = "operations on names and attributes a second; 0: no limit", .live = true},
	{"burst", SPEC_TIME, .help = "how much of a second's worth, or of several, idleness saves up; 1s", .live = true},
	{},
};

static const struct spec_key fuse_keys[] = {
	{"passthrough", SPEC_WORD, .help = "whether the kernel has cached files itself: auto, always, off", .live = true},
	{},
};

static const struct spec_key stats_keys[] = {
	{"measure", SPEC_BOOL, .help = "false: nothing is counted or timed", .live = true},
	{},
};

const struct spec_key spec_pool_keys[] = {
	{"cpus", SPEC_CPUS, .help = "the cores of the pool, such as 0-1"},
	{"cpu_weight", SPEC_COUNT, 1, 10000, "its share of busy cores; 100 is everybody's", .live = true},
	{"memory", SPEC_SIZE, 4 << 20, 0, "the most memory it uses, its service included", .live = true},
	{"user", SPEC_BOOL, .help = "its own user namespace"},
	{"network", SPEC_NETWORK, .help = "true: its own network namespace; host: the host's"},
	{"timeout", SPEC_TIME, .help = "how long an operation waits for its storage", .live = true},
	{"cache", SPEC_SECTION, .section = cache_keys, .help = "the page cache"},
	{"flush", SPEC_SECTION, .section = flush_keys, .help = "when changes are written back"},
	{"io", SPEC_SECTION, .section = spec_io_keys, .help = "limits of reads, writes and operations on names"},
	{"fuse", SPEC_SECTION, .section = fuse_keys, .help = "the door of static programs"},
	{"stats", SPEC_SECTION, .section = stats_keys, .help = "what is measured"},
	{"mounts", SPEC_MOUNTS, .help = "paths and the stacks of layers behind them"},
	{"roots", SPEC_STACK, .help = "the stack of layers in which the pool's containers are"},
	{},
};

const struct spec_key *spec_key_find(const struct spec_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

void spec_key_names(const struct spec_key *keys, const char *names[static SPEC_KEYS_MAX + 1])
{
	size_t n = 0;

	for (; keys->name && n < SPEC_KEYS_MAX; keys++)
		names[n++] = keys->name;
	names[n] = NULL;
}

const char *spec_kind_name(enum spec_kind kind)
{
	static const char *const names[] = {
		[SPEC_COUNT] = "a number",
		[SPEC_SIZE] = "a size such as 256M",
		[SPEC_TIME] = "a time such as 5s",
		[SPEC_BOOL] = "true or false",
		[SPEC_CPUS] = "a list of cores such as 0-1",
		[SPEC_NETWORK] = "true, false or host",
		[SPEC_WORD] = "a word",
		[SPEC_SECTION] = "a mapping of settings",
		[SPEC_MOUNTS] = "a mapping of paths to stacks",
		[SPEC_STACK] = "a layer such as {host: /srv/data}",
	};
	return names[kind];
}

static int wrong(const struct spec_key *key, const char *text, struct error *why)
{
	return error_set(why, -EINVAL, "'%s' is not %s", text, spec_kind_name(key->kind));
}

static int in_range(const struct spec_key *key, uint64_t n, const char *text, struct error *why)
{
	if (n < key->min)
		return error_set(why, -EINVAL, "'%s' is less than %llu", text,
				 (unsigned long long)key->min);
	if (key->max && n > key->max)
		return error_set(why, -EINVAL, "'%s' is more than %llu", text,
				 (unsigned long long)key->max);
	return 0;
}

static int count_value(const struct spec_key *key, const char *text, struct error *why)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		return wrong(key, text, why);
	return in_range(key, n, text, why);
}

/* "1Q": the number is clear, the unit is not. */
static int unit_wrong(const struct spec_key *key, const char *text, const char *const *units,
		      struct error *why)
{
	size_t digits = strspn(text, "0123456789");
	char unit[8];
	const char *near;

	if (!digits)
		return wrong(key, text, why);
	snprintf(unit, sizeof(unit), "%s", text + digits);
	near = ls_nearest(unit, units);
	return error_set(why, -EINVAL, "'%s' is not %s; did you mean '%.*s%s'?", text,
			 spec_kind_name(key->kind), (int)digits, text, near ? near : units[0]);
}

static int size_value(const struct spec_key *key, const char *text, struct error *why)
{
	static const char *const units[] = {"G", "M", "K", "T", NULL};
	uint64_t n;

	return ls_parse_size(text, &n) < 0 ? unit_wrong(key, text, units, why) :
					     in_range(key, n, text, why);
}

static int time_value(const struct spec_key *key, const char *text, struct error *why)
{
	static const char *const units[] = {"s", "ms", "m", "us", "ns", "h", NULL};
	uint64_t n;

	return ls_parse_time(text, &n) < 0 ? unit_wrong(key, text, units, why) : 0;
}

static int bool_value(const struct spec_key *key, const char *text, char *ret, size_t size,
		      struct error *why)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off",
										    "0"};
	static const char *const both[] = {"true", "false", NULL}, *const three[] = {"true", "false",
										     "host", NULL};
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(text, yes[i]) && strcmp(text, no[i]))
			continue;
		snprintf(ret, size, "%s", strcmp(text, yes[i]) ? "false" : "true");
		return 0;
	}
	if (key->kind == SPEC_NETWORK && !strcmp(text, "host"))
		return 0;
	near = ls_nearest(text, key->kind == SPEC_NETWORK ? three : both);
	return near ? error_set(why, -EINVAL, "'%s' is not %s; did you mean '%s'?", text,
				spec_kind_name(key->kind), near) :
		      wrong(key, text, why);
}

static int cpus_value(const struct spec_key *key, const char *text, char *ret, size_t size,
		      struct error *why)
{
	cpu_set_t set, online, both;
	char there[256];
	int r = cpus_parse(text, &set);

	if (r == -EINVAL)
		return wrong(key, text, why);
	cpus_online(&online);
	cpus_print(&online, there, sizeof(there));
	CPU_ZERO(&both);
	if (r == 0)
		CPU_AND(&both, &set, &online);
	if (r < 0 || !CPU_EQUAL(&both, &set))
		return error_set(why, -EINVAL, "the machine has no cores '%s'; it has %s", text, there);
	cpus_print(&set, ret, size);
	return 0;
}

static int word_value(const struct spec_key *key, const char *text, struct error *why)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n && !text[n] ? 0 : wrong(key, text, why);
}

int spec_value(const struct spec_key *key, const char *text, char *ret, size_t size, struct error *why)
{
	if (strlen(text) >= size)
		return wrong(key, "...", why);
	strcpy(ret, text);
	switch (key->kind) {
	case SPEC_COUNT:
		return count_value(key, text, why);
	case SPEC_SIZE:
		return size_value(key, text, why);
	case SPEC_TIME:
		return time_value(key, text, why);
	case SPEC_BOOL:
	case SPEC_NETWORK:
		return bool_value(key, text, ret, size, why);
	case SPEC_CPUS:
		return cpus_value(key, text, ret, size, why);
	case SPEC_WORD:
		return word_value(key, text, why);
	default:
		return wrong(key, text, why);
	}
}
