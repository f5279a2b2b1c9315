/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the volume share: images in memory, made and mounted. */
#pragma once

#include "libservices/volume/fsck.h"
#include "libservices/volume/volume.h"
#include "tests/unit/layers/harness.h"

/* A memory file of that size. The descriptor is the caller's to close. */
int image_new(uint64_t size);
/* The same, with a volume on it; uuid and seeds are fixed. */
int image_with_volume(uint64_t size);
/* Another memory file with the same bytes. */
int image_copy(int fd);
struct area *image_area(int fd);
/* The layer's description, with more options ("" or ", \"buffer\": \"1M\""); in a static buffer. */
const char *image_stack(int fd, const char *options);
struct fs *image_mount(int fd, const char *options);
/* Bytes that may be written. */
uint64_t room(struct fs *fs);
/* It is what it was; perhaps in a moment, for a thread of the volume's own may be the last to let go of what was removed. */
void room_comes_back(struct fs *fs, uint64_t before);
/* What mounting says; fails the test if it works. In a static buffer. */
const char *image_mount_error(int fd);
/* The volume has no damage and no leaks, as fsck finds without writing. */
void image_is_sound(int fd);
