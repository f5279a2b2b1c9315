/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/init.h"

#include <errno.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/title.h"

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Programs that came from outside are not our children, so their end is not a SIGCHLD of ours. */
static void end_programs(void)
{
	const struct timespec pause = {0, 10 * 1000 * 1000};

	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	while (kill(-1, 0) == 0) {
		nanosleep(&pause, NULL);
		reap();
	}
	_exit(0);
}

static void hold_until_go(int hold)
{
	char byte;

	/* The engine may have died before the death signal was set: then this is the end of the file. */
	if (read(hold, &byte, 1) != 1)
		_exit(1);
	close(hold);
}

void init_run(int hold, const char *pool, int network)
{
	siginfo_t info;
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	title_set("init of pool %s", pool);
	dup2(hold, 0);
	close_range(1, ~0u, 0);
	sethostname(pool, strlen(pool));
	if (network)
		loopback_up();
	hold_until_go(0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	for (;;) {
		reap();
		/* A SIGTERM from within the pool has a sender that it can name; the engine's has none. */
		if (sigwaitinfo(&set, &info) == SIGTERM && info.si_code == SI_USER && info.si_pid == 0)
			end_programs();
	}
}
