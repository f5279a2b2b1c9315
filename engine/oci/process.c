/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/oci/inside.h"

/* ---- environment and program ------------------------------------------------------------------- */

static void set_environment(const struct become *b)
{
	struct json_object *env = json_child(b->process, "env", json_type_array);
	char home[PATH_MAX];

	clearenv();
	for (size_t i = 0; i < json_length(env); i++) {
		const char *word = json_word(env, i), *equals = strchr(word, '=');
		char *name = equals && equals > word ? strndup(word, equals - word) : NULL;
		if (name)
			setenv(name, equals + 1, 1);
		free(name);
	}
	for (char **e = b->extra_env; e && *e; e++) {
		char *equals = strchr(*e, '='), *name = strndup(*e, equals - *e);
		setenv(name, equals + 1, 0);
		free(name);
	}
	if (getenv("HOME"))
		return;
	user_home(json_number(json_child(b->process, "user", json_type_object), "uid", 0), home);
	setenv("HOME", home, 1);
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111;
}

static int search(const char *name, char program[static PATH_MAX])
{
	const char *path = getenv("PATH");

	if (!path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (size_t n; *path; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (snprintf(program, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name) < PATH_MAX &&
		    is_program(program))
			return 0;
	}
	return -ENOENT;
}

int process_find(const struct become *b, char program[static PATH_MAX], struct error *error)
{
	const char *name = json_word(json_child(b->process, "args", json_type_array), 0);
	const char *cwd = json_string(b->process, "cwd");

	if (!*name)
		return error_set(error, -EINVAL, "process.args names no program");
	if (user_resolve(b->process, error) < 0)
		return -EINVAL;
	set_environment(b);
	/* A root squashed for us may still be open to the user that the process becomes. */
	if (cwd && chdir(cwd) < 0 && errno == ENOENT && mkdir(cwd, 0755) == 0)
		chdir(cwd);
	if (!strchr(name, '/'))
		return search(name, program) == 0 ? 0 :
						    error_set(error, -ENOENT, "executable file '%s' not found in $PATH", name);
	if (snprintf(program, PATH_MAX, "%s", name) >= PATH_MAX)
		return error_errno(error, ENAMETOOLONG, "'%s'", name);
	return access(program, F_OK) < 0 ? error_errno(error, errno, "executable file '%s'", name) : 0;
}

/* ---- limits ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int resource;
} rlimits[] = {
	{"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},         {"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_STACK", RLIMIT_STACK},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
};

static int set_rlimit(struct json_object *json, struct error *error)
{
	const char *type = json_string(json, "type");
	struct rlimit limit = {.rlim_cur = json_number(json, "soft", 0), .rlim_max = json_number(json, "hard", 0)};
	size_t i = 0;

	while (i < ARRAY_LEN(rlimits) && (!type || strcmp(type, rlimits[i].name)))
		i++;
	if (i == ARRAY_LEN(rlimits))
		return error_set(error, -EINVAL, "unknown rlimit '%s'", type ? type : "");
	if (setrlimit(rlimits[i].resource, &limit) < 0)
		return error_errno(error, errno, "set '%s'", type);
	return 0;
}

static int set_rlimits(struct json_object *process, struct error *error)
{
	struct json_object *list = json_child(process, "rlimits", json_type_array);
	int r = 0;

	for (size_t i = 0; i < json_length(list) && r == 0; i++)
		r = set_rlimit(json_object_array_get_idx(list, i), error);
	return r;
}

static int set_oom_score(struct json_object *process, struct error *error)
{
	struct json_object *score = json_child(process, "oomScoreAdj", json_type_int);
	_cleanup_(fclose_p) FILE *f = score ? fopen("/proc/self/oom_score_adj", "we") : NULL;

	if (!score)
		return 0;
	if (!f || fprintf(f, "%d", json_object_get_int(score)) < 0 || fflush(f) != 0)
		return error_errno(error, errno, "set oomScoreAdj");
	return 0;
}

/* ---- capabilities and identity ----------------------------------------------------------------- */

struct capabilities {
	bool in[CAP_LAST_CAP + 1];
};

static bool capability_of(const char *word, cap_value_t *ret)
{
	return cap_from_name(word, ret) == 0 && *ret <= CAP_LAST_CAP;
}

/* One that this kernel does not know, nobody has. */
static void capabilities_read(struct json_object *process, const char *set, struct capabilities *ret)
{
	struct json_object *list =
		json_child(json_child(process, "capabilities", json_type_object), set, json_type_array);
	cap_value_t value;

	*ret = (struct capabilities){};
	for (size_t i = 0; i < json_length(list); i++)
		if (capability_of(json_word(list, i), &value))
			ret->in[value] = true;
}

static int bounding_set(struct json_object *process, struct error *error)
{
	struct capabilities keep;

	capabilities_read(process, "bounding", &keep);
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (!keep.in[c] && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return error_errno(error, errno, "drop a capability for good");
	return 0;
}

static void fill(cap_t caps, cap_flag_t flag, const struct capabilities *set, const struct capabilities *within)
{
	for (cap_value_t c = 0; c <= CAP_LAST_CAP; c++)
		if (set->in[c] && (!within || within->in[c]))
			cap_set_flag(caps, flag, 1, &c, CAP_SET);
}

static int capabilities_set(struct json_object *process, struct error *error)
{
	struct capabilities effective, permitted, inheritable, ambient;
	cap_t caps = cap_init();
	int r = 0;

	capabilities_read(process, "effective", &effective);
	capabilities_read(process, "permitted", &permitted);
	capabilities_read(process, "inheritable", &inheritable);
	capabilities_read(process, "ambient", &ambient);
	if (!caps)
		return error_errno(error, ENOMEM, "set capabilities");
	fill(caps, CAP_PERMITTED, &permitted, NULL);
	fill(caps, CAP_EFFECTIVE, &effective, &permitted);
	fill(caps, CAP_INHERITABLE, &inheritable, NULL);
	if (cap_set_proc(caps) < 0)
		r = error_errno(error, errno, "set capabilities");
	cap_free(caps);
	for (int c = 0; r == 0 && c <= CAP_LAST_CAP; c++)
		if (ambient.in[c] && permitted.in[c] && inheritable.in[c])
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
	return r;
}

/* A namespace of one user may not set groups, and need not. */
static int set_groups(struct json_object *user, struct error *error)
{
	struct json_object *list = json_child(user, "additionalGids", json_type_array);
	size_t n = json_length(list);
	_cleanup_(free_p) char *room = calloc(n + 1, sizeof(gid_t));
	gid_t *groups = (gid_t *)room;

	if (!groups)
		return error_errno(error, ENOMEM, "set groups");
	for (size_t i = 0; i < n; i++)
		groups[i] = json_object_get_int64(json_object_array_get_idx(list, i));
	if (setgroups(n, groups) < 0 && (n || errno != EPERM))
		return error_errno(error, errno, "set the groups");
	return 0;
}

static int set_user(struct json_object *process, struct error *error)
{
	struct json_object *user = json_child(process, "user", json_type_object), *mask;
	uid_t uid = json_number(user, "uid", 0);
	gid_t gid = json_number(user, "gid", 0);
	int r = set_groups(user, error);

	if (r < 0)
		return r;
	mask = json_child(user, "umask", json_type_int);
	umask(mask ? json_object_get_int(mask) & 0777 : 0022);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_errno(error, errno, "become user %u:%u", uid, gid);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	return 0;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static int give_up_rights(const struct become *b, struct error *error)
{
	bool no_new = json_true_at(b->process, "noNewPrivileges");
	int r = 0;

	/* Without no_new_privs a filter is root's to load; with it, it is the last thing, and sees the least. */
	if (b->seccomp && !no_new)
		r = filter_load(b->seccomp, error);
	if (r == 0)
		r = bounding_set(b->process, error);
	if (r == 0)
		r = set_user(b->process, error);
	if (r == 0)
		r = capabilities_set(b->process, error);
	if (r == 0 && no_new && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = error_errno(error, errno, "set no_new_privs");
	if (r == 0 && chdir(json_string(b->process, "cwd") ? json_string(b->process, "cwd") : "/") < 0)
		r = error_errno(error, errno, "go to '%s'", json_string(b->process, "cwd"));
	if (r == 0 && b->seccomp && no_new)
		r = filter_load(b->seccomp, error);
	return r;
}

static void signals_default(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int process_become(const struct become *b, const char *program, void (*ready)(void *), void *arg,
		   struct error *error)
{
	char **args = json_words(json_child(b->process, "args", json_type_array));
	int r = args ? set_oom_score(b->process, error) : error_errno(error, ENOMEM, "run '%s'", program);

	if (r == 0)
		r = set_rlimits(b->process, error);
	/* What is not closed here is not seen: whoever waits for `ready` has its end closed by execve. */
	close_range(3 + b->preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC);
	signals_default();
	if (r == 0)
		r = give_up_rights(b, error);
	if (r < 0)
		return r;
	if (ready)
		ready(arg);
	execv(program, args);
	return error_errno(error, errno, "run '%s'", program);
}
