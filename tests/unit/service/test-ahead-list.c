/* SPDX-License-Identifier: Apache-2.0 */
/* The two orders of a directory's names. */
#include <errno.h>
#include <json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "service/ahead-list.h"

static struct instance *fs;
static struct caller root;
static const struct ls_attr was_read = {.atime = {INT32_MAX, 0}};

static int setup(void **state)
{
	struct json_object *stack = json_tokener_parse("{\"mem\": {}}");
	char error[256] = "";
	struct ls *ls;
	int r;

	caller_init(&root, DOOR_SELF, "test", 0, 0, 0);
	r = ls_stack_check(stack, error, sizeof(error));
	if (r == 0)
		r = ls_stack_open(stack, "test", &ls, error, sizeof(error));
	json_object_put(stack);
	return r < 0 ? r : instance_new(ls, "test", "/data", 0, &fs);
}

static int teardown(void **state)
{
	instance_free(fs);
	return 0;
}

static struct inode *dir_of(const char *name, unsigned files)
{
	struct entry dir, file;
	char text[32];

	assert_int_equal(vfs_mkdir(&root, fs->root, name, 0755, &dir), 0);
	for (unsigned i = 0; i < files; i++) {
		snprintf(text, sizeof(text), "f%u", (i * 7919) % files);
		assert_int_equal(vfs_mknod(&root, dir.inode, text, S_IFREG | 0644, 0, 0, &file), 0);
		inode_unref(file.inode);
	}
	return dir.inode;
}

struct listed {
	const struct ahead_list *list;
	unsigned next;
};

static int in_order(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct listed *l = arg;
	unsigned at[AHEAD_ORDERS], found;

	if (name[0] == '.')
		return 0;
	assert_string_equal(ahead_list_at(l->list, AHEAD_AS_LISTED, l->next, &found), name);
	assert_int_equal(found, DT_REG);
	assert_true(ahead_list_find(l->list, name, at));
	assert_int_equal(at[AHEAD_AS_LISTED], l->next++);
	assert_string_equal(ahead_list_at(l->list, AHEAD_BY_NAME, at[AHEAD_BY_NAME], &found), name);
	return 0;
}

static void names_are_found_in_both_orders(void **state)
{
	struct inode *dir = dir_of("some", 500);
	struct ahead_list *list;
	unsigned at[AHEAD_ORDERS], type;
	struct ofd *ofd;

	assert_int_equal(ahead_list_read(&root, dir, &was_read, &list), 0);
	assert_int_equal(vfs_open(&root, dir, O_RDONLY | O_DIRECTORY, NULL, &ofd), 0);
	assert_true(vfs_readdir(&root, ofd, 0, in_order, &(struct listed){.list = list}) >= 0);
	ofd_unref(ofd);
	for (unsigned i = 1; i < 500; i++)
		assert_true(strcmp(ahead_list_at(list, AHEAD_BY_NAME, i - 1, &type), ahead_list_at(list, AHEAD_BY_NAME, i, &type)) < 0);
	assert_null(ahead_list_at(list, AHEAD_BY_NAME, 500, &type));
	assert_null(ahead_list_at(list, AHEAD_AS_LISTED, UINT32_MAX, &type));
	assert_false(ahead_list_find(list, "", at));
	assert_false(ahead_list_find(list, "f", at));
	assert_false(ahead_list_find(list, "zzz", at));
	ahead_list_free(list);
	inode_unref(dir);
}

static void what_is_not_worth_it_is_not_read(void **state)
{
	struct inode *none = dir_of("none", 0), *many = dir_of("many", 4097), *fresh = dir_of("fresh", 3);
	struct ahead_list *list;
	unsigned at[AHEAD_ORDERS], type;
	struct ls_attr attr;

	assert_int_equal(ahead_list_read(&root, none, &was_read, &list), 0);
	assert_null(ahead_list_at(list, AHEAD_AS_LISTED, 0, &type));
	assert_false(ahead_list_find(list, "f", at));
	ahead_list_free(list);
	assert_int_equal(ahead_list_read(&root, many, &was_read, &list), -EFBIG);
	/* It has not been read since it was made: nobody shall see that it was now. */
	assert_int_equal(vfs_getattr(&root, fresh, NULL, &attr), 0);
	assert_int_equal(ahead_list_read(&root, fresh, &attr, &list), -EAGAIN);
	inode_unref(none);
	inode_unref(many);
	inode_unref(fresh);
}

static size_t record(char *to, const char *name)
{
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t reclen;
		uint8_t type;
	} __attribute__((packed)) head = {7, 8, (uint16_t)(19 + strlen(name) + 1), DT_REG};

	memcpy(to, &head, sizeof(head));
	strcpy(to + sizeof(head), name);
	return head.reclen;
}

static void records_are_a_list_whatever_they_say(void **state)
{
	char records[256];
	size_t size = record(records, ".");
	struct ahead_list *list;
	unsigned at[AHEAD_ORDERS], type;

	assert_null(ahead_list_of(records, size));
	size += record(records + size, "second");
	size += record(records + size, "first");
	list = ahead_list_of(records, size);
	assert_string_equal(ahead_list_at(list, AHEAD_AS_LISTED, 0, &type), "second");
	assert_string_equal(ahead_list_at(list, AHEAD_BY_NAME, 0, &type), "first");
	assert_int_equal(type, DT_REG);
	assert_null(ahead_list_at(list, AHEAD_AS_LISTED, 2, &type));
	assert_true(ahead_list_find(list, "first", at));
	ahead_list_free(list);
	for (unsigned i = 0; i < 200000; i++) {
		size_t cut = (size_t)rand() % (size + 1);
		char *broken = malloc(cut + !cut);
		memcpy(broken, records, cut);
		for (unsigned n = cut ? (unsigned)rand() % 4 : 0; n; n--)
			broken[(size_t)rand() % cut] = (char)rand();
		ahead_list_free(ahead_list_of(broken, cut));
		free(broken);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_in_both_orders),
		cmocka_unit_test(what_is_not_worth_it_is_not_read),
		cmocka_unit_test(records_are_a_list_whatever_they_say),
	};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
