/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, times, option tables, stack descriptions and their errors. */
#include <json-c/json.h>

#include "tests/unit/layers/harness.h"

static void sizes_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
		    {"4096", 4096},
		    {"64k", 65536},
		    {"64K", 65536},
		    {"256M", 256ull << 20},
		    {"1G", 1ull << 30},
		    {"3T", 3ull << 40},
		    {"18446744073709551615", UINT64_MAX}};
	static const char *const bad[] = {"",
					  "1Q",
					  "k",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "1 G",
					  "1GB",
					  "1.5G",
					  "0x10",
					  "G1",
					  "18446744073709551616",
					  "99999999999T",
					  NULL};
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_ok(ls_parse_size(good[i].text, &n));
		assert_int_equal(n, good[i].bytes);
	}
	n = 77;
	for (size_t i = 0; bad[i]; i++)
		assert_int_equal(ls_parse_size(bad[i], &n), -EINVAL);
	assert_int_equal(n, 77);
}

static void times_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"0", 0},
		    {"0s", 0},
		    {"15ns", 15},
		    {"10us", 10000},
		    {"250ms", 250000000},
		    {"5s", 5000000000},
		    {"1m", 60000000000},
		    {"2h", 7200000000000}};
	static const char *const bad[] = {"",    "5",    "1Q", "ms",           "-1s",
					  "1 s", "1.5s", "1S", "99999999999h", NULL};
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_ok(ls_parse_time(good[i].text, &n));
		assert_int_equal(n, good[i].ns);
	}
	n = 77;
	for (size_t i = 0; bad[i]; i++)
		assert_int_equal(ls_parse_time(bad[i], &n), -EINVAL);
	assert_int_equal(n, 77);
}

static void the_nearest_word_is_near(void **state)
{
	static const char *const words[] = {"size", "inodes", "path", "metadata", NULL};
	char longer[5000];

	assert_string_equal(ls_nearest("sise", words), "size");
	assert_string_equal(ls_nearest("Size", words), "size");
	assert_string_equal(ls_nearest("zise", words), "size");
	assert_string_equal(ls_nearest("pth", words), "path");
	assert_string_equal(ls_nearest("metdaata", words), "metadata");
	assert_string_equal(ls_nearest("inode", words), "inodes");
	assert_null(ls_nearest("completely", words));
	assert_null(ls_nearest("x", words));
	assert_null(ls_nearest("", words));
	assert_null(ls_nearest("size", (const char *const[]){NULL}));
	memset(longer, 's', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	assert_null(ls_nearest(longer, words));
}

/* The error that checking a description gives; NULL if it is right. */
static const char *error_of(const char *json)
{
	static char error[512];
	struct json_object *stack = json_tokener_parse(json);
	int r;

	assert_true(stack || strcmp(json, "null") == 0);
	error[0] = 0;
	r = ls_stack_check(stack, error, sizeof(error));
	json_object_put(stack);
	assert_true(r == 0 || (r == -EINVAL && *error));
	return r ? error : NULL;
}

static void wrong_descriptions_are_explained(void **state)
{
	static const struct {
		const char *json, *error;
	} wrong[] = {
		{"{\"mem\": {\"sise\": \"1G\"}}", "unknown key 'sise' of mem: did you mean 'size'?"},
		{"{\"mem\": {\"colour\": 1}}", "unknown key 'colour' of mem: known are 'size', 'inodes'"},
		{"{\"null\": {\"size\": 1}}", "unknown key 'size' of null"},
		{"{\"men\": {}}", "unknown layer 'men': did you mean 'mem'?"},
		{"{\"zfs\": {}}",
		 "unknown layer 'zfs': known are 'cache', 'null', 'host', 'mem', 'delay', 'error', 'volume', 'union', 'ceph'"},
		{"{\"mem\": {\"size\": \"1Q\"}}", "size of mem: '1Q' is not a size (4096, 64k, 256M, 1G)"},
		{"{\"mem\": {\"size\": \"4k\"}}", "size of mem: '4k' is too small: at least 65536"},
		{"{\"mem\": {\"size\": \"9999T\"}}",
		 "size of mem: '9999T' is too large: at most 1125899906842624"},
		{"{\"mem\": {\"size\": [1]}}", "size of mem: must be a size (4096, 64k, 256M, 1G)"},
		{"{\"mem\": {\"inodes\": \"many\"}}", "inodes of mem: 'many' is not a count (0, 1000)"},
		{"{\"mem\": {\"inodes\": 1.5}}", "inodes of mem: '1.5' is not a count (0, 1000)"},
		{"{\"mem\": {\"below\": {\"mem\": {}}}}",
		 "unknown key 'below' of mem: known are 'size', 'inodes'"},
		{"{\"mem\": []}", "mem: the options must be an object, like {\"mem\": {}}"},
		{"{\"null\": 5}", "null: the options must be an object, like {\"null\": {}}"},
		{"{\"host\": {}}", "host needs 'path': the directory, as an absolute path"},
		{"{\"host\": {\"path\": \"/x\\u0000y\"}}", "path of host: must be a text"},
		{"{\"host\": {\"path\": \"/x\", \"fd\": -1}}",
		 "fd of host: '-1' is not the number of a descriptor"},
		{"{\"host\": {\"path\": \"/x\", \"fd\": 99999999999}}",
		 "fd of host: '99999999999' is too large"},
		{"{\"delay\": {}}", "delay stands on another layer: say which with 'below'"},
		{"{\"delay\": {\"below\": [{\"mem\": {}}, {\"mem\": {}}]}}",
		 "delay stands on at most 1 layers: 2 are given"},
		{"{\"delay\": {\"read\": \"5\", \"below\": {\"mem\": {}}}}",
		 "read of delay: '5' is not a time (10us, 250ms, 5s, 1m)"},
		{"{\"delay\": {\"below\": {\"mem\": {\"inods\": 1}}}}",
		 "unknown key 'inods' of mem: did you mean 'inodes'?"},
		{"{\"delay\": {\"bellow\": {\"mem\": {}}}}",
		 "unknown key 'bellow' of delay: did you mean 'below'?"},
		{"{\"delay\": {\"below\": \"mem\"}}",
		 "a layer must be an object, like {\"mem\": {}}: this is \"mem\""},
		{"[]", "a layer must be an object, like {\"mem\": {}}: this is [ ]"},
		{"null", "a layer must be an object, like {\"mem\": {}}: this is null"},
		{"{}", "a layer must be an object with one key, its type: this has 0: { }"},
		{"{\"mem\": {}, \"null\": {}}", "a layer must be an object with one key, its type: this "
						"has 2: { \"mem\": { }, \"null\": { } }"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const char *error = error_of(wrong[i].json);
		assert_non_null(error);
		assert_string_equal(error, wrong[i].error);
	}
}

static void descriptions_get_one_form(void **state)
{
	static const struct {
		const char *json, *normal;
	} forms[] = {
		{"{\"host\": \"/srv/x\"}", "{\"host\":{\"path\":\"\\/srv\\/x\"}}"},
		{"{\"mem\": null}", "{\"mem\":{}}"},
		{"{\"mem\": \"64M\"}", "{\"mem\":{\"size\":\"64M\"}}"},
		{"{\"mem\": 1048576}", "{\"mem\":{\"size\":\"1048576\"}}"},
		{"{\"mem\": {\"size\": null, \"inodes\": 100}}", "{\"mem\":{\"inodes\":\"100\"}}"},
		{"{\"host\": {\"path\": \"/x\", \"fd\": \"7\"}}",
		 "{\"host\":{\"path\":\"\\/x\",\"fd\":7}}"},
		{"{\"delay\": {\"below\": {\"mem\": 65536}}}",
		 "{\"delay\":{\"below\":[{\"mem\":{\"size\":\"65536\"}}]}}"},
	};
	char error[512];

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct json_object *stack = json_tokener_parse(forms[i].json);
		for (int again = 0; again < 2; again++) {
			assert_ok(ls_stack_check(stack, error, sizeof(error)));
			assert_string_equal(json_object_to_json_string_ext(stack, JSON_C_TO_STRING_PLAIN),
					    forms[i].normal);
		}
		json_object_put(stack);
	}
}

static void live_options_are_checked(void **state)
{
	struct fs *fs = fs_open("{\"delay\": {\"below\": {\"mem\": {\"size\": \"1M\"}}}}");
	struct ls *mem = ls_stack_find(fs->ls, "mem");
	struct ls_statfs s;
	char error[512];

	assert_non_null(mem);
	assert_ptr_equal(ls_stack_find(fs->ls, "delay"), fs->ls);
	assert_null(ls_stack_find(fs->ls, "host"));
	assert_ok(ls_option_set(mem, "size", "2M", error, sizeof(error)));
	assert_ok(ls_statfs(fs->ls, &fs->call, &s));
	assert_int_equal(s.blocks, 512);
	assert_int_equal(ls_option_set(mem, "size", "2Q", error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "size of mem: '2Q' is not a size (4096, 64k, 256M, 1G)");
	assert_int_equal(ls_option_set(fs->ls, "red", "1s", error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "unknown key 'red' of delay: did you mean 'read'?");
	fs_close(fs);
	fs = fs_open("{\"host\": \"/var/tmp\"}");
	assert_int_equal(ls_option_set(fs->ls, "path", "/", error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "path of host cannot be set while running");
	fs_close(fs);
}

static const char *open_error(const char *json)
{
	static char error[512];
	struct json_object *stack = json_tokener_parse(json);
	struct ls *ls = NULL;

	error[0] = 0;
	assert_true(ls_stack_open(stack, "test", &ls, error, sizeof(error)) < 0);
	assert_null(ls);
	json_object_put(stack);
	return error;
}

static void what_cannot_be_opened_is_explained(void **state)
{
	assert_string_equal(open_error("{\"host\": \"/no/such\"}"),
			    "host: open '/no/such': No such file or directory");
	assert_string_equal(open_error("{\"host\": \"etc\"}"), "host: path 'etc' must be absolute");
	assert_string_equal(open_error("{\"host\": \"/etc/passwd\"}"),
			    "host: open '/etc/passwd': Not a directory");
	assert_string_equal(open_error("{\"error\": {\"op\": \"reed\", \"below\": {\"mem\": {}}}}"),
			    "op of error: unknown operation 'reed': did you mean 'read'?");
	assert_string_equal(open_error("{\"error\": {\"errno\": \"EI0\", \"below\": {\"mem\": {}}}}"),
			    "errno of error: unknown error 'EI0': did you mean 'EIO'?");
	assert_string_equal(open_error("{\"mem\": {\"sise\": 1}}"),
			    "unknown key 'sise' of mem: did you mean 'size'?");
}

/* Every layer has its name, its help and sound defaults; its manual page names each option. */
static void tables_are_sound(void **state)
{
	char path[512], error[512], *text;
	FILE *page;

	for (const struct ls_type *const *t = ls_types; *t; t++) {
		assert_non_null((*t)->help);
		assert_ptr_equal(ls_type_find((*t)->name), *t);
		assert_true((*t)->unset == LS_REFUSE || (*t)->below_min > 0);
		snprintf(path, sizeof(path), "%s/%s/%s-libservice.7.scd", getenv("LIBSERVICES"), (*t)->name,
			 (*t)->name);
		page = fopen(path, "r");
		if (!page)
			fail_msg("%s", path);
		text = calloc(1, 65536);
		assert_in_range(fread(text, 1, 65535, page), 100, 65534);
		fclose(page);
		for (const struct ls_option *o = (*t)->options; o && o->name; o++) {
			snprintf(error, sizeof(error), "*%s*", o->name);
			if (!strstr(text, error))
				fail_msg("%s says nothing about %s", path, o->name);
			assert_non_null(o->help);
			assert_true(!o->live || (*t)->set || (*t)->object);
		}
		free(text);
	}
	assert_string_equal(ls_op_names[LS_OP_lookup], "lookup");
	assert_string_equal(ls_op_names[LS_OP_advise], "advise");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_parsed),
		cmocka_unit_test(times_are_parsed),
		cmocka_unit_test(the_nearest_word_is_near),
		cmocka_unit_test(wrong_descriptions_are_explained),
		cmocka_unit_test(descriptions_get_one_form),
		cmocka_unit_test(live_options_are_checked),
		cmocka_unit_test(what_cannot_be_opened_is_explained),
		cmocka_unit_test(tables_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
