/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a system call of libc's is redirected.
 *
 * The window, the whole instructions right before a `syscall` instruction (mostly `mov $nr,%eax`), gives way
 * to a five-byte jump to a stub:
 *
 *	window:   jmp stub                      stub:  the window's instructions
 *	syscall:  syscall  <----- not handled --+      lea syscall+2(%rip),%r11
 *	          cmp $-4096,%rax <- handled ---+      jmp *slot(%rip)            (entry.S)
 *
 * The syscall instruction itself stays where it is and makes every call that is passed on, so whatever depends
 * on its address goes on working: restarts after signals, vfork and clone, musl's range check for cancellation.
 * The system call would destroy rcx and r11, so those are the stub's to use; the stack pointer is the
 * program's, with its red zone.
 *
 * A window of two to four bytes takes a short jump to five bytes of padding nearby that take the long one. If
 * there is no window at all (the syscall is itself the target of a branch) the short jump replaces the syscall,
 * which is then in the stub. musl's call of __syscall_cp_asm is replaced as a whole (SITE_CALL): behind that call
 * the thread would already be inside the range where a cancellation signal ends the system call.
 */
#include "preload/stub.h"

#include "preload/dispatch.h"
#include "preload/interest.h"
#include "preload/sites/sites.h"

enum { JUMP = 5, SHORT_JUMP = 2, STUB_MAX = 64 };

struct out {
	uint8_t *p;  /* where it is written */
	int64_t at;  /* where it will be executed */
};

static void out_bytes(struct out *o, const uint8_t *bytes, uint32_t size)
{
	for (; size; size--, o->at++)
		*o->p++ = *bytes++;
}

/* An instruction of `size` opcode bytes that ends in a 32-bit distance to `target`. */
static void out_relative(struct out *o, const char *opcode, uint32_t size, int64_t target)
{
	uint32_t distance = (uint32_t)(target - (o->at + size + 4));

	out_bytes(o, (const uint8_t *)opcode, size);
	for (int n = 0; n < 4; n++)
		out_bytes(o, &(uint8_t){(uint8_t)(distance >> 8 * n)}, 1);
}

static void out_jump(struct out *o, int64_t target)
{
	out_relative(o, "\xe9", 1, target);
}

static void out_lea_r11(struct out *o, int64_t target)
{
	out_relative(o, "\x4c\x8d\x1d", 3, target);
}

static void out_slot(struct out *o, const struct stub_job *job, const struct site *site)
{
	out_relative(o, "\xff\x25", 2, job->slots_at + 8 * site->kind);
}

static int64_t call_target(const uint8_t *call, int64_t at)
{
	uint32_t distance = call[1] | (uint32_t)call[2] << 8 | (uint32_t)call[3] << 16 | (uint32_t)call[4] << 24;

	return at + JUMP + (int32_t)distance;
}

static void stub_emit(struct out *o, const struct stub_job *job, const struct site *site)
{
	const uint8_t *at = job->text + (site->at - job->text_at);

	if (site->kind == SITE_CALL) {
		out_lea_r11(o, site->at + JUMP);
		out_relative(o, "\x48\x8d\x05", 3, call_target(at, site->at)); /* lea target(%rip),%rax */
		out_slot(o, job, site);
		return;
	}
	out_bytes(o, at - site->window, site->window);
	if (!site->window) {
		out_lea_r11(o, o->at + 7 + 6 + 2); /* behind the syscall here */
		out_slot(o, job, site);
		out_bytes(o, (const uint8_t *)"\x0f\x05", 2);
		out_jump(o, site->at + 2);
		return;
	}
	out_lea_r11(o, site->at + 2);
	if (site->kind == SITE_CANCEL)
		out_relative(o, "\x48\x8d\x0d", 3, site->at - site->enable); /* lea enable(%rip),%rcx */
	out_slot(o, job, site);
}

/* Makes the jump. The stub is complete by then. */
static void stub_link(const struct stub_job *job, const struct site *site, int64_t stub)
{
	uint32_t start = site->at - job->text_at - (site->kind == SITE_CALL ? 0 : site->window);
	struct out o = {job->text + start + site->pad, job->text_at + (int64_t)start + site->pad};

	out_jump(&o, stub);
	if (site->pad) {
		o = (struct out){job->text + start, job->text_at + (int64_t)start};
		out_bytes(&o, (const uint8_t[]){0xeb, (uint8_t)(site->pad - SHORT_JUMP)}, SHORT_JUMP);
	}
}

static void stub_site(struct stub_job *job, const struct site *site)
{
	struct out o = {job->stubs + job->used, job->stubs_at + job->used};

	if (site->nr >= 0 && !interest_has((uint32_t)site->nr))
		return;
	if (job->room - job->used < STUB_MAX || !site_verify(site, job->text, job->text_at, job->text_size)) {
		job->skipped++;
		return;
	}
	stub_emit(&o, job, site);
	stub_link(job, site, job->stubs_at + job->used);
	job->used = (uint32_t)(o.p - job->stubs);
	job->sites++;
}

static uint32_t stub_scan(struct stub_job *job)
{
	uint32_t from = 0, lost = 0;
	struct site site;

	for (;;) {
		from = sites_scan(job->text, job->text_at, job->text_size, from, &lost, &site);
		if (!site.window)
			return lost;
		stub_site(job, &site);
	}
}

void stub_library(struct stub_job *job, const uint8_t *build_id, uint32_t build_id_size)
{
	struct site_list list;
	uint32_t lost = 0;

	job->used = job->sites = job->skipped = 0;
	if (build_id_size == BUILD_ID_SIZE && sites_find(&list, build_id) == 0)
		for (uint32_t n = 0; n < list.regulars + list.others; n++) {
			const struct site site = sites_get(&list, n);

			stub_site(job, &site);
		}
	else
		lost = stub_scan(job);
	/* A library that makes no system call (libpthread.so.0, since it is part of libc) is covered by nothing. */
	job->coverage = !lost && !job->skipped ? PRELOAD_FULL : job->sites ? PRELOAD_PARTIAL : PRELOAD_NONE;
}
