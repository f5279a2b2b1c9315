/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "engine/cpus.h"

static int number(const char **text, unsigned *ret)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	n = strtoul(*text, &end, 10);
	if (n >= CPU_SETSIZE)
		return -ERANGE;
	*text = end;
	*ret = n;
	return 0;
}

static int range(const char **text, unsigned *ret_first, unsigned *ret_last)
{
	int r = number(text, ret_first);

	*ret_last = *ret_first;
	if (r < 0 || **text != '-')
		return r;
	(*text)++;
	r = number(text, ret_last);
	return r < 0 ? r : *ret_last < *ret_first ? -EINVAL : 0;
}

int cpus_parse(const char *text, cpu_set_t *ret)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (;;) {
		unsigned first, last;
		int r = range(&text, &first, &last);
		if (r < 0)
			return r;
		for (unsigned i = first; i <= last; i++)
			CPU_SET(i, &set);
		if (!*text || !strcmp(text, "\n"))
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*ret = set;
	return 0;
}

void cpus_allowed(cpu_set_t *ret)
{
	CPU_ZERO(ret);
	if (sched_getaffinity(0, sizeof(*ret), ret) < 0)
		CPU_SET(0, ret);
}

void cpus_online(cpu_set_t *ret)
{
	_cleanup_(fclose_p) FILE *f = fopen("/sys/devices/system/cpu/online", "re");
	char line[1024];

	if (!f || !fgets(line, sizeof(line), f) || cpus_parse(line, ret) < 0)
		cpus_allowed(ret);
}

void cpus_print(const cpu_set_t *set, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (int i = 0; i < CPU_SETSIZE && len < size; i++) {
		int last = i;
		if (!CPU_ISSET(i, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		len += snprintf(buf + len, size - len, last > i ? "%s%d-%d" : "%s%d", len ? "," : "", i,
				last);
		i = last;
	}
}

struct json_object *cpus_json(const cpu_set_t *set)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			json_object_array_add(list, json_object_new_int(i));
	return list;
}
