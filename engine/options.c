/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "engine/command.h"
#include "engine/runtime-dir.h"
#include "libservices/libservice.h"

enum { OPTIONS_MAX = 32 };

static void say(const char *who, const char *what, const char *format, va_list ap)
{
	char text[1200];

	vsnprintf(text, sizeof(text), format, ap);
	text_tame(text);
	fprintf(stderr, "%s%s: %s\n", who, what, text);
}

int complain(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("polytropon", "", format, ap);
	va_end(ap);
	return EXIT_OURS;
}

int misuse(const struct command *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("polytropon ", command->name, format, ap);
	va_end(ap);
	return EXIT_USAGE;
}

static void print_help(const struct command *c)
{
	char left[64];

	printf("Usage: polytropon %s %s%s\n\nTo %s.\n", c->name, c->options ? "[OPTION...] " : "",
	       c->arguments, c->help);
	if (c->more)
		printf("\n%s\n", c->more);
	putchar('\n');
	for (const struct option_row *o = c->options; o && o->name; o++) {
		snprintf(left, sizeof(left), "%s%s%s%s", o->name[1] ? "--" : "-", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		printf("  %-22s %s\n", left, o->help);
	}
	printf("  %-22s %s\n", "--help", "print this");
}

static const struct option_row *option_find(const struct command *c, const char *name, size_t len)
{
	for (const struct option_row *o = c->options; o && o->name; o++)
		if (strlen(o->name) == len && !strncmp(o->name, name, len))
			return o;
	return NULL;
}

static int option_unknown(const struct command *c, const char *word)
{
	const char *names[OPTIONS_MAX + 2] = {"help"}, *near;
	size_t n = 1;

	for (const struct option_row *o = c->options; o && o->name && n < OPTIONS_MAX; o++)
		names[n++] = o->name;
	near = ls_nearest(word + strspn(word, "-"), names);
	return near ? misuse(c, "unknown option '%s'; did you mean '--%s'?", word, near) :
		      misuse(c, "unknown option '%s'", word);
}

static int option_take(const struct command *c, char ***argv, option_fn *fn, void *arg)
{
	const char *word = *(*argv)++, *equals = strchr(word, '='), *value = "";
	const struct option_row *o;

	o = strncmp(word, "--", 2) ?
		    word[1] && !word[2] ? option_find(c, word + 1, 1) : NULL :
		    option_find(c, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
	if (!o)
		return option_unknown(c, word);
	if (!o->value && equals)
		return misuse(c, "option '--%s' takes no value", o->name);
	if (o->value) {
		value = equals ? equals + 1 : *(*argv)++;
		if (!value)
			return misuse(c, "option '--%s' needs %s", o->name, o->value);
	}
	return fn(c, o, value, arg);
}

int options_take(const struct command *c, char ***argv, option_fn *fn, void *arg)
{
	int r = 0;

	while (r == 0 && **argv && (**argv)[0] == '-' && (**argv)[1]) {
		if (!strcmp(**argv, "--")) {
			(*argv)++;
			return 0;
		}
		if (!strcmp(**argv, "--help") || !strcmp(**argv, "-h")) {
			print_help(c);
			exit(0);
		}
		r = option_take(c, argv, fn, arg);
	}
	return r;
}

int options_take_word(const struct command *c, char ***argv, option_fn *fn, void *arg, const char **ret_word)
{
	int r = options_take(c, argv, fn, arg);

	if (r != 0)
		return r;
	*ret_word = **argv;
	if (!*ret_word)
		return 0;
	(*argv)++;
	return options_take(c, argv, fn, arg);
}

int options_take_pool(const struct command *c, char **argv, option_fn *fn, void *arg, const char **ret_pool)
{
	int r = options_take_word(c, &argv, fn, arg, ret_pool);

	if (r == 0 && !*ret_pool)
		return misuse(c, "no pool is given");
	return r == 0 && argv[0] ? misuse(c, "it takes one pool") : r;
}

int command_connect(void)
{
	struct error error;
	int fd = runtime_connect(&error);

	if (fd == -ECONNREFUSED)
		return -ENOENT;
	if (fd < 0 && fd != -ENOENT)
		complain("%s", error.text);
	return fd;
}

int command_needs_root(const struct command *command)
{
	return geteuid() == 0 ? 0 : complain("'polytropon %s' needs root", command->name);
}
