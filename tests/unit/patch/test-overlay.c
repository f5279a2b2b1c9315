/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay's file, and what overlay_write() makes of libraries that are none. */
#include "preload/overlay.h"

#include "preload/dispatch.h"
#include "preload/patch.h"
#include "preload/sites/sites.h"
#include "tests/unit/patch/library.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char libc_path[] = "/lib/x86_64-linux-gnu/libc.so.6";
static char folder[] = "/tmp/patch-overlay-XXXXXX";
static int dir;
static char error[256];

static void name_of(char name[static 41], const uint8_t *build_id)
{
	for (int n = 0; n < 20; n++)
		sprintf(name + 2 * n, "%02x", build_id[n]);
}

static uint8_t *read_file(const char *name, size_t *ret_size)
{
	int fd = openat(dir, name, O_RDONLY);
	struct stat st;
	uint8_t *data;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	data = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return data;
}

/* Only windows and paddings differ from the library's text. */
static void text_differs_at_sites_alone(void **state)
{
	struct library library;
	char name[41];
	uint32_t changed = 0;
	size_t size;
	uint8_t *data;
	struct patch_header *header;

	assert_int_equal(overlay_write(dir, libc_path, error, sizeof(error)), 0);
	assert_int_equal(library_load(&library, libc_path), 0);
	name_of(name, library.build_id);
	data = read_file(name, &size);
	header = (struct patch_header *)data;
	assert_int_equal(header->magic, PATCH_MAGIC);
	assert_int_equal(header->text_size, library.text_size);
	assert_int_equal(header->text_at, library.text_at);
	assert_memory_equal(header->build_id, library.build_id, 20);
	assert_int_equal(size, PATCH_STUBS + (library.text_size + 4095) / 4096 * 4096);
	for (uint32_t n = 0; n < library.text_size; n++)
		changed += data[PATCH_STUBS + n] != library.text[n];
	assert_true(changed >= header->sites * 3 && changed <= header->sites * 7);
	printf("%u sites, %u bytes of text changed, coverage %u\n", header->sites, changed, header->coverage);
	free(data);
	library_unload(&library);
}

static void the_host_has_some(void **state)
{
	assert_true(overlay_write_all(dir, "", error, sizeof(error)) >= 2);
	assert_true(overlay_write_all(dir, "/", error, sizeof(error)) >= 2);
	assert_int_equal(overlay_write_all(dir, folder, error, sizeof(error)), 0);
	assert_true(overlay_write_all(dir, "/nowhere", error, sizeof(error)) == -ENOENT && strstr(error, "/nowhere"));
}

static int write_of(const char *name, const void *data, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char path[64];

	assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	*error = '\0';
	return overlay_write(dir, path, error, sizeof(error));
}

static void what_is_no_library_is_refused(void **state)
{
	struct library library;
	Elf64_Ehdr *ehdr;
	Elf64_Phdr *phdr;

	assert_int_equal(overlay_write(dir, "/nowhere/libc.so.6", error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "'/nowhere/libc.so.6': No such file"));
	assert_int_equal(overlay_write(dir, "/", error, sizeof(error)), -ENOTSUP);
	assert_int_equal(overlay_write(dir, "/dev/null", error, sizeof(error)), -ENOTSUP);
	assert_int_equal(write_of("text", "#!/bin/sh\n", 10), -ENOTSUP);
	assert_int_equal(library_load(&library, libc_path), 0);
	ehdr = (Elf64_Ehdr *)library.file;
	phdr = (Elf64_Phdr *)(library.file + ehdr->e_phoff);
	/* shorter and shorter: an error, never a read beyond the end */
	for (size_t size = library.size - 1; size > 0; size = size * 2 / 3)
		assert_true(write_of("short", library.file, size) < 0 || size > library.size / 2);
	/* headers that lie */
	for (int n = 0; n < ehdr->e_phnum; n++) {
		Elf64_Phdr kept = phdr[n];

		phdr[n].p_offset = UINT64_MAX - 4095;
		write_of("lie", library.file, library.size);
		phdr[n] = kept;
		phdr[n].p_filesz = phdr[n].p_memsz = UINT64_MAX - 10;
		write_of("lie", library.file, library.size);
		phdr[n] = kept;
		phdr[n].p_flags = PF_R | PF_X;
		write_of("lie", library.file, library.size);
		phdr[n] = kept;
	}
	ehdr->e_phoff = UINT64_MAX - 7;
	assert_true(write_of("lie", library.file, library.size) < 0);
	library_unload(&library);
}

/* Nobody has a table for it: the scan finds most, and the file says that it is not all. */
static void an_unknown_build_is_scanned(void **state)
{
	static const uint8_t unknown[20] = {0xab, 0xcd};
	struct library library;
	struct patch_header *header;
	char name[41];
	uint8_t *data;
	size_t size;

	assert_int_equal(library_load(&library, libc_path), 0);
	memcpy(library.note, unknown, 20);
	assert_int_equal(write_of("unknown", library.file, library.size), 0);
	name_of(name, unknown);
	data = read_file(name, &size);
	header = (struct patch_header *)data;
	printf("scanned: %u sites\n", header->sites);
	assert_true(header->sites > 100 && header->coverage == PRELOAD_PARTIAL);
	memset(library.note - 16, 0, 36);
	assert_int_equal(write_of("no-id", library.file, library.size), -ENOTSUP);
	free(data);
	library_unload(&library);
}

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char command[64];

	close(dir);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_differs_at_sites_alone),
		cmocka_unit_test(the_host_has_some),
		cmocka_unit_test(what_is_no_library_is_refused),
		cmocka_unit_test(an_unknown_build_is_scanned),
	};
	struct library library;

	if (library_load(&library, libc_path) < 0) {
		fprintf(stderr, "no '%s' here\n", libc_path);
		return 77;
	}
	library_unload(&library);
	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
