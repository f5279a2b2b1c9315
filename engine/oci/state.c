/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/oci/state.h"

bool state_id_is_good(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

	return n && n <= STATE_ID_MAX && !id[n] && strcmp(id, ".") && strcmp(id, "..");
}

static int places(const char *root, const char *id, struct state *s, struct error *error)
{
	*s = (struct state){.lock = -1};
	if (!state_id_is_good(id))
		return error_set(error, -EINVAL, "'%.100s' cannot be a container's name", id);
	if (strlen(root) >= sizeof(s->root))
		return error_errno(error, ENAMETOOLONG, "'%s'", root);
	snprintf(s->root, sizeof(s->root), "%s", root);
	snprintf(s->id, sizeof(s->id), "%s", id);
	snprintf(s->dir, sizeof(s->dir), "%s/%s", root, id);
	return 0;
}

static void path_in(const struct state *s, const char *name, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", s->dir, name);
}

static int take_lock(struct state *s, struct error *error)
{
	char path[PATH_MAX];
	struct stat held, named;

	path_in(s, "lock", path);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0 || flock(s->lock, LOCK_EX) < 0)
		return errno == ENOENT ? error_set(error, -ENOENT, "container '%s' does not exist", s->id) :
					 error_errno(error, errno, "lock '%s'", path);
	if (stat(path, &named) < 0 || fstat(s->lock, &held) < 0 || held.st_ino != named.st_ino)
		return error_set(error, -ENOENT, "container '%s' does not exist", s->id);
	return 0;
}

static int make_root(const char *root)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", root);
	for (char *p = part + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(part, 0711) < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(part, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int state_new(const char *root, const char *id, const struct bundle *bundle, struct state *ret, struct error *error)
{
	struct state s;
	char path[PATH_MAX];
	int r = places(root, id, &s, error);

	if (r < 0)
		return r;
	r = make_root(root);
	if (r < 0)
		return error_errno(error, r, "make '%s'", root);
	if (mkdir(s.dir, 0700) < 0)
		return errno == EEXIST ? error_set(error, -EEXIST, "container '%s' exists already", id) :
					 error_errno(error, errno, "make '%s'", s.dir);
	r = take_lock(&s, error);
	path_in(&s, "config.json", path);
	if (r == 0 && json_object_to_file_ext(path, bundle->config, JSON_C_TO_STRING_PLAIN) < 0)
		r = error_errno(error, errno, "write '%s'", path);
	if (r < 0) {
		state_remove(&s);
		state_fini(&s);
		return r;
	}
	s.json = json_object_new_object();
	json_set(s.json, "id", "%s", id);
	json_object_object_add(s.json, "bundle", json_object_new_string(bundle->dir));
	json_object_object_add(s.json, "rootfs", json_object_new_string(bundle->root));
	s.bundle = *bundle;
	s.bundle.config = json_object_get(bundle->config);
	*ret = s;
	return 0;
}

int state_write(struct state *state, struct error *error)
{
	char path[PATH_MAX], next[PATH_MAX];

	path_in(state, "state.json", path);
	path_in(state, "state.next", next);
	json_object_object_add(state->json, "cgroup", json_object_new_string(state->limits.path));
	if (json_object_to_file_ext(next, state->json, JSON_C_TO_STRING_PLAIN) < 0 || rename(next, path) < 0)
		return error_errno(error, errno, "write '%s'", path);
	return 0;
}

static int read_back(struct state *s, struct error *error)
{
	char path[PATH_MAX];
	const char *group;
	struct json_object *config;

	path_in(s, "state.json", path);
	s->json = access(path, F_OK) == 0 ? json_object_from_file(path) : json_object_new_object();
	path_in(s, "config.json", path);
	config = json_object_from_file(path);
	if (!json_object_is_type(s->json, json_type_object) || !json_object_is_type(config, json_type_object)) {
		json_object_put(config);
		return error_set(error, -EINVAL, "what '%s' remembers of the container is damaged", s->dir);
	}
	s->bundle.config = config;
	snprintf(s->bundle.dir, sizeof(s->bundle.dir), "%s",
		 json_string(s->json, "bundle") ? json_string(s->json, "bundle") : "");
	group = json_string(s->json, "cgroup");
	limits_init(&s->limits, group ? group : "");
	return 0;
}

int state_open(const char *root, const char *id, struct state *ret, struct error *error)
{
	struct state s;
	int r = places(root, id, &s, error);

	if (r == 0)
		r = take_lock(&s, error);
	if (r == 0)
		r = read_back(&s, error);
	if (r < 0)
		state_fini(&s);
	else
		*ret = s;
	return r;
}

void state_fini(struct state *state)
{
	close_p(&state->lock);
	json_object_put(state->json);
	bundle_fini(&state->bundle);
	state->json = NULL;
}

void state_remove(struct state *state)
{
	static const char *const names[] = {"start", "state.json", "state.next", "config.json", "lock"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_in(state, names[i], path);
		unlink(path);
	}
	rmdir(state->dir);
}

/* ---- the process -------------------------------------------------------------------------------- */

uint64_t process_began(pid_t pid)
{
	char path[64], text[1024] = "";
	unsigned long long began = 0;
	const char *p;
	char status;
	_cleanup_(fclose_p) FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	/* Its name is in parentheses and may contain anything. */
	p = f && fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &status, &began) != 2)
		return 0;
	return status == 'Z' || status == 'X' ? 0 : began;
}

pid_t state_pid(const struct state *state)
{
	pid_t pid = json_number(state->json, "pid", 0);
	uint64_t began = json_number(state->json, "began", 0);

	return began && process_began(pid) == began ? pid : 0;
}

enum state_status state_status(const struct state *state)
{
	char path[PATH_MAX];

	if (!json_object_object_get_ex(state->json, "pid", NULL))
		return STATE_CREATING;
	if (!state_pid(state))
		return STATE_STOPPED;
	path_in(state, "start", path);
	if (access(path, F_OK) == 0)
		return STATE_CREATED;
	return limits_frozen(&state->limits) ? STATE_PAUSED : STATE_RUNNING;
}

const char *state_status_name(enum state_status status)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return names[status];
}

struct json_object *state_public(const struct state *state, enum state_status status)
{
	struct json_object *json = json_object_new_object();
	struct json_object *annotations = json_child(state->bundle.config, "annotations", json_type_object);
	const char *created = json_string(state->json, "created"), *root = json_string(state->json, "rootfs");

	json_set(json, "ociVersion", "%s", "1.0.2");
	json_set(json, "id", "%s", state->id);
	json_set(json, "status", "%s", state_status_name(status));
	if (status != STATE_STOPPED && status != STATE_CREATING)
		json_object_object_add(json, "pid", json_object_new_int(state_pid(state)));
	else if (status == STATE_STOPPED)
		json_object_object_add(json, "pid", json_object_new_int(0));
	json_object_object_add(json, "bundle", json_object_new_string(state->bundle.dir));
	if (root)
		json_object_object_add(json, "rootfs", json_object_new_string(root));
	if (created)
		json_object_object_add(json, "created", json_object_new_string(created));
	if (annotations)
		json_object_object_add(json, "annotations", json_object_get(annotations));
	return json;
}

/* ---- start -------------------------------------------------------------------------------------- */

/* By way of the directory: its path may be longer than a socket's may be. */
static int address(const struct state *s, struct sockaddr_un *ret, int *ret_dir)
{
	int dir = open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/start", dir);
	*ret_dir = dir;
	return 0;
}

int state_listen(const struct state *state, struct error *error)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), dir = -1;
	struct sockaddr_un at;
	int r = address(state, &at, &dir);

	if (r < 0 || fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0)
		return error_errno(error, r < 0 ? r : errno, "make the socket of '%s'", state->dir);
	return take_fd(&fd);
}

int state_connect(const struct state *state, struct error *error)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), dir = -1;
	struct sockaddr_un at;
	int r = address(state, &at, &dir);

	if (r < 0 || fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return error_errno(error, r < 0 ? r : errno, "start container '%s'", state->id);
	return take_fd(&fd);
}
