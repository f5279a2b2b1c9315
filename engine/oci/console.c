/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>

#include "engine/oci/console.h"
#include "engine/oci/inside.h"
#include "engine/passing.h"

/* ---- inside ------------------------------------------------------------------------------------ */

static void set_size(int terminal, struct json_object *process)
{
	struct json_object *size = json_child(process, "consoleSize", json_type_object);
	struct winsize w = {.ws_row = json_number(size, "height", 0), .ws_col = json_number(size, "width", 0)};

	if (w.ws_row && w.ws_col)
		ioctl(terminal, TIOCSWINSZ, &w);
}

int console_make(int root, struct json_object *process, int *ret_slave, struct error *error)
{
	struct open_how how = {.flags = O_RDWR | O_NOCTTY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	struct json_object *user = json_child(process, "user", json_type_object);
	_cleanup_(close_p) int master = syscall(SYS_openat2, root, "/dev/pts/ptmx", &how, sizeof(how)), slave = -1;
	int unlock = 0;

	if (master < 0)
		return error_errno(error, errno, "open '/dev/pts/ptmx' for a terminal");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return error_errno(error, errno, "make a terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_errno(error, errno, "make a terminal");
	set_size(slave, process);
	if (fchown(slave, json_number(user, "uid", 0), -1) < 0 && errno != EPERM && errno != EINVAL)
		return error_errno(error, errno, "give the terminal to its user");
	*ret_slave = take_fd(&slave);
	return take_fd(&master);
}

int console_take(int slave, struct error *error)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return error_errno(error, errno, "take the terminal");
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (dup2(slave, fd) < 0)
			return error_errno(error, errno, "take the terminal");
	return 0;
}

/* ---- outside ----------------------------------------------------------------------------------- */

int console_send(const char *path, int master, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char name[] = "/dev/ptmx";
	ssize_t n;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_errno(error, ENAMETOOLONG, "console socket '%s'", path);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(error, errno, "console socket '%s'", path);
	n = passing_send(fd, name, sizeof(name), master, 0);
	return n < 0 ? error_errno(error, (int)-n, "console socket '%s'", path) : 0;
}

static bool pass(int from, int to)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	for (ssize_t done = 0, w; n > 0 && done < n; done += w) {
		w = write(to, buf + done, n - done);
		if (w <= 0)
			return false;
	}
	return n > 0;
}

static void copy_size(int master)
{
	struct winsize w;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0)
		ioctl(master, TIOCSWINSZ, &w);
}

static int watch_size(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void console_relay(int master)
{
	struct termios before, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	struct pollfd fds[] = {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}, {watch_size(), POLLIN, 0}};

	if (terminal) {
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
		copy_size(master);
	}
	while (poll(fds, ARRAY_LEN(fds), -1) >= 0 || errno == EINTR) {
		if (fds[0].revents && !pass(master, STDOUT_FILENO))
			break;
		if (fds[1].revents && !pass(STDIN_FILENO, master))
			fds[1].fd = -1; /* its end is not the program's */
		if (fds[2].revents) {
			struct signalfd_siginfo info;
			while (read(fds[2].fd, &info, sizeof(info)) > 0)
				copy_size(master);
		}
	}
	close(fds[2].fd);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}
