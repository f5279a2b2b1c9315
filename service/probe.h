/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A USDT probe, polytropon:operation (door, operation, pid, ns, result), for perf, bpftrace and systemtap: a no-op
 * instruction until one of them is attached. Operations and doors are numbers, in the order of ipc/wire.h.
 */
#pragma once

#include <stdint.h>

#ifdef HAVE_SDT
#include <sys/sdt.h>
#define probe_operation(door, op, pid, ns, result) DTRACE_PROBE5(polytropon, operation, door, op, pid, ns, result)
#else
#define probe_operation(door, op, pid, ns, result) ((void)0)
#endif
