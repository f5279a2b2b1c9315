/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "engine/oci/bundle.h"
#include "engine/oci/image-config.h"
#include "engine/oci/oci.h"
#include "libservices/libservice.h"

/* What programs of an image expect to be allowed, and no more: those that docker and podman give. */
static const char *const capabilities[] = {
	"CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FOWNER",  "CAP_FSETID", "CAP_KILL",       "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
};

static const char *const masked[] = {
	"/proc/acpi",  "/proc/asound",     "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
	"/proc/scsi",  "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
	"/sys/dev/block", "/sys/devices/virtual/powercap",
};

static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

/*
 * What a program of a container has no business to ask of the host's kernel. The preload library needs nothing of it.
 */
static const char *const refused[] = {
	"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module",
	"fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "get_mempolicy", "init_module", "io_uring_enter",
	"io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl",
	"lookup_dcookie", "mbind", "mount", "mount_setattr", "move_mount", "move_pages", "nfsservctl",
	"open_by_handle_at", "open_tree", "perf_event_open", "personality", "pivot_root", "query_module", "quotactl",
	"quotactl_fd", "reboot", "request_key", "set_mempolicy", "setns", "settimeofday", "stime", "swapoff", "swapon",
	"sysfs", "_sysctl", "syslog", "umount", "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vm86",
	"vm86old", "vhangup",
};

static struct json_object *words(const char *const *list, size_t n)
{
	return json_strings(list, n);
}

/* ---- process ------------------------------------------------------------------------------------- */

static void env_add(struct json_object *env, const char *word)
{
	json_object_array_add(env, json_object_new_string(word));
}

static struct json_object *process_env(const struct container_wish *w, struct json_object *image)
{
	struct json_object *env = json_object_new_array(), *own = json_at(image, "config.Env", json_type_array);

	env_add(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (w->tty)
		env_add(env, "TERM=xterm");
	for (size_t i = 0; i < json_length(own); i++)
		env_add(env, json_word(own, i));
	for (size_t i = 0; i < json_length(w->env); i++)
		env_add(env, json_word(w->env, i));
	return env;
}

static struct json_object *process_args(const struct container_wish *w, struct json_object *image)
{
	struct json_object *args = json_object_new_array();
	struct json_object *entry = json_at(image, "config.Entrypoint", json_type_array),
			   *cmd = json_at(image, "config.Cmd", json_type_array);

	for (size_t i = 0; i < json_length(entry); i++)
		env_add(args, json_word(entry, i));
	if (w->argv && w->argv[0])
		for (char **a = w->argv; *a; a++)
			env_add(args, *a);
	else
		for (size_t i = 0; i < json_length(cmd); i++)
			env_add(args, json_word(cmd, i));
	return args;
}

/* Names are looked up in the container (user.c). */
static struct json_object *process_user(const struct container_wish *w, struct json_object *image)
{
	const char *given = w->user ? w->user : json_text_at(image, "config.User");
	struct json_object *user = json_object_new_object();

	if (given && *given) {
		json_object_object_add(user, "username", json_object_new_string(given));
		return user;
	}
	json_object_object_add(user, "uid", json_object_new_int64(0));
	json_object_object_add(user, "gid", json_object_new_int64(0));
	return user;
}

static int process_capabilities(const struct container_wish *w, struct json_object *process, struct error *error)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};
	struct json_object *caps = json_object_new_object();
	char word[CAPABILITY_MAX];

	json_object_object_add(process, "capabilities", caps);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		struct json_object *list = words(capabilities, ARRAY_LEN(capabilities));
		json_object_object_add(caps, sets[i], list);
		for (size_t k = 0; k < json_length(w->caps); k++) {
			if (capability_word(json_word(w->caps, k), word, error) < 0)
				return -EINVAL;
			env_add(list, word);
		}
	}
	return 0;
}

static int make_process(const struct container_wish *w, struct json_object *image, struct json_object *config,
			struct error *error)
{
	struct json_object *p = json_object_new_object(), *args = process_args(w, image);
	const char *cwd = w->workdir ? w->workdir : json_text_at(image, "config.WorkingDir");
	int r = process_capabilities(w, p, error);

	json_object_object_add(config, "process", p);
	json_object_object_add(p, "args", args);
	json_object_object_add(p, "user", process_user(w, image));
	if (r == 0 && !json_length(args))
		r = error_set(error, -EINVAL, "no program is given, and '%s' names none", w->root);
	json_object_object_add(p, "terminal", json_object_new_boolean(w->tty));
	json_object_object_add(p, "env", process_env(w, image));
	json_object_object_add(p, "cwd", json_object_new_string(cwd && *cwd ? cwd : "/"));
	json_object_object_add(p, "noNewPrivileges", json_object_new_boolean(true));
	return r;
}

/* ---- mounts and the rest of linux ------------------------------------------------------------------ */

static void mount_add(struct json_object *mounts, const char *where, const char *type, const char *source,
		      const char *options)
{
	struct json_object *m = json_object_new_object(), *list = json_object_new_array();
	char copy[200], *save = NULL;

	json_set(m, "destination", "%s", where);
	json_set(m, "type", "%s", type);
	json_set(m, "source", "%s", source);
	snprintf(copy, sizeof(copy), "%s", options);
	for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save))
		env_add(list, o);
	json_object_object_add(m, "options", list);
	json_object_array_add(mounts, m);
}

/* Without a network of its own a user namespace cannot have a new sysfs: the pool's is shown. */
static struct json_object *make_mounts(const struct container_wish *w)
{
	struct json_object *m = json_object_new_array();

	mount_add(m, "/proc", "proc", "proc", "nosuid,noexec,nodev");
	mount_add(m, "/dev", "tmpfs", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=65536k");
	mount_add(m, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_add(m, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
	mount_add(m, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
	if (w->network)
		mount_add(m, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	else
		mount_add(m, "/sys", "bind", "/sys", "rbind,nosuid,noexec,nodev,rro");
	mount_add(m, "/run", "tmpfs", "tmpfs", "nosuid,nodev,mode=755,size=65536k");
	if (!w->network)
		mount_add(m, "/etc/resolv.conf", "bind", "/etc/resolv.conf", "bind,ro");
	return m;
}

static void namespaces_add(const struct container_wish *w, struct json_object *linux_)
{
	static const char *const always[] = {"pid", "ipc", "uts", "mount", "cgroup"};
	struct json_object *list = json_object_new_array(), *one;

	for (size_t i = 0; i < ARRAY_LEN(always) + 2; i++) {
		if ((i == ARRAY_LEN(always) && !w->network) || (i == ARRAY_LEN(always) + 1 && w->privileged_user))
			continue;
		one = json_object_new_object();
		json_set(one, "type", "%s", i < ARRAY_LEN(always) ? always[i] : i == ARRAY_LEN(always) ? "network" : "user");
		json_object_array_add(list, one);
	}
	json_object_object_add(linux_, "namespaces", list);
}

/* The same ids inside and outside, so that all doors show the same owners; what goes is the power over the host. */
static struct json_object *all_ids(void)
{
	struct json_object *list = json_object_new_array(), *all = json_object_new_object();

	json_object_object_add(all, "containerID", json_object_new_int(0));
	json_object_object_add(all, "hostID", json_object_new_int(0));
	json_object_object_add(all, "size", json_object_new_int64(4294967295));
	json_object_array_add(list, all);
	return list;
}

static struct json_object *make_seccomp(void)
{
	static const char *const machines[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
	struct json_object *s = json_object_new_object(), *list = json_object_new_array(),
			   *rule = json_object_new_object();

	json_set(s, "defaultAction", "SCMP_ACT_ALLOW");
	json_object_object_add(s, "architectures", words(machines, ARRAY_LEN(machines)));
	json_object_object_add(rule, "names", words(refused, ARRAY_LEN(refused)));
	json_set(rule, "action", "SCMP_ACT_ERRNO");
	json_object_array_add(list, rule);
	json_object_object_add(s, "syscalls", list);
	return s;
}

static int number_add(struct json_object *resources, const char *section, const char *key, const char *text,
		      uint64_t scale, struct error *error)
{
	struct json_object *o = json_object_new_object();
	uint64_t n = 0;

	if (!text)
		json_object_put(o);
	else if (ls_parse_size(text, &n) < 0 || !n) {
		json_object_put(o);
		return error_set(error, -EINVAL, "'%s' is no limit of %s", text, section);
	} else {
		json_object_object_add(o, key, json_object_new_int64(n * scale / 100));
		json_object_object_add(resources, section, o);
	}
	return 0;
}

static int make_linux(const struct container_wish *w, struct json_object *config, struct error *error)
{
	struct json_object *l = json_object_new_object(), *resources = json_object_new_object();
	int r = number_add(resources, "memory", "limit", w->memory, 100, error);

	json_object_object_add(config, "linux", l);
	json_object_object_add(l, "resources", resources);
	if (r == 0)
		r = number_add(resources, "pids", "limit", w->pids ? w->pids : "4096", 100, error);
	if (r == 0)
		r = number_add(resources, "cpu", "shares", w->cpu_weight, 1024, error);
	namespaces_add(w, l);
	if (!w->privileged_user) {
		json_object_object_add(l, "uidMappings", all_ids());
		json_object_object_add(l, "gidMappings", all_ids());
	}
	json_object_object_add(l, "maskedPaths", words(masked, ARRAY_LEN(masked)));
	json_object_object_add(l, "readonlyPaths", words(read_only, ARRAY_LEN(read_only)));
	json_object_object_add(l, "seccomp", make_seccomp());
	return r;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static int make_annotations(const struct container_wish *w, struct json_object *config, struct error *error)
{
	struct json_object *a = json_object_new_object();
	char key[400];

	json_object_object_add(config, "annotations", a);
	json_set(a, "io.polytropon.pool", "%s", w->pool);
	json_set(a, "io.polytropon.root", "%s", w->name);
	if (w->io) {
		json_object_object_foreach(w->io, limit, value) {
			snprintf(key, sizeof(key), "io.polytropon.%s", limit);
			json_object_object_add(a, key, json_object_get(value));
		}
	}
	for (size_t i = 0; i < json_length(w->volumes); i++) {
		const char *word = json_word(w->volumes, i), *colon = strchr(word, ':');
		if (!colon || *word != '/' || colon[1] != '/')
			return error_set(error, -EINVAL, "volume '%s' is not /PATH-IN-POOL:/PATH-IN-CONTAINER", word);
		snprintf(key, sizeof(key), "io.polytropon.mount.%s", colon + 1);
		json_object_object_add(a, key, json_object_new_string_len(word, colon - word));
	}
	return 0;
}

int container_config(const struct container_wish *w, struct json_object *image, struct json_object **ret,
		     struct error *error)
{
	struct json_object *config = json_object_new_object(), *root = json_object_new_object();
	int r;

	json_set(config, "ociVersion", "1.0.2");
	json_set(config, "hostname", "%s", w->hostname ? w->hostname : w->name);
	json_object_object_add(root, "readonly", json_object_new_boolean(w->read_only));
	json_object_object_add(config, "root", root);
	r = make_process(w, image, config, error);
	json_object_object_add(config, "mounts", make_mounts(w));
	if (r == 0)
		r = make_linux(w, config, error);
	if (r == 0)
		r = make_annotations(w, config, error);
	if (r < 0)
		json_object_put(config);
	else
		*ret = config;
	return r;
}
