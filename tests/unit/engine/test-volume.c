/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes in pool files: people's words and the layer's, mistakes in them, and images that are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <cmocka.h>

#include "engine/spec.h"
#include "engine/volume.h"

static char dir[] = "/tmp/polytropon-volume-XXXXXX";

static const struct {
	const char *people, *layer;
} words[] = {
	{"{\"volume\":{\"image\":\"/a\",\"size\":\"4G\"}}",
	 "{\"volume\":{\"size\":\"4G\",\"area\":{\"file\":{\"path\":\"/a\"}}}}"},
	{"{\"volume\":{\"size\":\"1G\"}}", "{\"volume\":{\"size\":\"1G\",\"area\":{\"file\":{\"path\":\"\"}}}}"},
	{"{\"volume\":{\"mirror\":[{\"image\":\"/a\"},{\"image\":\"/b\"}]}}",
	 "{\"volume\":{\"area\":{\"mirror\":{\"below\":[{\"file\":{\"path\":\"/a\"}},{\"file\":{\"path\":\"/b\"}}]}}}}"},
	{"{\"volume\":{\"stripe\":{\"chunk\":\"64K\",\"below\":[{\"image\":\"/a\"},{\"image\":\"/b\"}]}}}",
	 "{\"volume\":{\"area\":{\"stripe\":{\"chunk\":\"64K\",\"below\":[{\"file\":{\"path\":\"/a\"}},"
	 "{\"file\":{\"path\":\"/b\"}}]}}}}"},
	{"{\"volume\":{\"stripe\":[{\"mirror\":[{\"image\":\"/a\"},{\"image\":\"/b\"}]},{\"image\":\"/c\"}]}}",
	 "{\"volume\":{\"area\":{\"stripe\":{\"below\":[{\"mirror\":{\"below\":[{\"file\":{\"path\":\"/a\"}},"
	 "{\"file\":{\"path\":\"/b\"}}]}},{\"file\":{\"path\":\"/c\"}}]}}}}"},
	{"{\"delay\":{\"below\":[{\"volume\":{\"image\":\"/a\"}}]}}",
	 "{\"delay\":{\"below\":[{\"volume\":{\"area\":{\"file\":{\"path\":\"/a\"}}}}]}}"},
};

static void same_json(struct json_object *json, const char *text)
{
	struct json_object *wanted = json_tokener_parse(text);

	assert_non_null(wanted);
	if (!json_object_equal(json, wanted))
		fail_msg("%s instead of %s", json_object_to_json_string(json), text);
	json_object_put(wanted);
}

static void should_translate_there_and_back(void **state)
{
	struct error error;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct json_object *stack = json_tokener_parse(words[i].people);
		assert_int_equal(volume_words_lower(stack, &error), 0);
		same_json(stack, words[i].layer);
		assert_int_equal(volume_words_lower(stack, &error), 0); /* what is translated stays */
		same_json(stack, words[i].layer);
		volume_words_raise(stack);
		same_json(stack, words[i].people);
		json_object_put(stack);
	}
}

static void should_take_a_path_alone(void **state)
{
	struct json_object *stack = json_tokener_parse("{\"volume\": \"/a\"}");
	struct error error;

	assert_int_equal(volume_words_lower(stack, &error), 0);
	same_json(stack, "{\"volume\":{\"area\":{\"file\":{\"path\":\"/a\"}}}}");
	json_object_put(stack);
}

static void refused(const char *volume, const char *says)
{
	struct json_object *spec;
	struct error error;
	char text[600];

	snprintf(text, sizeof(text), "{\"mounts\": {\"/data\": {\"volume\": %s}}}", volume);
	spec = json_tokener_parse(text);
	assert_non_null(spec);
	assert_int_equal(spec_check("alice", spec, NULL, &error), -EINVAL);
	if (!strstr(error.text, says))
		fail_msg("no '%s' in '%s'", says, error.text);
	json_object_put(spec);
}

static void should_say_what_is_wrong(void **state)
{
	refused("{\"imag\": \"/a\"}", "did you mean 'image'?");
	refused("{\"miror\": []}", "did you mean 'mirror'?");
	refused("{\"image\": \"/a\", \"mirror\": []}", "say one of them");
	refused("{\"image\": \"a\", \"size\": \"1G\"}", "did you mean '/a'?");
	refused("{\"image\": \"/no/such/directory/a\", \"size\": \"1G\"}", "directory '/no/such/directory'");
	refused("{\"image\": \"/no-such-image\"}", "with 'size' beside it, it would be made");
	refused("{\"image\": \"/etc\"}", "neither a file nor a block device");
	refused("{\"image\": \"/dev/null\"}", "neither a file nor a block device");
	refused("{\"size\": \"1M\"}", "too small");
	refused("{\"size\": \"much\"}", "is not a size");
	refused("{}", "no 'size' for a throw-away one");
	refused("[]", "must be a mapping");
	refused("{\"mirror\": [{\"image\": \"/a\"}]}", "2 areas or more");
	refused("{\"image\": \"/a\", \"fd\": 3}", "unknown key 'fd'");
	refused("{\"area\": {\"file\": {\"path\": \"/etc/passwd\", \"fd\": 3}}}", "descriptors are the engine's");
}

static void should_give_an_image_to_one_alone(void **state)
{
	struct image one = {}, two = {};
	struct error error;
	char path[64];

	snprintf(path, sizeof(path), "%s/image", dir);
	assert_int_equal(image_open(path, 0, &one, &error), -ENOENT);
	assert_int_equal(image_open(path, IMAGE_MAKE, &one, &error), 0);
	assert_true(one.made && one.empty);
	assert_int_equal(image_grow(&one, 1 << 20, &error), 0);
	assert_int_equal(image_open(path, 0, &two, &error), -EBUSY);
	assert_non_null(strstr(error.text, "is in use"));
	assert_int_equal(image_open(path, IMAGE_READ, &two, &error), -EBUSY);
	image_fini(&one);
	assert_int_equal(image_open(path, IMAGE_READ, &one, &error), 0);
	assert_int_equal(image_open(path, IMAGE_READ, &two, &error), 0); /* readers share */
	assert_int_equal(one.size, 1 << 20);
	assert_true(one.empty);
	image_fini(&one);
	image_fini(&two);
	unlink(path);
}

static const char *holds(const char *bytes, off_t offset)
{
	struct image image = {};
	const char *what;
	struct error error;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/holds", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), offset), strlen(bytes));
	close(fd);
	assert_int_equal(image_open(path, IMAGE_READ, &image, &error), 0);
	what = image_holds(&image);
	image_fini(&image);
	unlink(path);
	return what;
}

static void should_know_what_others_keep(void **state)
{
	assert_string_equal(holds("PLTVOL01", 0), "a volume");
	assert_string_equal(holds("\x53\xef", 1080), "an ext2, ext3 or ext4 file system");
	assert_string_equal(holds("_BHRfS_M", 65600), "a btrfs file system");
	assert_string_equal(holds("XFSB", 0), "an xfs file system");
	assert_string_equal(holds("\x55\xaa", 510), "a partition table");
	assert_string_equal(holds("x", 60000), "something");
	assert_null(holds("x", 500000));
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(should_translate_there_and_back),
		cmocka_unit_test(should_take_a_path_alone),
		cmocka_unit_test(should_say_what_is_wrong),
		cmocka_unit_test(should_give_an_image_to_one_alone),
		cmocka_unit_test(should_know_what_others_keep),
	};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
