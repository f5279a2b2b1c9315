/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: what this host offers, what is missing, and what that costs. Each check is a row of a table. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "engine/command.h"
#include "engine/figures.h"
#include "engine/programs.h"

/* Writes what it found; true: it is there. */
typedef bool check_fn(char found[static 160]);

struct check {
	const char *name;
	check_fn *check;
	bool needed;      /* nothing works without */
	const char *cost; /* what its absence costs */
};

static bool kernel_found(unsigned major, unsigned minor, char found[static 160])
{
	struct utsname name;

	uname(&name);
	snprintf(found, 160, "Linux %s", name.release);
	return kernel_is(major, minor);
}

static bool check_kernel(char found[static 160])
{
	return kernel_found(5, 16, found);
}

static bool check_root(char found[static 160])
{
	snprintf(found, 160, "user %u", geteuid());
	return geteuid() == 0;
}

static bool check_fuse(char found[static 160])
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	bool there = fd >= 0;

	snprintf(found, 160, "/dev/fuse: %s", there ? "opens" : strerror(errno));
	close_p(&fd);
	return there;
}

/* Since 6.9, where the kernel was built with it; a kernel that says nothing of itself is believed. */
static bool check_passthrough(char found[static 160])
{
	struct utsname name;
	char path[128], line[128];
	FILE *config;
	bool off = false;

	uname(&name);
	snprintf(path, sizeof(path), "/boot/config-%.80s", name.release);
	config = fopen(path, "re");
	while (config && fgets(line, sizeof(line), config))
		off |= !strncmp(line, "# CONFIG_FUSE_PASSTHROUGH is not set", 36);
	if (config)
		fclose(config);
	return kernel_found(6, 9, found) && !off;
}

static bool check_epoch(char found[static 160])
{
	return kernel_found(6, 16, found);
}

static bool file_has(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[512];
	bool has = false;

	while (file && !has && fgets(line, sizeof(line), file))
		for (char *save, *p = strtok_r(line, " ,\t\n", &save); p && !has; p = strtok_r(NULL, " ,\t\n", &save))
			has = !strcmp(p, word);
	if (file)
		fclose(file);
	return has;
}

/* In the unified hierarchy, or mounted as one of the older kind. */
static bool controller(const char *name, char found[static 160])
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
	if (file_has("/sys/fs/cgroup/cgroup.controllers", name)) {
		snprintf(found, 160, "in the unified hierarchy");
		return true;
	}
	snprintf(found, 160, access(path, W_OK) == 0 ? "mounted at %s" : "not mounted", path);
	return access(path, W_OK) == 0;
}

static bool check_cpuset(char found[static 160])
{
	return controller("cpuset", found);
}

static bool check_cpu(char found[static 160])
{
	return controller("cpu", found);
}

static bool check_memory(char found[static 160])
{
	return controller("memory", found);
}

static bool check_uring(char found[static 160])
{
	struct io_uring_params params = {};
	int fd = syscall(SYS_io_uring_setup, 4, &params);
	bool there = fd >= 0;

	snprintf(found, 160, "io_uring_setup: %s", there ? "works" : strerror(errno));
	close_p(&fd);
	return there;
}

/* In a child: one that has many threads, or a strange parent, is refused for reasons of its own. */
static bool check_users(char found[static 160])
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	snprintf(found, 160, "unshare: %s", WIFEXITED(status) && !WEXITSTATUS(status) ? "works" :
					    strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool check_files(char found[static 160])
{
	struct rlimit limit = {};

	getrlimit(RLIMIT_NOFILE, &limit);
	snprintf(found, 160, "at most %llu descriptors a process", (unsigned long long)limit.rlim_max);
	return limit.rlim_max >= 65536;
}

static bool check_cores(char found[static 160])
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	snprintf(found, 160, "%ld", n);
	return n >= 2;
}

static bool check_folios(char found[static 160])
{
	bool there = kernel_found(6, 14, found) && !access("/sys/kernel/mm/transparent_hugepage/shmem_enabled", R_OK);

	return there && !file_has("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "[deny]");
}

static bool check_seccomp(char found[static 160])
{
	int mode = prctl(PR_GET_SECCOMP);

	snprintf(found, 160, mode < 0 ? "none" : "there");
	return mode >= 0;
}

static bool check_service(char found[static 160])
{
	char path[PATH_MAX];
	struct error error;
	int r = program_service(path, &error);

	snprintf(found, 160, "%.150s", r < 0 ? error.text : path);
	return r == 0;
}

static bool check_preload(char found[static 160])
{
	char path[PATH_MAX];
	struct error error;
	int r = program_preload(path, &error);

	snprintf(found, 160, "%.150s", r < 0 ? error.text : path);
	return r == 0;
}

static const struct check checks[] = {
	{"root", check_root, true, "pools cannot be started"},
	{"kernel 5.16", check_kernel, true, "nothing else has been tried"},
	{"service", check_service, true, "there is no program to serve files"},
	{"preload library", check_preload, false, "every program goes through FUSE: 2 to 30 us a call"},
	{"FUSE", check_fuse, false, "static programs do not see the pool's files, and nothing can be made the kernel's"},
	{"FUSE passthrough", check_passthrough, false,
	 "reads and writes of static programs come to the service: 6 to 28 us each, instead of 1"},
	{"FUSE epochs", check_epoch, false, "a change of many names costs a notice to the kernel for each"},
	{"cgroup cpuset", check_cpuset, false, "a pool's service keeps to its cores, its programs may leave them"},
	{"cgroup cpu", check_cpu, false, "cpu_weight is not enforced"},
	{"cgroup memory", check_memory, false, "memory is not limited: one tenant can take it all"},
	{"io_uring", check_uring, false, "volumes use threads for their device: some 10 us more for a write"},
	{"user namespaces", check_users, false, "pools with `user: true` do not start"},
	{"descriptors", check_files, false, "many open files in one pool are refused"},
	{"cores", check_cores, false, "nobody spins: a request costs two switches of context, 4 us"},
	{"large folios", check_folios, false, "large cached files take several times as long to fill, and to read for the first time"},
	{"seccomp", check_seccomp, true, "services cannot be shut in"},
	{},
};

static struct json_object *examine(const struct check *c)
{
	struct json_object *o = json_object_new_object();
	char found[160] = "";
	bool there = c->check(found);

	json_set(o, "name", "%s", c->name);
	json_object_object_add(o, "ok", json_object_new_boolean(there));
	json_object_object_add(o, "needed", json_object_new_boolean(c->needed));
	json_set(o, "found", "%s", found);
	if (!there)
		json_set(o, "cost", "%s", c->cost);
	return o;
}

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	*(bool *)arg = true;
	return 0;
}

int cmd_doctor(const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *list = json_object_new_array();
	bool json = false, fatal = false;
	int r = options_take(command, &argv, take, &json);

	if (r == 0 && argv[0])
		r = misuse(command, "it takes no '%s'", argv[0]);
	if (r != 0)
		return r;
	for (const struct check *c = checks; c->name; c++) {
		struct json_object *o = examine(c);
		fatal |= c->needed && !json_true(o, "ok");
		json_object_array_add(list, o);
		if (json)
			continue;
		printf("%-7s %-18s %s\n", json_true(o, "ok") ? "ok" : c->needed ? "NEEDED" : "missing", c->name,
		       json_string(o, "found"));
		if (!json_true(o, "ok"))
			printf("%27s%s\n", "", c->cost);
	}
	if (json)
		json_print(list);
	return fatal ? 1 : 0;
}
