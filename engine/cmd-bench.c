/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bench`: runs the benchmarks that are there, bench-<name> beside the command or in libexecdir. Each prints a line of
 * JSON a comparison; a report is made of these lines by bench-report.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/command.h"
#include "engine/programs.h"
#include "libservices/libservice.h"

const struct option_row bench_options[] = {
	{"quick", NULL, "less than a minute each"},
	{"json", NULL, "a line of JSON a comparison"},
	{"threshold", "N", "isolation: fail if a neighbour makes the p99 longer than so many times (1.2)"},
	{"report", "DIR", "write a page with plots, and the lines that it was made of, into a directory"},
	{},
};

enum { NAMES_MAX = 32 };

struct wanted {
	bool quick, json;
	const char *report;
	double threshold; /* 0: the benchmark's own */
};

static int threshold_take(const struct command *command, const char *value, double *ret)
{
	char *end;

	*ret = strtod(value, &end);
	if (*ret > 0 && isfinite(*ret) && !*end)
		return 0;
	return misuse(command, "--threshold %s: it is a number above 0, as 1.2", value);
}

static int take(const struct command *command, const struct option_row *option, const char *value, void *arg)
{
	struct wanted *w = arg;

	if (!strcmp(option->name, "quick"))
		w->quick = true;
	else if (!strcmp(option->name, "json"))
		w->json = true;
	else if (!strcmp(option->name, "threshold"))
		return threshold_take(command, value, &w->threshold);
	else
		w->report = value;
	return 0;
}

static int is_bench(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "bench-", 6) && strcmp(entry->d_name, "bench-report") &&
	       !strchr(entry->d_name, '.');
}

/* The benchmarks of a directory, without "bench-". */
static unsigned names_find(const char *dir, const char *names[static NAMES_MAX + 1])
{
	struct dirent **list;
	unsigned count = 0;
	int n = scandir(dir, &list, is_bench, alphasort);

	for (int i = 0; i < n; i++) {
		if (count < NAMES_MAX)
			names[count++] = strdup(list[i]->d_name + 6);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	names[count] = NULL;
	return count;
}

static int name_check(const struct command *command, const char *const *names, const char *name)
{
	const char *near;

	for (const char *const *p = names; *p; p++)
		if (!strcmp(*p, name))
			return 0;
	near = ls_nearest(name, names);
	return near ? misuse(command, "there is no benchmark '%s'; did you mean '%s'?", name, near) :
		      misuse(command, "there is no benchmark '%s' here", name);
}

/* Copies what it prints to `copy`, too. Its exit status; 77 if it cannot be run on this host. */
static int bench_run(const char *dir, const char *name, const struct wanted *w, FILE *copy)
{
	char command[PATH_MAX + 128], threshold[64] = "", line[65536];
	FILE *out;
	int status;

	if (w->threshold > 0 && !strcmp(name, "isolation"))
		snprintf(threshold, sizeof(threshold), " --threshold %g", w->threshold);
	snprintf(command, sizeof(command), "'%s/bench-%s'%s%s%s", dir, name, w->quick ? " --quick" : "",
		 w->json || copy ? " --json" : "", threshold);
	fflush(stdout);
	if (copy)
		fprintf(copy, "{\"command\":\"polytropon bench %s%s%s\",\"bench\":\"%s\"}\n", name,
			w->quick ? " --quick" : "", threshold, name);
	out = popen(command, "re");
	if (!out)
		return complain("run '%s': %s", command, strerror(errno));
	while (fgets(line, sizeof(line), out)) {
		fputs(line, stdout);
		fflush(stdout);
		if (copy)
			fputs(line, copy);
	}
	status = pclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_OURS;
}

static int report_make(const char *dir, const char *to)
{
	char program[PATH_MAX + 32];
	int status = -1;
	pid_t pid;

	snprintf(program, sizeof(program), "%s/bench-report", dir);
	pid = fork();
	if (pid == 0) {
		execl(program, program, to, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return complain("the report in '%s' could not be made; it needs python3", to);
	printf("report: %s/index.html\n", to);
	return 0;
}

static int run_all(const char *dir, const char *const *names, const struct wanted *w)
{
	_cleanup_(fclose_p) FILE *copy = NULL;
	char path[PATH_MAX];
	int failed = 0, r;

	if (w->report) {
		snprintf(path, sizeof(path), "%s/results.jsonl", w->report);
		if ((mkdir(w->report, 0777) < 0 && errno != EEXIST) || !(copy = fopen(path, "we")))
			return complain("write '%s': %s", path, strerror(errno));
	}
	for (; *names; names++) {
		r = bench_run(dir, *names, w, copy);
		if (r == 77)
			complain("benchmark '%s' cannot be run here", *names);
		else if (r != 0)
			failed = complain("benchmark '%s' ended with status %d", *names, r);
	}
	if (!copy)
		return failed ? 1 : 0;
	if (fflush(copy) != 0)
		return complain("write '%s': %s", path, strerror(errno));
	r = report_make(dir, w->report);
	return r ? r : failed ? 1 : 0;
}

int cmd_bench(const struct command *command, char **argv)
{
	const char *there[NAMES_MAX + 1] = {}, *chosen[NAMES_MAX + 1] = {};
	char dir[PATH_MAX];
	struct wanted w = {};
	struct error error;
	unsigned n = 0;
	int r = options_take(command, &argv, take, &w);

	if (r != 0)
		return r;
	if (program_benches(dir, &error) < 0)
		return complain("the benchmarks are not installed: %s", error.text);
	names_find(dir, there);
	for (; r == 0 && *argv && n < NAMES_MAX; argv++) {
		if ((*argv)[0] == '-') {
			r = options_take(command, &argv, take, &w);
			argv--;
			continue;
		}
		if (!strcmp(*argv, "all"))
			for (n = 0; there[n]; n++)
				chosen[n] = there[n];
		else if ((r = name_check(command, there, *argv)) == 0)
			chosen[n++] = *argv;
	}
	if (r != 0)
		return r;
	for (unsigned i = 0; n == 0 && there[i]; i++)
		puts(there[i]);
	if (n == 0)
		return w.report ? misuse(command, "say what is to be reported, or `all`") : 0;
	return command_needs_root(command) ?: run_all(dir, chosen, &w);
}
