/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Gives up what a service has no use for: capabilities, and system calls that lead out of it. Called once, before
 * there are threads. 0 or -errno.
 */
int sandbox_enter(void);
