/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of sites against the libraries that are installed here, and the scan against the tables. */
#include "preload/dispatch.h"
#include "preload/interest.h"
#include "preload/patch.h"
#include "preload/sites/sites.h"
#include "preload/stub.h"
#include "tests/unit/patch/library.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const paths[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2",
				    "/lib/ld-musl-x86_64.so.1"};

/* Stubs for a copy of the text. Overwrites the copy. */
static struct stub_job redirect(struct library *library)
{
	static uint8_t stubs[PATCH_STUBS];
	struct stub_job job = {.text = library->text, .text_at = library->text_at, .text_size = library->text_size,
			       .stubs = stubs, .room = sizeof(stubs), .stubs_at = -PATCH_DISTANCE,
			       .slots_at = -PATCH_DISTANCE - PATCH_PAGE};

	stub_library(&job, library->build_id, library->build_id_size);
	return job;
}

static uint32_t syscalls_in(const uint8_t *text, uint32_t size)
{
	uint32_t count = 0;

	for (uint32_t n = 0; n + 1 < size; n++)
		count += text[n] == 0x0f && text[n + 1] == 0x05;
	return count;
}

static void every_site_of_the_table_is_there(void **state)
{
	for (size_t n = 0; n < sizeof(paths) / sizeof(paths[0]); n++) {
		struct library library;
		struct site_list list;
		struct stub_job job;
		uint32_t wanted = 0;

		if (library_load(&library, paths[n]) < 0 || sites_find(&list, library.build_id) < 0) {
			printf("%s: not the build that there is a table for\n", paths[n]);
			continue;
		}
		for (uint32_t i = 0; i < list.regulars + list.others; i++) {
			struct site site = sites_get(&list, i);

			assert_true(site_verify(&site, library.text, library.text_at, library.text_size));
			wanted += site.nr < 0 || interest_has((uint32_t)site.nr);
		}
		job = redirect(&library);
		printf("%s: %u syscall instructions, %u in the table, %u of interest, %u redirected, %u bytes of stubs\n",
		       paths[n], syscalls_in(library.text, library.text_size), list.regulars + list.others, wanted,
		       job.sites, job.used);
		assert_int_equal(job.sites, wanted);
		assert_int_equal(job.skipped, 0);
		assert_int_equal(job.coverage, PRELOAD_FULL);
		library_unload(&library);
	}
}

/* Windows, syscalls and paddings of different sites share no byte, and each stub has its own. */
static void no_two_sites_overlap(void **state)
{
	for (size_t n = 0; n < sizeof(paths) / sizeof(paths[0]); n++) {
		struct library library;
		struct site_list list;
		uint8_t *taken;

		if (library_load(&library, paths[n]) < 0 || sites_find(&list, library.build_id) < 0)
			continue;
		taken = calloc(1, library.text_size);
		for (uint32_t i = 0; i < list.regulars + list.others; i++) {
			struct site site = sites_get(&list, i);
			uint32_t start = site.at - library.text_at - (site.kind == SITE_CALL ? 0 : site.window);

			for (uint32_t b = 0; b < (site.kind == SITE_CALL ? 5u : site.window + 2u); b++)
				assert_int_equal(taken[start + b]++, 0);
			for (uint32_t b = 0; site.pad && b < 5; b++)
				assert_int_equal(taken[start + (uint32_t)site.pad + b]++, 0);
		}
		free(taken);
		library_unload(&library);
	}
}

/* All of interest that the scan finds are sites, with the right number; it misses few of the regular ones. */
static void the_scan_agrees_with_the_table(void **state)
{
	for (size_t n = 0; n < sizeof(paths) / sizeof(paths[0]); n++) {
		uint32_t from = 0, lost = 0, found = 0;
		struct library library;
		struct site_list list;
		struct site site;

		if (library_load(&library, paths[n]) < 0 || sites_find(&list, library.build_id) < 0)
			continue;
		for (;;) {
			uint32_t i = 0;

			from = sites_scan(library.text, library.text_at, library.text_size, from, &lost, &site);
			if (!site.window)
				break;
			found++;
			if (!interest_has((uint32_t)site.nr))
				continue;
			while (i < list.regulars + list.others && sites_get(&list, i).at != site.at)
				i++;
			assert_true(i < list.regulars + list.others);
			assert_int_equal(sites_get(&list, i).nr, site.nr);
		}
		printf("%s: the scan finds %u, the table has %u regular ones; %u lost\n", paths[n], found, list.regulars,
		       lost);
		assert_true(found >= list.regulars * 9 / 10);
		library_unload(&library);
	}
}

static void a_changed_byte_is_noticed(void **state)
{
	struct library library;
	struct site_list list;
	struct stub_job job;

	if (library_load(&library, paths[0]) < 0 || sites_find(&list, library.build_id) < 0)
		skip();
	for (uint32_t i = 0; i < list.others; i++)
		if (list.other[i].window < 5)
			library.text[list.other[i].at - library.text_at + 1] ^= 1;
	job = redirect(&library);
	assert_int_equal(job.skipped, 2); /* read and __read_nocancel */
	assert_int_equal(job.coverage, PRELOAD_PARTIAL);
	library_unload(&library);
}

/* The scan refuses what only looks like a site, and counts it. */
static void the_scan_refuses_lookalikes(void **state)
{
	static const struct {
		const char *name;
		uint8_t code[28];
		uint32_t found;
	} cases[] = {
		{"mov $3,%eax; syscall; cmp", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 3, 0, 0, 0, 0x0f, 5,
					       0x48, 0x3d, 0, 0xf0, 0xff, 0xff}, 1},
		{"mov $3,%r8d; syscall; ret", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xb8, 3, 0, 0, 0, 0x0f, 5,
					       0xc3}, 0},
		{"movl $3,-72(%rsp); syscall; ret", {0x90, 0x90, 0x90, 0x90, 0x90, 0xc7, 0x44, 0x24, 0xb8, 3, 0, 0, 0, 0x0f,
						     5, 0xc3}, 0},
		{"movl $3,-72(%rbp); syscall; ret", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc7, 0x45, 0xb8, 3, 0, 0, 0, 0x0f,
						     5, 0xc3}, 0},
		{"mov $0x10003,%eax; syscall; ret", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 3, 0, 1, 0, 0x0f,
						     5, 0xc3}, 0},
		{"mov $3,%eax; syscall; data", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 3, 0, 0, 0, 0x0f, 5,
						0x00}, 0},
	};

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		uint32_t lost = 0, found = 0, from = 0;
		struct site site;

		do {
			from = sites_scan(cases[n].code, 0, sizeof(cases[n].code), from, &lost, &site);
			found += site.window != 0;
		} while (site.window);
		if (found != cases[n].found)
			fail_msg("%s: found %u", cases[n].name, found);
		assert_int_equal(lost, 1 - found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_site_of_the_table_is_there),
		cmocka_unit_test(no_two_sites_overlap),
		cmocka_unit_test(the_scan_agrees_with_the_table),
		cmocka_unit_test(a_changed_byte_is_noticed),
		cmocka_unit_test(the_scan_refuses_lookalikes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
