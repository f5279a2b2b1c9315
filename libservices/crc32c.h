/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as iSCSI, ext4 and btrfs use it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of `length` bytes. `crc` is 0, or the checksum of the bytes before them:
 * crc32c(crc32c(0, a, n), b, m) is that of a and b together.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);
/* The same without the processor's help: for tests. */
uint32_t crc32c_slow(uint32_t crc, const void *data, size_t length);
