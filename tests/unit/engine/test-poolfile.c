/* SPDX-License-Identifier: Apache-2.0 */
/* Pool files: every mistake is one sentence with file, line and the nearest right word; right ones survive
 * a dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "engine/poolfile.h"
#include "engine/spec.h"

static char path[] = "/tmp/polytropon-poolfile-XXXXXX";

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) < 0, 0);
	assert_int_equal(fclose(f), 0);
}

static int load(const char *text, struct json_object **ret, struct error *error)
{
	struct origin origin = {};
	int r;

	write_file(text);
	*ret = NULL;
	*error = (struct error){};
	r = yaml_read(path, ret, &origin, error);
	if (r == 0)
		r = spec_check_file(*ret, &origin, error);
	origin_fini(&origin);
	return r;
}

#define POOL "pools:\n  alice:\n"
#define BELOW "{delay: {below: "
#define MOUNTS "    mounts: {/data: {mem: {}}}\n"

static const struct {
	const char *text;
	int line; /* 0: none in the sentence */
	const char *says;
} mistakes[] = {
	{"", 1, "the file is empty"},
	{"# nothing\n", 1, "the file is empty"},
	{"just words\n", 1, "begins with 'pools:'"},
	{"pool: {}\n", 1, "unknown key 'pool'; did you mean 'pools'?"},
	{"pools: 3\n", 1, "'pools' must map names to pools"},
	{"pools: {}\n", 1, "'pools' must map names to pools"},
	{"pools:\n  alice: 3\n", 2, "pool 'alice' must be a mapping"},
	{POOL "    cpus: 0\n", 2, "pool 'alice' has no 'mounts'"},
	{POOL "    cahce: {size: 1G}\n" MOUNTS, 3,
	 "unknown key 'cahce' in pool 'alice'; did you mean 'cache'?"},
	{POOL "    cache:\n      size: 1G\n      sice: 1G\n" MOUNTS, 5,
	 "unknown key 'sice' in pool 'alice'; did you mean 'size'?"},
	{POOL "    cache: 1G\n" MOUNTS, 3, "'cache' in pool 'alice' must be a mapping"},
	{POOL "    memory: {max: 1G}\n" MOUNTS, 3, "'memory' in pool 'alice' must be a size"},
	{POOL "    memory: [1G]\n" MOUNTS, 3, "'memory' in pool 'alice' must be a size"},
	{POOL "    memory: 1Q\n" MOUNTS, 3, "'1Q' is not a size such as 256M; did you mean '1G'?"},
	{POOL "    memory: lots\n" MOUNTS, 3, "'lots' is not a size"},
	{POOL "    memory: 1\n" MOUNTS, 3, "'1' is less than 4194304"},
	{POOL "    cache: {size: 1Q}\n" MOUNTS, 3, "'size' in pool 'alice': '1Q' is not a size"},
	{POOL "    flush: {interval: 5x}\n" MOUNTS, 3, "'5x' is not a time such as 5s; did you mean '5s'?"},
	{POOL "    flush: {dirty_ratio: 101}\n" MOUNTS, 3, "'101' is more than 100"},
	{POOL "    flush: {dirty_ratio: -1}\n" MOUNTS, 3, "'-1' is not a number"},
	{POOL "    flush: {interval: 1s}\n    cache: {flush_interval: 2s}\n" MOUNTS, 4,
	 "'flush_interval' in pool 'alice' is 'flush.interval', which is there already"},
	{POOL "    cpu_weight: 0\n" MOUNTS, 3, "'0' is less than 1"},
	{POOL "    cpus: 900\n" MOUNTS, 3, "the machine has no cores '900'; it has 0"},
	{POOL "    cpus: 0-\n" MOUNTS, 3, "'0-' is not a list of cores"},
	{POOL "    cpus: 1-0\n" MOUNTS, 3, "'1-0' is not a list of cores"},
	{POOL "    user: ture\n" MOUNTS, 3, "'ture' is not true or false; did you mean 'true'?"},
	{POOL "    network: hots\n" MOUNTS, 3, "did you mean 'host'?"},
	{POOL "    mounts: /data\n", 3, "'mounts' in pool 'alice' must map paths to stacks"},
	{POOL "    mounts: {}\n", 3, "'mounts' in pool 'alice' must map paths to stacks"},
	{POOL "    mounts: {data: {mem: {}}}\n", 3, "must be an absolute path; did you mean '/data'?"},
	{POOL "    mounts: {/: {mem: {}}}\n", 3, "cannot mount at '/'"},
	{POOL "    mounts: {/run: {mem: {}}}\n", 3, "cannot mount at '/run', which the pool itself needs"},
	{POOL "    mounts: {/run/polytropon/x: {mem: {}}}\n", 3, "which the pool itself needs"},
	{POOL "    mounts: {/proc: {mem: {}}}\n", 3, "which the pool itself needs"},
	{POOL "    mounts: {/a/../b: {mem: {}}}\n", 3, "must not contain '..'"},
	{POOL "    mounts:\n      /data: {mem: {}}\n      /data/: {mem: {}}\n", 5,
	 "mount point '/data' in pool 'alice' is in use already"},
	{POOL "    mounts:\n      /data: {mem: {}}\n      /data: {mem: {}}\n", 5,
	 "'/data' is here twice; it is on line 4 already"},
	{POOL "    mounts: {/data: 5}\n", 3, "must be a layer"},
	{POOL "    mounts:\n      /data:\n        hots: /tmp\n", 5, "layer 'hots'"},
	{POOL
	 "    mounts:\n      /data:\n        delay:\n          raed: 1ms\n          below: {mem: {}}\n",
	 6, "did you mean 'read'?"},
	{POOL
	 "    mounts:\n      /data:\n        delay:\n          below:\n            mem:\n              size: 1Q\n",
	 8, "'1Q'"},
	{POOL "    mounts:\n      /data: {host: /no/such/dir}\n", 4,
	 "directory '/no/such/dir' of pool 'alice': No such file"},
	{POOL "    mounts:\n      /data:\n        host:\n          path: /etc/passwd\n", 6,
	 "is not a directory"},
	{POOL "    mounts:\n      /data: {host: {path: /tmp, fd: 3}}\n", 4, "'fd'"},
	{POOL "    mounts:\n      /data: " BELOW BELOW BELOW BELOW BELOW BELOW BELOW BELOW "{mem: }"
	      "}}}}}}}}"
	      "}}}}}}}}\n",
	 4, "more than 8 layers"},
	{POOL "    mounts:\n      /data: {host: tmp}\n", 4, "must be an absolute path"},
	{POOL MOUNTS "  alice:\n" MOUNTS, 4, "'alice' is here twice; it is on line 2 already"},
	{"pools:\n  a/b:\n" MOUNTS, 2, "'a/b' cannot be a pool's name: '/' is not a letter"},
	{"pools:\n  -x:\n" MOUNTS, 2, "'-x' cannot be a pool's name"},
	{"pools:\n\talice:\n", 2, "a tab cannot indent YAML; use spaces"},
	{"pools: {\n", 2, "not valid YAML"},
	{"pools: *x\n", 1, "not valid YAML"},
	{"pools: {[a]: b}\n", 1, "a key must be a word"},
	{POOL MOUNTS "---\nmore: 1\n", 5, "a second document"},
	{POOL "    mounts:\n      /etc/passwd: {mem: }\n", 4,
	 "mount point '/etc/passwd' in pool 'alice' is not a directory"},
	{POOL "    mounts:\n      /etc/passwd/x: {mem: }\n", 4, "is not a directory"},
	{POOL "    mounts:\n      /a: {mem: }\n      /b: {men: }\n", 5, "did you mean 'mem'?"},
	{"pools:\n  \"a\\nb\\e\":\n" MOUNTS, 2, "'a?b?' cannot be a pool's name"},
	{"pools: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n", 1, "nested too deeply"},
};

/* Of a caller of the control socket; YAML has no null. */
static void null_is_no_value(void **state)
{
	static const char *const wrong[] = {
		"{\"cpus\":null}", "{\"cache\":null}", "{\"cache\":{\"size\":null}}", "{\"mounts\":null}",
		"{\"mounts\":{\"/data\":null}}", "{\"mounts\":{\"/data\":{\"host\":null}}}",
	};
	struct error error;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct json_object *spec = json_tokener_parse(wrong[i]);
		assert_int_equal(spec_check("alice", spec, NULL, &error), -EINVAL);
		json_object_put(spec);
	}
}

/* Anchors and what they stand for are counted before libyaml takes the square of them in time. */
static void too_much_is_refused(void **state)
{
	static char text[500000];
	struct json_object *json;
	struct error error;
	size_t n = 0;

	for (int i = 0; i < 2000; i++)
		n += sprintf(text + n, "a%d: &b%d\n", i, i);
	assert_int_equal(load(text, &json, &error), -EINVAL);
	assert_non_null(strstr(error.text, ":1001: too many anchors"));
	n = 0;
	for (int i = 0; i < 40000; i++)
		n += sprintf(text + n, "a%d: {}\n", i);
	assert_int_equal(load(text, &json, &error), -EINVAL);
	assert_non_null(strstr(error.text, "too many values"));
}

static void text_is_tamed(void **state)
{
	static const char *const cases[][2] = {
		{"", ""}, {"plain", "plain"}, {"a\nb\x1b[2J\x7f", "a?b?[2J?"}, {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xff\xc3", "??"}, {"\xe2\x82", "??"}, {"\xc0\xaf", "??"}, {"\xed\xa0\x80", "???"}, {"\xc2\x9b", "??"},
		{"\xf4\x90\x80\x80", "????"}, {"\xc3(", "?("},
	};
	char text[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		strcpy(text, cases[i][0]);
		text_tame(text);
		assert_string_equal(text, cases[i][1]);
	}
}

static void each_mistake_is_a_sentence(void **state)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct json_object *json;
		struct error error;
		char prefix[256];
		int r = load(mistakes[i].text, &json, &error);

		snprintf(prefix, sizeof(prefix), "%s:%d: ", path, mistakes[i].line);
		if (r == 0 || strncmp(error.text, prefix, strlen(prefix)) ||
		    !strstr(error.text, mistakes[i].says))
			fail_msg("case %zu:\n%s\nexpected: %s...%s\nfound:    %s", i, mistakes[i].text,
				 prefix, mistakes[i].says, error.text);
		assert_null(strchr(error.text, '\n'));
		json_object_put(json);
	}
}

static void a_file_that_is_not_there(void **state)
{
	struct origin origin = {};
	struct json_object *json = NULL;
	struct error error;

	assert_true(yaml_read("/no/such/file.yaml", &json, &origin, &error) < 0);
	assert_string_equal(error.text, "/no/such/file.yaml: No such file or directory");
	origin_fini(&origin);
}

static const char right[] = "pools:\n  alice:\n"
			    "    memory: 1G\n"
			    "    cpus: 0\n"
			    "    user: yes\n"
			    "    network: host\n"
			    "    timeout: 30s\n"
			    "    cache: {size: 256M, flush_interval: 5s, dirty_ratio: 20}\n"
			    "    flush: {on_close: off}\n"
			    "    mounts:\n"
			    "      //data/./x/: {host: /tmp}\n"
			    "      /scratch: {mem: }\n"
			    "      /slow:\n"
			    "        delay: {read: 10ms, below: {mem: {size: 64M}}}\n"
			    "  \"0-1\":\n"
			    "    mounts: {/data: {mem: {}}}\n";

static void two_spellings_are_one(void **state)
{
	struct json_object *json, *alice, *mounts;
	struct error error;

	if (load(right, &json, &error) < 0)
		fail_msg("%s", error.text);
	alice = json_child(json_child(json, "pools", json_type_object), "alice", json_type_object);
	assert_string_equal(json_string(json_child(alice, "flush", json_type_object), "interval"), "5s");
	assert_string_equal(json_string(json_child(alice, "flush", json_type_object), "dirty_ratio"), "20");
	assert_string_equal(json_string(json_child(alice, "flush", json_type_object), "on_close"), "false");
	assert_string_equal(json_string(alice, "user"), "true");
	mounts = json_child(alice, "mounts", json_type_object);
	assert_non_null(json_child(mounts, "/data/x", json_type_object));
	json_object_put(json);
}

static void settings_are_flat(void **state)
{
	struct json_object *json, *flat;
	struct error error;

	assert_int_equal(load(right, &json, &error), 0);
	flat = spec_settings(
		json_child(json_child(json, "pools", json_type_object), "alice", json_type_object));
	assert_string_equal(json_object_to_json_string_ext(flat, JSON_C_TO_STRING_PLAIN),
			    "{\"timeout\":\"30s\",\"cache.size\":\"256M\",\"flush.on_close\":\"false\","
			    "\"flush.interval\":\"5s\",\"flush.dirty_ratio\":\"20\"}");
	json_object_put(flat);
	json_object_put(json);
}

static void a_dump_loads_as_the_same(void **state)
{
	struct json_object *first, *second;
	struct error error;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(load(right, &first, &error), 0);
	assert_int_equal(yaml_print(first, out), 0);
	assert_int_equal(fclose(out), 0);
	if (load(text, &second, &error) < 0)
		fail_msg("%s\n%s", error.text, text);
	assert_true(json_object_equal(first, second));
	free(text);
	json_object_put(first);
	json_object_put(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_a_sentence), cmocka_unit_test(null_is_no_value),
		cmocka_unit_test(too_much_is_refused),        cmocka_unit_test(text_is_tamed),
		cmocka_unit_test(a_file_that_is_not_there),   cmocka_unit_test(two_spellings_are_one),
		cmocka_unit_test(settings_are_flat),          cmocka_unit_test(a_dump_loads_as_the_same),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL) != 0;
	close(fd);
	unlink(path);
	return failed;
}
