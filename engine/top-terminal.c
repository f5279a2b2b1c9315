/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal is driven by plain escape sequences: a screen of its own, home, clear to the end, lines that are cut and not
 * wrapped; and keys as they are pressed. However it ends, the terminal is as it was: so the signals that end a program, and
 * the one that stops it, are noted here, and done when the terminal has been given back. They come only while it waits,
 * so that none is missed because something was just being shown.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "engine/top.h"

static struct termios terminal_before;
static sigset_t signals_before;
static volatile sig_atomic_t ended, stopped;

static void note(int signal)
{
	if (signal == SIGTSTP)
		stopped = 1;
	else if (signal != SIGWINCH)
		ended = 1;
}

static void terminal_begin(void)
{
	struct termios raw;

	tcgetattr(STDIN_FILENO, &terminal_before);
	raw = terminal_before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
}

static void terminal_end(void)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

static void terminal_pause(void)
{
	stopped = 0;
	terminal_end();
	raise(SIGSTOP);
	terminal_begin();
}

static unsigned terminal_lines(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
}

static void key_take(struct top *t)
{
	char key;

	if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q')
		ended = 1;
	else if (key == 's')
		t->sort = (t->sort + 1) % (COLUMNS + 1);
	else if (key == 'c')
		t->containers = !t->containers;
}

/* Until the interval is over; earlier with what there is to be shown in another way: another key, or size. */
static void screen_show(struct top *t)
{
	struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};
	int64_t until = t->at_ms + (int64_t)(t->interval / 1000000), left;
	struct timespec timeout;

	do {
		fputs("\033[H\033[J", stdout);
		top_print(t, terminal_lines());
		if (fflush(stdout) != 0)
			ended = 1;
		left = until > now_ms() ? until - now_ms() : 0;
		timeout = (struct timespec){left / 1000, left % 1000 * 1000000};
		if (!ended && ppoll(&poll_fd, 1, &timeout, &signals_before) > 0)
			key_take(t);
		if (stopped)
			terminal_pause();
	} while (!ended && now_ms() < until);
}

int top_watch(struct top *t)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
	struct sigaction action = {.sa_handler = note};
	sigset_t noted;
	int r = 0;

	sigemptyset(&noted);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigaction(signals[i], &action, NULL);
		sigaddset(&noted, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &noted, &signals_before);
	terminal_begin();
	while (!ended && (r = top_look(t)) == 0)
		screen_show(t);
	terminal_end();
	return r;
}
