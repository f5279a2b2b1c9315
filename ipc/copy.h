/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between a program's memory, shared memory and the service's. Freestanding.
 *
 * SMC  shared-memory copy: plain (`rep movsb`).
 * SMO  shared-memory optimised: the Polytropon paper's two-stage pipeline (SoCC '20, "Data Transfer"): once,
 *      a non-temporal prefetch of 10 cache lines; then for each pair of lines, non-temporal prefetch of the
 *      next two (stage 1) and non-temporal stores of two (stage 2).
 * CMA  cross-memory attach: the service copies from or to the client's memory by process_vm_readv/writev.
 */
#pragma once

#include <stdint.h>

void copy_smc(void *to, const void *from, uint64_t length);
void copy_smo(void *to, const void *from, uint64_t length);

/* By size: SMC below smo_min, SMO from there on. */
static inline void copy_any(void *to, const void *from, uint64_t length, uint32_t smo_min)
{
	if (length < smo_min)
		copy_smc(to, from, length);
	else
		copy_smo(to, from, length);
}

struct copy_thresholds {
	uint32_t smo_min; /* UINT32_MAX: never */
	uint32_t cma_min;
};
/* Hosted (ipc/copy-measure.c): measures both on this machine, in a few ms. */
void copy_measure(struct copy_thresholds *ret);
/* Hosted (ipc/cma.c): count copied, or -errno. pid in the caller's PID namespace. */
int64_t cma_read(int pid, void *to, uint64_t from, uint64_t length);
int64_t cma_write(int pid, uint64_t to, const void *from, uint64_t length);
