/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of pools, with the command itself and a service that only talks: whatever happens, nothing is
 * left. Arguments: the command, the fake service.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <json.h>
#include <cmocka.h>

static char base[] = "/tmp/polytropon-life-XXXXXX";
static char output[64 * 1024];

/* Runs a line of shell; what it printed is in `output`. Returns its exit status. */
__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
	char line[2048];
	va_list ap;
	FILE *f;
	size_t n;
	int status;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fflush(NULL);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(int found, int status, const char *says)
{
	if (found != status || (says && !strstr(output, says)))
		fail_msg("expected status %d and '%s', found %d:\n%s", status, says ? says : "", found,
			 output);
}

static void nap(int ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void write_pools(const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pools.yaml", base);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A number of `ps --json`, of a pool. */
static int figure(const char *pool, const char *key)
{
	struct json_object *pools, *value;
	int found = -1;

	expect(run("$P ps --json"), 0, "[");
	pools = json_tokener_parse(output);
	for (size_t i = 0; i < json_object_array_length(pools); i++) {
		struct json_object *p = json_object_array_get_idx(pools, i);
		json_object_object_get_ex(p, "pool", &value);
		if (!strcmp(json_object_get_string(value), pool) &&
		    json_object_object_get_ex(p, key, &value))
			found = json_object_get_int(value);
	}
	json_object_put(pools);
	return found;
}

static int parent_of(int pid)
{
	char path[64], name[64];
	int parent = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fscanf(f, "%63s", name) == 1)
		if (!strcmp(name, "PPid:") && fscanf(f, "%d", &parent) == 1)
			break;
	if (f)
		fclose(f);
	return parent;
}

static size_t read_proc(const char *pid, const char *name, char *buf, size_t size)
{
	char path[300];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	f = fopen(path, "r");
	if (f) {
		n = fread(buf, 1, size - 1, f);
		fclose(f);
	}
	buf[n] = '\0';
	return n;
}

/* Is it one of ours: not a zombie, and born with our directory in its environment? */
static int is_ours(const char *pid)
{
	static char text[64 * 1024];
	char mark[PATH_MAX + 32];
	size_t n = read_proc(pid, "environ", text, sizeof(text));

	snprintf(mark, sizeof(mark), "POLYTROPON_RUN=%s/run", base);
	return n && memmem(text, n, mark, strlen(mark)) && atoi(pid) != getpid();
}

/* Engines, reapers, inits, services and programs of ours; `output` names them. */
static int processes_left(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	char line[256];
	int n = 0;

	output[0] = '\0';
	while ((d = readdir(dir)))
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && is_ours(d->d_name)) {
			n++;
			read_proc(d->d_name, "cmdline", line, sizeof(line));
			snprintf(output + strlen(output), sizeof(output) - strlen(output), "%s %s\n",
				 d->d_name, line);
		}
	closedir(dir);
	return n;
}

static int traces_left(int engine)
{
	char path[PATH_MAX];
	int n = 0;

	snprintf(path, sizeof(path), "%s/run", base);
	if (access(path, F_OK) == 0)
		n++;
	if (engine &&
	    run("find /sys/fs/cgroup -type d -path '*/polytropon/*.%d' 2>/dev/null", engine) == 0 &&
	    *output)
		n++;
	if (run("grep %s /proc/self/mountinfo", base) == 0)
		n++;
	return n;
}

/* Nothing is left, at the latest after some time. */
static void expect_nothing_left(int engine, int ms)
{
	int processes = 1, traces = 1;

	for (ms += 300; ms >= 0; ms -= 100) { /* a process needs a moment to be no more */
		traces = traces_left(engine);
		processes = processes_left();
		if (!processes && !traces)
			return;
		nap(100);
	}
	fail_msg("%d processes and %d traces are left:\n%s", processes, traces, output);
}

static int engine_of(const char *pool)
{
	return parent_of(figure(pool, "init"));
}

#define TWO                                                                                                \
	"pools:\n  a: {mounts: {/data: {mem: {}}, /polytropon-test/x: {mem: {}}}}\n  b: {mounts: {/data: " \
	"{mem: {}}}}\n"

static void up_ps_run_down(void **state)
{
	int engine;

	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, "a: up");
	assert_non_null(strstr(output, "b: up"));
	engine = engine_of("a");
	assert_true(engine > 1);
	/* an engine, a reaper, two inits, two services; and what looks for traces finds them */
	assert_int_equal(processes_left(), 6);
	assert_true(traces_left(engine) >= 1);
	expect(run("$P up $B/pools.yaml 2>&1"), 2, "pools.yaml:2: pool 'a' runs already");
	expect(run("$P run a -- sh -c 'exit 7'"), 7, NULL);
	expect(run("$P run a -- sh -c 'kill -9 $$'"), 137, NULL);
	expect(run("$P run a -- /no/such/program 2>&1"), 127, "No such file");
	expect(run("$P run a -- /etc/passwd 2>&1"), 126, "Permission denied");
	expect(run("$P run a -- hostname"), 0, "a\n");
	expect(run("cd /etc && $P run a -- pwd"), 0, "/etc\n");
	expect(run("$P exec b -- sh -c 'test -d /polytropon-test'"), 1, NULL);
	expect(run("$P run a -- sh -c 'echo $LD_PRELOAD'"), 0, "/run/polytropon/preload.so");
	expect(run("$P run aa -- true 2>&1"), 125, "no pool 'aa' runs");
	expect(run("$P stats a"), 0, "42");
	expect(run("$P stats a --json"), 0, "\"requests\":42");
	expect(run("$P set a flush.interval=3s memory=64M 2>&1"), 0, NULL);
	expect(run("$P set a flush.interval=13s 2>&1"), 125, "thirteen is unlucky");
	expect(run("$P set a flush.intervall=1s 2>&1"), 2, "did you mean 'flush.interval'?");
	expect(run("$P dump a"), 0, "interval: 3s");
	expect(run("$P dump > $B/dump.yaml; $P down 2>&1"), 0, NULL);
	expect_nothing_left(engine, 0);
	expect(run("$P up $B/dump.yaml"), 0, "a: up");
	expect(run("$P dump | diff - $B/dump.yaml"), 0, NULL);
	expect(run("$P down a && $P down b 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
	expect(run("$P ps"), 0, "POOL");
	expect(run("$P down a 2>&1"), 125, "no pool 'a' runs");
}

static void containers_are_listed(void **state)
{
	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	run("$P run a -- sleep 71 > $B/out & $P exec b -- sleep 72 > $B/out & sleep 0.3; $P ps");
	assert_non_null(strstr(output, "sleep 71"));
	assert_null(strstr(output, "sleep 72"));
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
}

static void a_killed_command_takes_its_program(void **state)
{
	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	run("$P run a -- sleep 73 & sleep 0.3; kill -9 $!; sleep 0.2; pgrep -fx 'sleep 73'; true");
	assert_string_equal(output, "");
	run("$P run a -- sh -c 'trap \"exit 3\" TERM; echo ready; while :; do sleep 0.05; done' & sleep 0.5; kill $!; "
	    "wait $!; echo status $?");
	assert_non_null(strstr(output, "status 3"));
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
}

static void a_killed_service_comes_back(void **state)
{
	int service, engine;

	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	engine = engine_of("a");
	service = figure("a", "service");
	kill(service, SIGKILL);
	for (int i = 0; i < 100 && (figure("a", "restarts") != 1 || figure("a", "generation") < 3); i++)
		nap(100);
	assert_int_equal(figure("a", "restarts"), 1);
	assert_int_not_equal(figure("a", "service"), service);
	assert_true(figure("a", "generation") >= 3);
	assert_int_equal(figure("b", "restarts"), 0);
	nap(100);
	expect(run("$P stats a"), 0, "42");
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(engine, 0);
}

static void a_service_that_always_dies_fails_the_pool(void **state)
{
	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	for (int i = 0; i < 60 && figure("a", "service") >= 0; i++) {
		int service = figure("a", "service");
		if (service > 1)
			kill(service, SIGKILL);
		nap(100);
		if (run("$P ps | grep -q '^a .*failed'") == 0)
			break;
	}
	expect(run("$P ps"), 0, "its service died 5 times within 10 s");
	expect(run("$P run a -- true 2>&1"), 125, "nothing can run in it");
	expect(run("$P run b -- true 2>&1"), 0, NULL);
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
}

static void a_killed_engine_leaves_nothing(void **state)
{
	int engine;

	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	engine = engine_of("a");
	run("$P run a -- sleep 74 > /dev/null 2>&1 &");
	nap(200);
	assert_int_equal(kill(engine, SIGKILL), 0);
	expect_nothing_left(engine, 5000);
	/* and the next one starts */
	expect(run("$P up $B/pools.yaml 2>&1"), 0, "a: up");
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
}

static void a_dead_init_ends_the_pool(void **state)
{
	int engine;

	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	engine = engine_of("a");
	kill(figure("a", "init"), SIGKILL);
	for (int i = 0; i < 30 && figure("a", "init") >= 0; i++)
		nap(100);
	assert_int_equal(figure("a", "init"), -1);
	assert_true(figure("b", "init") > 1);
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(engine, 0);
}

static void a_bad_pool_among_good_ones(void **state)
{
	char pools[512];
	int engine;

	/* That two mount points are one directory is seen when its place is built. */
	expect(run("mkdir $B/place && ln -s place $B/link"), 0, NULL);
	snprintf(pools, sizeof(pools),
		 "pools:\n  good: {mounts: {/data: {mem: {}}}}\n  bad: {mounts: {%s/place: {mem: {}}, %s/link: {mem: {}}}}\n"
		 "  fine: {mounts: {/data: {mem: {}}}}\n", base, base);
	write_pools(pools);
	expect(run("$P up $B/pools.yaml 2>&1"), 125, "pool 'bad' did not start: mount points '");
	assert_non_null(strstr(output, "good: up"));
	assert_non_null(strstr(output, "fine: up"));
	assert_int_equal(figure("bad", "init"), -1);
	engine = engine_of("good");
	expect(run("find /sys/fs/cgroup -path '*polytropon/bad.%d'", engine), 0, NULL);
	assert_string_equal(output, "");
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(engine, 0);
}

static void services_that_do_not_start(void **state)
{
	write_pools(TWO);
	expect(run("FAKE_SERVICE=fail $P up $B/pools.yaml 2>&1"), 125,
	       "did not start: the fake fails as it was told");
	expect_nothing_left(0, 1000);
	expect(run("FAKE_SERVICE=exit $P up $B/pools.yaml 2>&1"), 125,
	       "did not start: its service ended with status 7");
	expect_nothing_left(0, 1000);
	expect(run("POLYTROPON_SERVICE=/no/such $P up $B/pools.yaml 2>&1"), 125,
	       "did not start: no service program");
	expect_nothing_left(0, 1000);
	expect(run("POLYTROPON_SERVICE=/etc/passwd $P up $B/pools.yaml 2>&1"), 125,
	       "start '/etc/passwd': Permission denied");
	expect_nothing_left(0, 1000);
}

static void throw_away_pools(void **state)
{
	expect(run("$P run --mem --at /polytropon-x -- sh -c 'grep -q \" /polytropon-x fuse\" /proc/mounts && exit 6' 2>&1"),
	       6, NULL);
	expect(run("$P run --host $B --at /polytropon-x/y -- sh -c 'exit 5' 2>&1"), 5, NULL);
	expect(run("$P run --mem --at /polytropon-x -- /no/such 2>&1"), 127, NULL);
	expect(run("$P run --host /no/such --at /data -- true 2>&1"), 2, "No such file");
	expect(run("$P run --mem --at data -- true 2>&1"), 2, "did you mean '/data'?");
	expect(run("$P run --mem --size 1Q --at /data -- true 2>&1"), 2, "1Q");
	expect(run("$P run --mem --memory 1Q --at /data -- true 2>&1"), 2, "did you mean '1G'?");
	expect(run("$P run --mem -- true 2>&1"), 2, "--at");
	expect(run("$P run --mem --at /data 2>&1"), 2, "no program is given");
	expect(run("$P run --mme 2>&1"), 2, "did you mean '--mem'?");
	expect(run("$P rnu 2>&1"), 2, "did you mean 'run'?");
	expect(run("FAKE_SERVICE=fail $P run --mem --at /data -- true 2>&1"), 125, "as it was told");
	assert_int_equal(access("/polytropon-x", F_OK), -1);
	run("$P run --mem --at /data -- sleep 75 & sleep 0.5; kill -9 $!");
	expect_nothing_left(0, 3000);
}

/* ---- bad clients --------------------------------------------------------------------------------- */

static int connect_engine(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/engine.sock", base);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static const char *ask(int fd, const char *text)
{
	ssize_t n = 0;

	assert_int_equal(send(fd, text, strlen(text) + 1, MSG_NOSIGNAL), strlen(text) + 1);
	memset(output, 0, sizeof(output));
	for (size_t len = 0; n >= 0 && len < sizeof(output) - 1; len += n) {
		n = recv(fd, output + len, sizeof(output) - 1 - len, 0);
		if (n <= 0 || !output[len + n - 1])
			break;
	}
	return output;
}

static void bad_clients_hurt_nobody(void **state)
{
	static char garbage[256 * 1024];
	int half, slow, fd, tries = 0;

	write_pools(TWO);
	expect(run("$P up $B/pools.yaml 2>&1"), 0, NULL);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = rand();
	fd = connect_engine();
	send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
	half = connect_engine();
	send(half, "{\"method\": \"io.poly", 19, MSG_NOSIGNAL);
	slow = connect_engine();
	while (tries++ < 100000 &&
	       send(slow, "{\"method\":\"io.polytropon.Ps\"}", 30, MSG_NOSIGNAL | MSG_DONTWAIT) == 30)
		;
	expect(run("timeout 5 $P ps"), 0, "a");
	close(fd);
	close(half);
	close(slow);
	fd = connect_engine();
	assert_non_null(strstr(ask(fd, "{\"method\": \"org.varlink.service.GetInfo\"}"), "io.polytropon"));
	assert_non_null(strstr(ask(fd, "{\"method\": \"org.varlink.service.GetInterfaceDescription\", "
				       "\"parameters\": {\"interface\": \"io.polytropon\"}}"),
			       "method Up("));
	assert_non_null(strstr(ask(fd, "{\"method\": \"io.polytropon.Pss\"}"), "MethodNotFound"));
	assert_non_null(strstr(output, "did you mean 'io.polytropon.Ps'?"));
	assert_non_null(strstr(ask(fd, "{}"), "MethodNotFound"));
	assert_non_null(strstr(ask(fd, "{\"method\": \"io.polytropon.Stats\"}"), "InvalidParameter"));
	assert_non_null(strstr(ask(fd, "{\"method\": \"io.polytropon.Ps\", \"parameters\": {\"x\": 1}}"),
			       "InvalidParameter"));
	assert_non_null(
		strstr(ask(fd, "{\"method\": \"io.polytropon.Up\", \"parameters\": {\"pools\": {\"c\": "
			       "{\"mounts\": {\"x\": 1}}}}}"),
		       "Refused"));
	assert_non_null(strstr(
		ask(fd,
		    "{\"method\": \"io.polytropon.Join\", \"parameters\": {\"pool\": \"a\", \"pid\": -1, "
		    "\"listed\": true, \"command\": \"x\"}}"),
		"Refused"));
	close(fd);
	expect(run("timeout 5 $P run a -- true"), 0, NULL);
	expect(run("$P down 2>&1"), 0, NULL);
	expect_nothing_left(0, 0);
}

static int cleanup(void **state)
{
	run("$P down > /dev/null 2>&1");
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(up_ps_run_down, cleanup),
		cmocka_unit_test_teardown(containers_are_listed, cleanup),
		cmocka_unit_test_teardown(a_killed_command_takes_its_program, cleanup),
		cmocka_unit_test_teardown(a_killed_service_comes_back, cleanup),
		cmocka_unit_test_teardown(a_service_that_always_dies_fails_the_pool, cleanup),
		cmocka_unit_test_teardown(a_killed_engine_leaves_nothing, cleanup),
		cmocka_unit_test_teardown(a_dead_init_ends_the_pool, cleanup),
		cmocka_unit_test_teardown(a_bad_pool_among_good_ones, cleanup),
		cmocka_unit_test_teardown(services_that_do_not_start, cleanup),
		cmocka_unit_test_teardown(throw_away_pools, cleanup),
		cmocka_unit_test_teardown(bad_clients_hurt_nobody, cleanup),
	};
	char path[PATH_MAX];
	int failed;

	if (geteuid() != 0 || argc != 4)
		return 77;
	if (!mkdtemp(base))
		return 1;
	snprintf(path, sizeof(path), "%s/run", base);
	setenv("POLYTROPON_RUN", path, 1);
	setenv("B", base, 1);
	for (int i = 1; i < argc; i++)
		setenv((const char *[]){"P", "POLYTROPON_SERVICE", "POLYTROPON_PRELOAD"}[i - 1],
		       realpath(argv[i], path), 1);
	failed = cmocka_run_group_tests(tests, NULL, NULL) != 0;
	snprintf(path, sizeof(path), "rm -rf '%s'", base);
	return system(path) != 0 || failed;
}
