/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/cpu-time.h"
#include "engine/util.h"

/* In /proc/<pid>/stat, behind the name, which may hold anything: the 12th and 13th word are its time in user mode and in
 * the kernel, the 20th is when it began, all in ticks. */
int cpu_time(pid_t pid, double *ret_used, double *ret_age)
{
	unsigned long long user, kernel, began;
	double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
	_cleanup_(fclose_p) FILE *in = NULL;
	char path[32], line[1024], *end;
	struct timespec boot;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	in = fopen(path, "re");
	if (!in || !fgets(line, sizeof(line), in))
		return -ESRCH;
	end = strrchr(line, ')');
	if (!end || sscanf(end + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %*s %*s %*s %*s %*s %*s %llu", &user,
			   &kernel, &began) != 3)
		return -EPROTO;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	*ret_used = (double)(user + kernel) * tick;
	*ret_age = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9 - (double)began * tick;
	return 0;
}
