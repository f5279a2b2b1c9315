/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/engine.h"

/* ---- in the pool's words ------------------------------------------------------------------------------ */

void roots_lower(struct json_object *spec)
{
	struct json_object *store, *mounts = json_child(spec, "mounts", json_type_object);

	if (!json_object_object_get_ex(spec, "roots", &store))
		return;
	if (!mounts)
		json_object_object_add(spec, "mounts", mounts = json_object_new_object());
	json_object_object_add(mounts, WIRE_ROOTS, json_object_get(store));
	json_object_object_del(spec, "roots");
}

void roots_raise(struct json_object *spec)
{
	struct json_object *store, *mounts = json_child(spec, "mounts", json_type_object);

	if (!mounts || !json_object_object_get_ex(mounts, WIRE_ROOTS, &store))
		return;
	json_object_object_add(spec, "roots", json_object_get(store));
	json_object_object_del(mounts, WIRE_ROOTS);
	if (!json_object_object_length(mounts))
		json_object_object_del(spec, "mounts");
}

bool roots_are_there(const struct pool *pool)
{
	return json_object_object_get_ex(json_child(pool->spec, "mounts", json_type_object), WIRE_ROOTS, NULL);
}

/* ---- in the pool's mount namespace ---------------------------------------------------------------------- */

/* A name of a mount point in the pool's own directory; the descriptor is of WIRE_POOL_DIR. */
static int point_make(const struct pool *pool, const char *name)
{
	int dir = pool_fd(pool, BUILD_DIR);
	char path[ROOT_NAME_MAX + 8];

	snprintf(path, sizeof(path), "root/%s", name);
	if (mkdirat(dir, "root", 0755) < 0 && errno != EEXIST)
		return -errno;
	return mkdirat(dir, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Runs in a child: a process cannot enter a mount namespace and come back without care. Nothing there waits for storage. */
static int in_namespace(const struct pool *pool, int (*fn)(const struct root *root), const struct root *root)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int r = setns(pool_fd(pool, BUILD_INIT), CLONE_NEWNS) < 0 ? errno : fn(root);
		_exit(r);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static int attach(const struct root *root)
{
	return move_mount(root->fuse.mount, "", AT_FDCWD, root->path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? errno : 0;
}

static int detach(const struct root *root)
{
	return umount2(root->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? errno : 0;
}

/* ---- lives ---------------------------------------------------------------------------------------------- */

static struct root *root_find(const struct pool *pool, const char *name)
{
	struct root *root;

	TAILQ_FOREACH(root, &pool->roots, link)
		if (!strcmp(root->name, name))
			return root;
	return NULL;
}

static void user_free(struct root *root, struct root_user *user)
{
	TAILQ_REMOVE(&root->users, user, link);
	free(user);
}

static void root_free(struct root *root)
{
	struct root_user *user;

	while ((user = TAILQ_FIRST(&root->users)))
		user_free(root, user);
	TAILQ_REMOVE(&root->pool->roots, root, link);
	close_p(&root->fuse.device);
	close_p(&root->fuse.mount);
	free(root);
}

static void told(struct service_call *call, struct json_object *reply)
{
	free(call);
}

static void tell_closed(struct root *root)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	struct service_call *call = calloc(1, sizeof(*call));

	json_set(json, "method", "root-close");
	json_object_object_add(json, "slot", json_object_new_int(root->slot));
	if (!call)
		return;
	call->done = told;
	service_ask(root->pool, call, json);
}

/* Nobody uses it any more. */
static void root_end(struct root *root)
{
	char path[ROOT_NAME_MAX + 8];

	if (root->open) {
		in_namespace(root->pool, detach, root);
		snprintf(path, sizeof(path), "root/%s", root->name);
		unlinkat(pool_fd(root->pool, BUILD_DIR), path, AT_REMOVEDIR);
		tell_closed(root);
	}
	root_free(root);
}

/* Tells all who wait, and lets go of them if it failed. Their answers may end their connections: one at a time. */
static void root_answer_all(struct root *root, const char *error)
{
	struct root_user *user, *next;

	for (user = TAILQ_FIRST(&root->users); user; user = next) {
		struct client *client = user->client;
		bool waits = user->waits;
		next = TAILQ_NEXT(user, link);
		user->waits = false;
		if (error)
			user_free(root, user);
		if (waits)
			root_answer(client, root, error);
	}
	if (error || TAILQ_EMPTY(&root->users))
		root_end(root);
}

static void opened(struct service_call *call, struct json_object *reply)
{
	struct root *root = root_find(call->pool, call->change.value);
	const char *error = reply ? json_string(reply, "error") : "the service ended before it answered";
	char text[600];
	int r;

	free(call);
	if (!root)
		return;
	if (reply && json_true(reply, "ok")) {
		root->open = true;
		root->slot = json_number(reply, "slot", -1);
		error = NULL;
		r = point_make(root->pool, root->name);
		if (r == 0)
			r = in_namespace(root->pool, attach, root);
		if (r < 0) {
			snprintf(text, sizeof(text), "mount the root of container '%s' at '%s': %s", root->name,
				 root->path, strerror(-r));
			error = text;
		}
	} else if (!error) {
		error = "the service refused without a reason";
	}
	root_answer_all(root, error);
}

static void root_ask(struct root *root)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	struct service_call *call = calloc(1, sizeof(*call));
	int fds[] = {root->fuse.device, root->fuse.mount};

	if (!call) {
		root_answer_all(root, "no memory");
		return;
	}
	json_set(json, "method", "root-open");
	json_set(json, "name", "%s", root->name);
	json_set(json, "path", "%s", root->path);
	json_object_object_add(json, "dev", json_object_new_int64(root->fuse.dev));
	snprintf(call->change.value, sizeof(call->change.value), "%s", root->name);
	call->done = opened;
	service_ask_with(root->pool, call, json, fds, 2);
}

static struct root *root_new(struct pool *pool, const char *name)
{
	struct root *root = calloc(1, sizeof(*root));

	if (!root)
		return NULL;
	root->pool = pool;
	root->fuse.device = root->fuse.mount = -1;
	root->slot = -1;
	snprintf(root->name, sizeof(root->name), "%s", name);
	snprintf(root->path, sizeof(root->path), "%s/%s", WIRE_ROOT_DIR, root->name);
	TAILQ_INIT(&root->users);
	TAILQ_INSERT_TAIL(&pool->roots, root, link);
	return root;
}

static bool user_add(struct root *root, struct client *client)
{
	struct root_user *user = calloc(1, sizeof(*user));

	if (!user)
		return false;
	*user = (struct root_user){.client = client, .waits = true};
	TAILQ_INSERT_TAIL(&root->users, user, link);
	return true;
}

void root_want(struct pool *pool, const char *name, struct client *client)
{
	struct root *root = root_find(pool, name);
	bool fresh = !root;
	struct error error;

	if (fresh)
		root = root_new(pool, name);
	if (!root || !user_add(root, client)) {
		if (fresh && root)
			root_free(root);
		root_answer(client, NULL, "no memory");
	} else if (root->open) {
		TAILQ_LAST(&root->users, root_users)->waits = false;
		root_answer(client, root, NULL);
	} else if (fresh) {
		if (mount_fuse(pool->name, &root->fuse, &error) < 0)
			root_answer_all(root, error.text);
		else
			root_ask(root);
	}
}

void roots_release(struct pool *pool, const struct client *client)
{
	struct root *root, *next_root;
	struct root_user *user, *next;

	for (root = TAILQ_FIRST(&pool->roots); root; root = next_root) {
		next_root = TAILQ_NEXT(root, link);
		for (user = TAILQ_FIRST(&root->users); user; user = next) {
			next = TAILQ_NEXT(user, link);
			if (user->client == client)
				user_free(root, user);
		}
		/* One that is being opened is ended by the answer. */
		if (root->open && TAILQ_EMPTY(&root->users))
			root_end(root);
	}
}

/* ---- the service's restart, and the pool's end ------------------------------------------------------------ */

size_t roots_count(const struct pool *pool)
{
	const struct root *root;
	size_t n = 0;

	TAILQ_FOREACH(root, &pool->roots, link)
		n += root->open;
	return n;
}

struct json_object *roots_boot(const struct pool *pool, int *fds, int next, size_t *ret_count)
{
	struct json_object *list = json_object_new_array();
	const struct root *root;

	*ret_count = 0;
	TAILQ_FOREACH(root, &pool->roots, link) {
		struct json_object *o = json_object_new_object();
		if (!root->open) {
			json_object_put(o);
			continue;
		}
		fds[(*ret_count)++] = root->fuse.device;
		fds[(*ret_count)++] = root->fuse.mount;
		json_set(o, "name", "%s", root->name);
		json_set(o, "path", "%s", root->path);
		json_object_object_add(o, "slot", json_object_new_int(root->slot));
		json_object_object_add(o, "dev", json_object_new_int64(root->fuse.dev));
		json_object_object_add(o, "fuse", json_object_new_int(next++));
		json_object_object_add(o, "root", json_object_new_int(next++));
		json_object_array_add(list, o);
	}
	return list;
}

void roots_fini(struct pool *pool)
{
	struct root *root;

	while ((root = TAILQ_FIRST(&pool->roots)))
		root_free(root);
}
