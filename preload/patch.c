/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ways to the same result.
 *
 * The overlay: the pool keeps, per build of a library, a copy of its text that is patched already, and the stubs
 * for it. Mapping them is a few calls of mmap whatever the number of sites; the pages are shared by all
 * processes of the pool. The new text differs from the old only in the bytes of the windows, so a function that
 * is running, ld.so's own included, goes on undisturbed. Nothing here is ever writable and executable.
 *
 * In place, where there is no overlay or its place is taken: libc's text is made writable for a moment and
 * written to, which costs a copy of every page that has a site. It goes from r-x to rwx to r-x and not by way of
 * rw-: if a policy (PR_SET_MDWE, SELinux, a filter) forbids the first step, nothing has happened, and the second
 * only takes permissions away. Between the two steps nothing is called that may be in those pages.
 */
#include "preload/patch.h"

#include "ipc/sys.h"
#include "ipc/wire.h"
#include "preload/dispatch.h"
#include "preload/sites/sites.h"
#include "preload/stub.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#pragma GCC visibility push(hidden)
extern const char preload_entry_plain[], preload_entry_dynamic[], preload_entry_cancel[], preload_entry_call[];
#pragma GCC visibility pop

static struct patch_header *header_of(const struct image *image)
{
	return (struct patch_header *)(image->base - PATCH_DISTANCE);
}

static size_t text_pages(const struct image *image)
{
	return ((size_t)image->text_size + PATCH_PAGE - 1) & -(size_t)PATCH_PAGE;
}

static void slots_fill(struct patch_header *header)
{
	header->slots[SITE_PLAIN] = (uintptr_t)preload_entry_plain;
	header->slots[SITE_DYNAMIC] = (uintptr_t)preload_entry_dynamic;
	header->slots[SITE_CANCEL] = (uintptr_t)preload_entry_cancel;
	header->slots[SITE_CALL] = (uintptr_t)preload_entry_call;
}

/* Maps exactly there or fails. A kernel that does not know MAP_FIXED_NOREPLACE takes the address for a hint. */
static int map_at(void *at, size_t size, int prot, int flags, int fd, long offset)
{
	void *got = sys_mmap(at, size, prot, MAP_PRIVATE | MAP_FIXED_NOREPLACE | flags, fd, offset);

	if (sys_failed((long)got))
		return (int)(long)got;
	if (got == at)
		return 0;
	sys_munmap(got, size);
	return -EEXIST;
}

/* ---- the overlay ------------------------------------------------------------------------------ */

static int overlay_open(const struct image *image)
{
	static const char hex[] = "0123456789abcdef";
	char path[sizeof(WIRE_PATCH_DIR) + 1 + 2 * IMAGE_BUILD_ID_MAX] = WIRE_PATCH_DIR "/";
	char *p = path + sizeof(WIRE_PATCH_DIR);

	if (!image->build_id_size)
		return -ENOENT;
	for (uint32_t n = 0; n < image->build_id_size; n++) {
		*p++ = hex[image->build_id[n] >> 4];
		*p++ = hex[image->build_id[n] & 15];
	}
	*p = '\0';
	return (int)sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

static int header_fits(const struct patch_header *header, const struct image *image)
{
	return header->magic == PATCH_MAGIC && header->version == PATCH_VERSION &&
	       header->text_at == image->text_at && header->text_size == image->text_size &&
	       header->build_id_size == image->build_id_size &&
	       mem_compare(header->build_id, image->build_id, image->build_id_size) == 0;
}

/* Header and stubs. The header is written to before it is read: that is one page fault, not two. */
static int stubs_attach(const struct image *image, int fd)
{
	struct patch_header *header = header_of(image);
	int err = map_at(header, PATCH_PAGE, PROT_READ | PROT_WRITE, 0, fd, 0);

	if (err < 0)
		return err;
	slots_fill(header);
	err = header_fits(header, image) ? 0 : -EPROTO;
	if (err == 0)
		err = map_at(header + 1, PATCH_STUBS - PATCH_PAGE, PROT_READ | PROT_EXEC, 0, fd, PATCH_PAGE);
	if (err < 0)
		sys_munmap(header, PATCH_PAGE);
	return err;
}

static int text_attach(const struct image *image, int fd)
{
	void *at = sys_mmap(image->base + image->text_at, text_pages(image), PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_FIXED, fd, PATCH_STUBS);

	return sys_failed((long)at) ? (int)(long)at : 0;
}

static int overlay_attach(const struct image *image, int fd)
{
	int err = stubs_attach(image, fd);

	if (err < 0)
		return err;
	err = text_attach(image, fd);
	if (err < 0)
		sys_munmap(header_of(image), PATCH_STUBS);
	return err;
}

int patch_overlay(const struct image *image)
{
	const struct patch_header *header = header_of(image);
	int fd = overlay_open(image), err;

	if (fd < 0)
		return fd;
	err = overlay_attach(image, fd);
	sys_close(fd);
	if (err < 0)
		return err;
	preload_status.overlays++;
	preload_status.sites += header->sites;
	preload_status.skipped += header->skipped;
	return (int)header->coverage;
}

/* ---- in place --------------------------------------------------------------------------------- */

/* Somewhere within the reach of a 32-bit distance; the first place is nearly always free. */
static struct patch_header *stubs_map(const struct image *image)
{
	for (long n = 0; n < 12; n++) {
		uint8_t *at = (uint8_t *)header_of(image) + n * (PATCH_DISTANCE / 16);

		if (map_at(at, PATCH_STUBS, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_ANONYMOUS, -1, 0) == 0)
			return (struct patch_header *)at;
	}
	return NULL;
}

static long protect(void *at, size_t size, int prot)
{
	return sys3(__NR_mprotect, (long)at, (long)size, prot);
}

int patch_in_place(const struct image *image)
{
	struct patch_header *header = stubs_map(image);
	uint8_t *text = image->base + image->text_at;
	struct stub_job job = {.text = text, .text_at = image->text_at, .text_size = image->text_size,
			       .stubs = (uint8_t *)(header + 1), .room = PATCH_STUBS - PATCH_PAGE,
			       .slots_at = (uint8_t *)header - image->base};

	if (!header)
		return -EACCES;
	if (protect(text, text_pages(image), PROT_READ | PROT_WRITE | PROT_EXEC) < 0) {
		sys_munmap(header, PATCH_STUBS);
		return -EACCES;
	}
	job.stubs_at = job.slots_at + PATCH_PAGE;
	slots_fill(header);
	stub_library(&job, image->build_id, image->build_id_size);
	protect(text, text_pages(image), PROT_READ | PROT_EXEC);
	protect(header + 1, PATCH_STUBS - PATCH_PAGE, PROT_READ | PROT_EXEC);
	protect(header, PATCH_PAGE, PROT_READ | PROT_WRITE);
	preload_status.sites += job.sites;
	preload_status.skipped += job.skipped;
	return (int)job.coverage;
}
