/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <sys/mman.h>

#include "tests/unit/volume/volume-test.h"

int image_new(uint64_t size)
{
	int fd = memfd_create("volume", MFD_CLOEXEC);

	assert_return_code(fd, errno);
	assert_ok(ftruncate(fd, size));
	return fd;
}

struct area *image_area(int fd)
{
	struct json_object *config;
	struct area *area = NULL;
	char error[512] = "", text[64];

	snprintf(text, sizeof(text), "{\"file\": {\"fd\": %d}}", fd);
	config = json_tokener_parse(text);
	if (area_check(config, error, sizeof(error)) < 0 ||
	    area_open(config, &area, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	json_object_put(config);
	return area;
}

int image_with_volume(uint64_t size)
{
	static const uint8_t uuid[16] = "a test's volume";
	static const uint64_t seed[2] = {1, 2};
	struct volume_params p = {.uuid = uuid, .hash_seed = seed, .label = "test"};
	int fd = image_new(size);
	struct area *area = image_area(fd);
	char error[512] = "";

	if (volume_mkfs(area, "image", &p, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	area_close(area);
	return fd;
}

int image_copy(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END), at = 0, end;
	int copy = image_new(size);
	char buf[65536];
	ssize_t n;

	for (; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
		end = lseek(fd, at, SEEK_HOLE);
		for (off_t i = at; i < end; i += n) {
			n = pread(fd, buf, end - i < (off_t)sizeof(buf) ? end - i : (off_t)sizeof(buf), i);
			assert_in_range(n, 1, sizeof(buf));
			assert_int_equal(pwrite(copy, buf, n, i), n);
		}
	}
	return copy;
}

const char *image_stack(int fd, const char *options)
{
	static char text[512];

	snprintf(text, sizeof(text), "{\"volume\": {\"area\": {\"file\": {\"fd\": %d}}%s}}", fd, options);
	return text;
}

struct fs *image_mount(int fd, const char *options)
{
	return fs_open(image_stack(fd, options));
}

uint64_t room(struct fs *fs)
{
	struct ls_statfs s;

	assert_ok(ls_statfs(fs->ls, &fs->call, &s));
	return s.bavail * s.bsize;
}

void room_comes_back(struct fs *fs, uint64_t before)
{
	for (int i = 0; i < 10000 && room(fs) != before; i++)
		usleep(1000);
	assert_int_equal(room(fs), before);
}

const char *image_mount_error(int fd)
{
	struct json_object *stack = json_tokener_parse(image_stack(fd, ""));
	static char error[512];
	struct ls *ls;

	*error = 0;
	assert_true(ls_stack_open(stack, "test", &ls, error, sizeof(error)) < 0);
	json_object_put(stack);
	return error;
}

static void on_problem(void *arg, const struct fsck_problem *p)
{
	fprintf(stderr, "fsck: %s\n", p->text);
}

void image_is_sound(int fd)
{
	struct fsck_options options = {.problem = on_problem};
	struct area *area = image_area(fd);
	struct fsck_report report;
	char error[512] = "";

	if (volume_fsck(area, &options, &report, error, sizeof(error)) < 0)
		fail_msg("%s", error);
	area_close(area);
	assert_int_equal(report.was.damage, 0);
	assert_int_equal(report.was.leaks, 0);
}
