/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run` and `exec`. Without a pool's name `run` makes a throw-away pool: a private engine, child of the
 * command, is asked for it over a socket pair in the words in which the daemon is asked, and ends with the
 * connection.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/enter.h"
#include "engine/oci/contain.h"
#include "engine/spec.h"

const struct option_row run_options[] = {
	{"host", "DIR", "a throw-away pool on this directory of the host"},
	{"mem", NULL, "a throw-away pool in memory"},
	{"image", "FILE", "a throw-away pool on the volume in this file or block device"},
	{"at", "PATH", "where the pool sees it; a throw-away volume, if nothing is named before"},
	{"size", "SIZE", "the size of --mem, of --image if it is to be made (4G otherwise) or to grow, or of a throw-away volume"},
	{"cpus", "LIST", "the throw-away pool's cores, such as 0-1"},
	{"cpu-weight", "N", "its share of busy cores; 100 is everybody's"},
	{"memory", "SIZE", "the most memory it uses"},
	{"user", NULL, "its own user namespace"},
	{"network", NULL, "its own network namespace"},
	{"root", "NAME", "in a container of POOL with this root: a container, or an image of which one is made"},
	{"name", "NAME", "of --root: keep the container, as NAME"},
	{"detach", NULL, "of --root: return when it runs"},
	{"tty", NULL, "of --root: with a terminal"},
	{"env", "NAME=VALUE", "of --root: a variable of its environment"},
	{"uid", "USER[:GROUP]", "of --root: whose it is, in numbers or by its own /etc/passwd and /etc/group"},
	{"workdir", "DIR", "of --root: its working directory"},
	{"hostname", "NAME", "of --root: its host's name"},
	{"volume", "PATH:PATH", "of --root: a path of the pool, and where the container sees it"},
	{"pids", "N", "of --root: how many processes it may have"},
	{"cap", "NAME", "of --root: a capability more, such as NET_RAW"},
	{"read-only", NULL, "of --root: it cannot write to its root"},
	{"host-users", NULL, "of --root: without a user namespace of its own"},
	{"io-read-bps", "SIZE", "the most bytes that it reads a second"},
	{"io-write-bps", "SIZE", "the most bytes that it writes a second"},
	{"io-iops", "N", "the most reads and writes a second"},
	{"io-meta-ops", "N", "the most operations on names and attributes a second"},
	{"io-burst", "TIME", "how much of that idleness saves up; 1s"},
	{"set", "KEY=VALUE", "a setting of it, as `polytropon set` takes it"},
	{},
};

enum { SETS_MAX = 64 };

/* Of a file that takes as much room as is written. */
#define THROW_AWAY_SIZE "4G"

struct wish {
	struct json_object *spec, *mounts;
	struct json_object *layer; /* given and not yet placed by --at */
	const char *sets[SETS_MAX];
	size_t set_count;
	bool throw_away, detach;
	struct json_object *io; /* {"io.iops": "500"}; NULL: none is given */
	struct container_wish container;
};

/* Of a file that need not be there. */
static bool absolute(const char *path, char ret[static PATH_MAX])
{
	char dir[PATH_MAX];
	const char *slash;

	if (realpath(path, ret))
		return true;
	slash = strrchr(path, '/');
	if (errno != ENOENT || snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1,
					slash ? path : ".") >= (int)sizeof(dir) || !realpath(dir, ret))
		return false;
	if (strlen(ret) + strlen(path) + 2 > PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcat(strcmp(ret, "/") ? strcat(ret, "/") : ret, slash ? slash + 1 : path);
	return true;
}

static int take_layer(const struct command *command, struct wish *w, const char *type, const char *path)
{
	struct json_object *config = json_object_new_object();
	char real[PATH_MAX];

	if (w->layer)
		return misuse(command, "each --host, --mem and --image needs its own --at");
	/* On a command line, unlike in a file, a relative path has a meaning. */
	if (path && !strcmp(type, "host"))
		json_set(config, "path", "%s", realpath(path, real) ? real : path);
	else if (path && absolute(path, real))
		json_object_object_add(config, "image", json_object_new_string(real));
	else if (path)
		return complain("'%s': %s", path, strerror(errno));
	w->layer = json_object_new_object();
	json_object_object_add(w->layer, type, config);
	return 0;
}

static bool image_is_made(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > 0);
}

/* What has no layer of its own gets a throw-away volume. An image that is to be made needs a size. */
static int take_at(const struct command *command, struct wish *w, const char *path)
{
	struct json_object *volume;

	if (!w->layer && take_layer(command, w, "volume", NULL) != 0)
		return EXIT_OURS;
	volume = json_child(w->layer, "volume", json_type_object);
	if (volume && !json_string(volume, "size") && !image_is_made(json_string(volume, "image")))
		json_set(volume, "size", THROW_AWAY_SIZE);
	if (json_object_object_get_ex(w->mounts, path, NULL))
		return misuse(command, "--at %s is there twice", path);
	json_object_object_add(w->mounts, path, w->layer);
	w->layer = NULL;
	return 0;
}

static int take_size(const struct command *command, struct wish *w, const char *size)
{
	struct json_object *sized;

	if (!w->layer && take_layer(command, w, "volume", NULL) != 0)
		return EXIT_OURS;
	sized = json_child(w->layer, "mem", json_type_object);
	if (!sized)
		sized = json_child(w->layer, "volume", json_type_object);
	if (!sized)
		return misuse(command, "--size follows --mem or --image and comes before --at");
	json_object_object_add(sized, "size", json_object_new_string(size));
	return 0;
}

static bool take_container(struct container_wish *c, bool *detach, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **text;
		struct json_object *list;
		bool *flag;
	} options[] = {
		{"root", &c->root, NULL, NULL},         {"name", &c->name, NULL, NULL},
		{"uid", &c->user, NULL, NULL},          {"workdir", &c->workdir, NULL, NULL},
		{"hostname", &c->hostname, NULL, NULL}, {"pids", &c->pids, NULL, NULL},
		{"env", NULL, c->env, NULL},            {"volume", NULL, c->volumes, NULL},
		{"cap", NULL, c->caps, NULL},           {"detach", NULL, NULL, detach},
		{"tty", NULL, NULL, &c->tty},           {"read-only", NULL, NULL, &c->read_only},
		{"host-users", NULL, NULL, &c->privileged_user},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name))
			continue;
		if (options[i].text)
			*options[i].text = value;
		else if (options[i].list)
			json_object_array_add(options[i].list, json_object_new_string(value));
		else
			*options[i].flag = true;
		return true;
	}
	return false;
}

/* --io-read-bps is io.read_bps. */
static bool take_limit(struct wish *w, const char *name, const char *value)
{
	char key[32];

	if (strncmp(name, "io-", 3))
		return false;
	snprintf(key, sizeof(key), "io.%s", name + 3);
	for (char *p = key; *p; p++)
		*p = *p == '-' ? '_' : *p;
	if (!w->io)
		w->io = json_object_new_object();
	json_object_object_add(w->io, key, json_object_new_string(value));
	return true;
}

static int take_option(const struct command *command, const struct option_row *o, const char *value,
		       void *arg)
{
	struct wish *w = arg;
	char key[32];

	if (take_container(&w->container, &w->detach, o->name, value) || take_limit(w, o->name, value))
		return 0;
	w->throw_away = true;
	if (!strcmp(o->name, "host"))
		return take_layer(command, w, "host", value);
	if (!strcmp(o->name, "mem"))
		return take_layer(command, w, "mem", NULL);
	if (!strcmp(o->name, "image"))
		return take_layer(command, w, "volume", value);
	if (!strcmp(o->name, "at"))
		return take_at(command, w, value);
	if (!strcmp(o->name, "size"))
		return take_size(command, w, value);
	if (!strcmp(o->name, "set")) {
		if (w->set_count == SETS_MAX)
			return misuse(command, "more than %d times --set", SETS_MAX);
		w->sets[w->set_count++] = value;
		return 0;
	}
	/* The others are keys of the pool file, with a dash where those have an underscore. */
	snprintf(key, sizeof(key), "%s", o->name);
	for (char *p = key; *p; p++)
		*p = *p == '-' ? '_' : *p;
	json_set(w->spec, key, "%s", o->value ? value : "true");
	return 0;
}

/* Of a throw-away pool they are the pool's: its section `io`. Returns NULL. */
static struct json_object *spec_io(struct json_object *spec, struct json_object *io)
{
	struct json_object *section = io ? json_object_new_object() : NULL;

	if (!io)
		return NULL;
	json_object_object_foreach(io, key, value)
		json_object_object_add(section, key + strlen("io."), json_object_get(value));
	json_object_object_add(spec, "io", section);
	json_object_put(io);
	return NULL;
}

static int apply_sets(const struct command *command, struct wish *w)
{
	struct change change;
	struct error error;
	char key[256];

	for (size_t i = 0; i < w->set_count; i++) {
		const char *equals = strchr(w->sets[i], '=');
		if (!equals || equals - w->sets[i] >= (ptrdiff_t)sizeof(key))
			return misuse(command, "--set '%s' is not KEY=VALUE", w->sets[i]);
		snprintf(key, sizeof(key), "%.*s", (int)(equals - w->sets[i]), w->sets[i]);
		if (change_resolve(w->spec, key, equals + 1, &change, &error) < 0)
			return misuse(command, "%s", error.text);
		change_apply(w->spec, &change);
	}
	return 0;
}

/* ---- a private engine -------------------------------------------------------------------------- */

static int engine_spawn(pid_t *ret_pid)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		engine_become(-1, pair[1], -1);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	*ret_pid = pid;
	return pair[0];
}

static int pool_up(int connection, const char *name, struct json_object *spec)
{
	struct json_object *parameters = json_object_new_object(), *pools = json_object_new_object(),
			   *result, *warnings;
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct error error;
	int call;

	json_object_object_add(pools, name, json_object_get(spec));
	json_object_object_add(parameters, "pools", pools);
	call = engine_call(connection, "Up", parameters, &reply, NULL, &error);
	if (call != CALL_OK)
		return complain("%s", error.text) && call == CALL_REFUSED ? EXIT_USAGE : EXIT_OURS;
	result = json_object_array_get_idx(json_child(reply, "results", json_type_array), 0);
	warnings = json_child(result, "warnings", json_type_array);
	for (size_t i = 0; warnings && i < json_object_array_length(warnings); i++)
		complain("%s", json_object_get_string(json_object_array_get_idx(warnings, i)));
	return json_true(result, "ok") ?
		       0 :
		       complain("the pool did not start: %s", json_string(result, "error"));
}

static int run_throw_away(struct wish *w, char **argv)
{
	char name[32];
	pid_t engine = -1;
	int r, connection;

	snprintf(name, sizeof(name), "run-%d", getpid());
	connection = engine_spawn(&engine);
	if (connection < 0)
		return complain("start an engine: %s", strerror(-connection));
	r = pool_up(connection, name, w->spec);
	if (r == 0)
		r = enter_run(connection, name, true, NULL, argv);
	/* The end of the connection is the end of the pool; it is over when everything is written back. */
	close(connection);
	while (waitpid(engine, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static int check_wish(const struct command *command, struct wish *w, char **argv)
{
	struct error error;
	char name[32];

	snprintf(name, sizeof(name), "run-%d", getpid());
	w->io = spec_io(w->spec, w->io);
	if (w->layer)
		return misuse(command, "say with --at where the pool is to see it");
	if (!json_object_object_length(w->mounts))
		return misuse(command, "a throw-away pool needs --at PATH, after --host DIR, --mem, --image FILE, or alone");
	if (spec_check(name, w->spec, NULL, &error) < 0)
		return misuse(command, "%s", error.text);
	if (!argv[0])
		return misuse(command, "no program is given");
	return apply_sets(command, w);
}

/* ---- a pool that runs -------------------------------------------------------------------------- */

/* The pool of `POOL [--] PROGRAM..`; what is left is the program. */
static int take_pool(const struct command *command, char ***argv, const char **ret)
{
	*ret = **argv;
	if (!*ret)
		return misuse(command, "no pool is given");
	(*argv)++;
	if (**argv && !strcmp(**argv, "--"))
		(*argv)++;
	return 0;
}

static int run_in(const struct command *command, struct json_object *limits, char **argv, bool listed)
{
	const char *pool;
	int r = take_pool(command, &argv, &pool), connection;

	if (r == 0 && !argv[0])
		r = misuse(command, "no program is given");
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	connection = command_connect();
	if (connection == -ENOENT)
		return complain("no pool '%s' runs, nor any other", pool);
	if (connection < 0)
		return EXIT_OURS;
	r = enter_run(connection, pool, listed, limits, argv);
	close(connection);
	return r;
}

/* ---- a container of a pool --------------------------------------------------------------------- */

static int run_container(const struct command *command, struct wish *w, char **argv)
{
	struct container_wish *c = &w->container;
	int r;

	if (w->layer || json_object_object_length(w->mounts) || w->set_count)
		return misuse(command, "--root is of a pool that runs; --host, --mem, --image, --at and --set are not");
	r = take_pool(command, &argv, &c->pool);
	if (r != 0)
		return r;
	c->argv = argv;
	c->memory = json_string(w->spec, "memory");
	c->cpu_weight = json_string(w->spec, "cpu_weight");
	c->network = json_true(w->spec, "network");
	c->io = w->io;
	r = command_needs_root(command);
	return r != 0 ? r : contain_run(c, w->detach);
}

static int run_wish(const struct command *command, struct wish *w, char **argv)
{
	int r;

	if (w->container.root)
		return run_container(command, w, argv);
	if (w->container.name || w->detach || w->container.tty)
		return misuse(command, "--name, --detach and --tty go with --root");
	if (!w->throw_away)
		return run_in(command, w->io, argv, true);
	r = check_wish(command, w, argv);
	if (r == 0)
		r = command_needs_root(command);
	return r != 0 ? r : run_throw_away(w, argv);
}

int cmd_run(const struct command *command, char **argv)
{
	struct wish w = {.spec = json_object_new_object(),
			 .mounts = json_object_new_object(),
			 .container = {.env = json_object_new_array(),
				       .volumes = json_object_new_array(),
				       .caps = json_object_new_array()}};
	int r;

	json_object_object_add(w.spec, "mounts", w.mounts);
	r = options_take(command, &argv, take_option, &w);
	if (r == 0)
		r = run_wish(command, &w, argv);
	json_object_put(w.layer);
	json_object_put(w.spec);
	json_object_put(w.io);
	json_object_put(w.container.env);
	json_object_put(w.container.volumes);
	json_object_put(w.container.caps);
	return r;
}

struct exec_wish {
	const char *container;
	bool tty;
};

const struct option_row exec_options[] = {
	{"in", "NAME", "in this container of the pool"},
	{"tty", NULL, "of --in: with a terminal"},
	{},
};

static int take_exec(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct exec_wish *w = arg;

	if (o->value)
		w->container = value;
	else
		w->tty = true;
	return 0;
}

static int exec_in_container(const struct command *command, const struct exec_wish *w, char **argv)
{
	const char *pool;
	int r = take_pool(command, &argv, &pool);

	if (r == 0 && !argv[0])
		r = misuse(command, "no program is given");
	if (r == 0)
		r = command_needs_root(command);
	return r != 0 ? r : contain_exec(pool, w->container, w->tty, argv);
}

int cmd_exec(const struct command *command, char **argv)
{
	struct exec_wish w = {};
	int r = options_take(command, &argv, take_exec, &w);

	if (r != 0)
		return r;
	return w.container ? exec_in_container(command, &w, argv) : run_in(command, NULL, argv, false);
}
