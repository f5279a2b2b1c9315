/* SPDX-License-Identifier: Apache-2.0 */
/* `oci start`, `state`, `kill`, `delete`, `pause`, `resume`, `ps`, `update`, `list`, `features`. */
#include <dirent.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "engine/oci/oci.h"

struct life {
	bool all, force, json;
	const char *word; /* after the name */
};

static int take_life(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct life *l = arg;

	if (!strcmp(o->name, "all") || !strcmp(o->name, "a"))
		l->all = true;
	else if (!strcmp(o->name, "force") || !strcmp(o->name, "f"))
		l->force = true;
	else if (!strcmp(o->name, "format"))
		l->json = !strcmp(value, "json");
	return 0;
}

static void print_json(struct json_object *json)
{
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(json);
}

int oci_signal_of(const char *word)
{
	char *end;
	long n = strtol(word, &end, 10);

	if (*word && !*end)
		return n > 0 && n < NSIG ? n : -EINVAL;
	if (!strncasecmp(word, "SIG", 3))
		word += 3;
	for (int s = 1; s < NSIG; s++)
		if (sigabbrev_np(s) && !strcasecmp(sigabbrev_np(s), word))
			return s;
	if (!strncasecmp(word, "RTMIN+", 6))
		return SIGRTMIN + atoi(word + 6) <= SIGRTMAX ? SIGRTMIN + atoi(word + 6) : -EINVAL;
	return -EINVAL;
}

static int do_start(struct state *s, const struct life *l, struct error *error)
{
	return oci_start(s, error);
}

static int do_state(struct state *s, const struct life *l, struct error *error)
{
	print_json(state_public(s, state_status(s)));
	return 0;
}

static int do_kill(struct state *s, const struct life *l, struct error *error)
{
	int signal = oci_signal_of(l->word ? l->word : "TERM");
	pid_t pid = state_pid(s);

	if (signal < 0)
		return error_set(error, -EINVAL, "unknown signal '%s'", l->word);
	if (l->all && limits_signal(&s->limits, signal))
		return 0;
	if (!pid)
		return l->all ? 0 : error_set(error, -ESRCH, "container '%s' is not running", s->id);
	return kill(pid, signal) < 0 ? error_errno(error, errno, "signal container '%s'", s->id) : 0;
}

static int do_delete(struct state *s, const struct life *l, struct error *error)
{
	return oci_delete(s, l->force, error);
}

static int do_pause(struct state *s, const struct life *l, struct error *error)
{
	return limits_freeze(&s->limits, true, error);
}

static int do_resume(struct state *s, const struct life *l, struct error *error)
{
	return limits_freeze(&s->limits, false, error);
}

static int do_ps(struct state *s, const struct life *l, struct error *error)
{
	struct json_object *list = limits_processes(&s->limits);

	if (l->json) {
		print_json(list);
		return 0;
	}
	puts("PID");
	for (size_t i = 0; i < json_length(list); i++)
		printf("%d\n", json_object_get_int(json_object_array_get_idx(list, i)));
	json_object_put(list);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct state *state, const struct life *life, struct error *error);
} lives[] = {
	{"oci start", do_start}, {"oci state", do_state},   {"oci kill", do_kill}, {"oci delete", do_delete},
	{"oci pause", do_pause}, {"oci resume", do_resume}, {"oci ps", do_ps},
};

int oci_cmd_life(const struct oci *oci, const struct command *command, char **argv)
{
	struct life l = {};
	struct state state;
	struct error error;
	const char *id;
	size_t i = 0;
	int r = oci_take_id(command, &argv, take_life, &l, &id);

	if (r != 0)
		return r;
	l.word = argv[0];
	while (strcmp(lives[i].name, command->name))
		i++;
	r = state_open(oci->root, id, &state, &error);
	/* What is gone cannot be in the way. */
	if (r == -ENOENT && l.force && lives[i].run == do_delete)
		return 0;
	if (r == 0) {
		r = lives[i].run(&state, &l, &error);
		state_fini(&state);
	}
	return r < 0 ? oci_fail(oci, &error) : 0;
}

/* ---- list ------------------------------------------------------------------------------------------ */

struct list {
	bool json, quiet;
};

static int take_list(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct list *l = arg;

	if (!strcmp(o->name, "quiet") || !strcmp(o->name, "q"))
		l->quiet = true;
	else
		l->json = !strcmp(value, "json");
	return 0;
}

static struct json_object *list_all(const char *root)
{
	struct json_object *list = json_object_new_array();
	DIR *d = opendir(root);
	struct dirent *e;
	struct state s;
	struct error ignored;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && state_open(root, e->d_name, &s, &ignored) == 0) {
			json_object_array_add(list, state_public(&s, state_status(&s)));
			state_fini(&s);
		}
	if (d)
		closedir(d);
	return list;
}

int oci_cmd_list(const struct oci *oci, const struct command *command, char **argv)
{
	struct list l = {};
	int r = options_take(command, &argv, take_list, &l);
	struct json_object *list;

	if (r != 0)
		return r;
	list = list_all(oci->root);
	if (l.json) {
		print_json(list);
		return 0;
	}
	if (!l.quiet)
		printf("%-24s %-8s %-9s %-21s %s\n", "ID", "PID", "STATUS", "CREATED", "BUNDLE");
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *c = json_object_array_get_idx(list, i);
		const char *created = json_string(c, "created");
		if (l.quiet)
			puts(json_string(c, "id"));
		else
			printf("%-24s %-8lld %-9s %-21s %s\n", json_string(c, "id"),
			       (long long)json_number(c, "pid", 0), json_string(c, "status"), created ? created : "",
			       json_string(c, "bundle"));
	}
	json_object_put(list);
	return 0;
}

/* ---- features ---------------------------------------------------------------------------------------- */

static struct json_object *known_capabilities(void)
{
	struct json_object *list = json_object_new_array();

	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++) {
		char *name = cap_to_name(c);
		for (char *p = name; p && *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? *p - 32 : *p;
		if (name)
			json_object_array_add(list, json_object_new_string(name));
		cap_free(name);
	}
	return list;
}

int oci_cmd_features(const struct oci *oci, const struct command *command, char **argv)
{
	static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
					    "startContainer", "poststart",     "poststop"};
	static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"};
	struct json_object *f = json_object_new_object(), *linux_ = json_object_new_object(),
			   *seccomp = json_object_new_object(), *annotations = json_object_new_object(),
			   *cgroup = json_object_new_object();
	int r = options_take(command, &argv, NULL, NULL);

	if (r != 0)
		return r;
	json_set(f, "ociVersionMin", "%s", "1.0.0");
	json_set(f, "ociVersionMax", "%s", "1.0.2");
	json_object_object_add(f, "hooks", json_strings(hooks, ARRAY_LEN(hooks)));
	json_object_object_add(linux_, "namespaces", json_strings(namespaces, ARRAY_LEN(namespaces)));
	json_object_object_add(linux_, "capabilities", known_capabilities());
	json_object_object_add(cgroup, "v1", json_object_new_boolean(true));
	json_object_object_add(cgroup, "v2", json_object_new_boolean(true));
	json_object_object_add(linux_, "cgroup", cgroup);
	json_object_object_add(seccomp, "enabled", json_object_new_boolean(true));
	json_object_object_add(linux_, "seccomp", seccomp);
	json_object_object_add(f, "linux", linux_);
	json_set(annotations, "io.polytropon.version", "%s", POLYTROPON_VERSION);
	json_object_object_add(f, "annotations", annotations);
	print_json(f);
	return 0;
}
