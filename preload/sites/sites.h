/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where C libraries make system calls. Pure: no system call, no libc; both the preload library and the engine
 * (preload/overlay.c) use it.
 *
 * For the builds that we know, scripts/gen-sites.py has found the sites in the disassembly. For any other,
 * sites_scan() finds those that cannot be mistaken for something else.
 */
#pragma once

#include <stdint.h>

enum site_kind {
	SITE_PLAIN,   /* the number is known, the registers are the kernel's */
	SITE_DYNAMIC, /* as PLAIN, but rax may also hold a number that is not of interest */
	SITE_CANCEL,  /* glibc, between enabling and disabling asynchronous cancellation */
	SITE_CALL,    /* musl's call of __syscall_cp_asm: registers are the function's arguments */
};

struct site {
	uint32_t at;     /* of the syscall instruction (CALL: the call instruction), from the library's base */
	int16_t nr;      /* -1: known only at run time */
	uint8_t kind;    /* enum site_kind */
	uint8_t window;  /* bytes of whole instructions before `at` that can be moved; 0: not even two */
	int16_t pad;     /* window < 5: distance from the window to five bytes of padding that a short jump reaches */
	uint16_t enable; /* CANCEL: distance from `at` back to the call that made cancellation asynchronous */
	uint32_t check;  /* site_check() of window, syscall and padding */
};

enum { SITE_BYTES = 7, BUILD_ID_SIZE = 20 };

struct site_list {
	const uint32_t *regular; /* `mov $nr,%eax; syscall`, packed */
	const struct site *other;
	uint32_t regulars, others;
};

/* The table of a library, by its build-id. 0, or -ENOENT. */
int sites_find(struct site_list *ret_list, const uint8_t build_id[BUILD_ID_SIZE]);

/* Site n of regulars + others. */
struct site sites_get(const struct site_list *list, uint32_t n);

/* Are the bytes at a site those that its table was made from? `text` is what lies at offset text_at. */
int site_verify(const struct site *site, const uint8_t *text, uint32_t text_at, uint32_t text_size);

/*
 * The next regular site at or after `from` (an index into text), or the end: returns the index to go on from,
 * text_size at the end with ret_site->window 0. Adds to *lost the syscall instructions that it passed and
 * could not read.
 */
uint32_t sites_scan(const uint8_t *text, uint32_t text_at, uint32_t text_size, uint32_t from, uint32_t *lost,
		    struct site *ret_site);
