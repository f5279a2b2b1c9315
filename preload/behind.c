/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where we stand in the dynamic linker's list of objects.
 *
 * The shared runtime of AddressSanitizer, which is gcc's default, ends the program if another library stands before it,
 * for the program's calls of malloc and the like must find its functions first. We export none that anybody looks
 * for, so it is all the same where we stand: in such a program, behind it. Nobody walks the list meanwhile: this runs
 * in the first of all constructors. The runtime exists for glibc alone, which keeps nothing of the list but its head.
 */
#include "preload/behind.h"

#include "ipc/sys.h"

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

static int is_asan(const struct link_object *object)
{
	const char *name = object->name, *at = name;

	for (; at && *at; at++)
		if (*at == '/')
			name = at + 1;
	return at && (str_begins(name, "libasan.so") || str_begins(name, "libclang_rt.asan"));
}

static void move_behind(struct link_object *us, struct link_object *object)
{
	us->previous->next = us->next;
	us->next->previous = us->previous;
	us->previous = object;
	us->next = object->next;
	if (object->next)
		object->next->previous = us;
	object->next = us;
}

void behind_asan(const struct start_info *info)
{
	/* The list is the dynamic linker's, and can be written. */
	struct link_object *object = (struct link_object *)(uintptr_t)info->objects, *us = NULL;

	for (; object; object = object->next) {
		if (object->dynamic == _DYNAMIC)
			us = object;
		if (us && us->previous && is_asan(object)) {
			move_behind(us, object);
			return;
		}
	}
}
