/* SPDX-License-Identifier: Apache-2.0 */
/* `set`: which key means what, and that a wrong one changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/spec.h"

static struct json_object *spec_new(void)
{
	struct json_object *spec =
		json_tokener_parse("{\"memory\": \"1G\", \"mounts\": {"
				   "\"/a.b\": {\"delay\": {\"read\": \"1ms\", \"below\": {\"mem\": {}}}},"
				   "\"/c\": {\"mem\": {}}}}");
	struct error error;

	if (spec_check("alice", spec, NULL, &error) < 0)
		fail_msg("%s", error.text);
	return spec;
}

static void keys_resolve(void **state)
{
	static const struct {
		const char *key, *value, *full, *normal;
		bool engine;
	} cases[] = {
		{"memory", "2G", "memory", "2G", true},
		{"cpu_weight", "50", "cpu_weight", "50", true},
		{"timeout", "5s", "timeout", "5s", false},
		{"cache.size", "512M", "cache.size", "512M", false},
		{"flush.on_close", "yes", "flush.on_close", "true", false},
		{"cache.flush_interval", "1s", "flush.interval", "1s", false},
		{"delay.read", "10ms", "mounts./a.b.delay.read", "10ms", false},
		{"mounts./a.b.delay.read", "10ms", "mounts./a.b.delay.read", "10ms", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *spec = spec_new(), *again;
		struct change change;
		struct error error;

		if (change_resolve(spec, cases[i].key, cases[i].value, &change, &error) < 0)
			fail_msg("%s: %s", cases[i].key, error.text);
		assert_string_equal(change.key, cases[i].full);
		assert_string_equal(change.value, cases[i].normal);
		assert_int_equal(change.engine, cases[i].engine);
		change_apply(spec, &change);
		/* What is running now must be a pool file still. */
		again = json_tokener_parse(json_object_to_json_string(spec));
		if (spec_check("alice", again, NULL, &error) < 0)
			fail_msg("%s: %s", cases[i].key, error.text);
		assert_true(json_object_equal(spec, again));
		assert_non_null(strstr(json_object_to_json_string(spec), cases[i].normal));
		json_object_put(again);
		json_object_put(spec);
	}
}

static void wrong_keys_say_the_nearest(void **state)
{
	static const struct {
		const char *key, *value, *says;
	} cases[] = {
		{"memroy", "1G", "did you mean 'memory'?"},
		{"flush.intervall", "1s", "did you mean 'flush.interval'?"},
		{"memory", "1Q", "did you mean '1G'?"},
		{"cpus", "0", "cannot be changed while the pool runs"},
		{"user", "true", "cannot be changed while the pool runs"},
		{"mounts", "x", "unknown key 'mounts'"},
		{"delay.raed", "1ms", "did you mean 'read'?"},
		{"delay.read", "soon", "'soon' is not a time"},
		{"mounts./a.b.dealy.read", "1ms", "the stack at '/a.b' has no layer 'dealy'"},
		{"mounts./x.delay.read", "1ms", "names no mount's option"},
		{"mem.size", "1M", "write mounts./a.b.mem.size"},
	};
	struct json_object *spec = spec_new();
	char *before = strdup(json_object_to_json_string(spec));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct change change;
		struct error error = {};

		if (change_resolve(spec, cases[i].key, cases[i].value, &change, &error) == 0 ||
		    !strstr(error.text, cases[i].says))
			fail_msg("%s=%s: expected ...%s, found %s", cases[i].key, cases[i].value,
				 cases[i].says, error.text);
	}
	assert_string_equal(before, json_object_to_json_string(spec));
	free(before);
	json_object_put(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_resolve),
		cmocka_unit_test(wrong_keys_say_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
