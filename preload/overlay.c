/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a library's file, redirects its sites in a copy of the text exactly as preload/patch.c would in a
 * process (the same preload/stub.c does it), and writes header, stubs and text to a file.
 *
 * The library may come out of a tenant's image, so its headers are checked before they are believed; what it
 * makes its own processes do is the tenant's affair.
 */
#include "preload/overlay.h"

#include "preload/dispatch.h"
#include "preload/patch.h"
#include "preload/stub.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct library {
	uint8_t *file;
	size_t size;
	const Elf64_Phdr *phdr;
	uint32_t phdr_count;
	const Elf64_Phdr *text;
	uint8_t build_id[IMAGE_BUILD_ID_MAX];
	uint32_t build_id_size;
};

static int fail(char *error, size_t error_size, int err, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(error, error_size, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < error_size)
		snprintf(error + n, error_size - (size_t)n, ": %s", strerror(err));
	return -err;
}

static size_t page_round(size_t size)
{
	return (size + PATCH_PAGE - 1) & -(size_t)PATCH_PAGE;
}

static int inside(const struct library *library, uint64_t offset, uint64_t size)
{
	return offset <= library->size && size <= library->size - offset;
}

static void note_read(struct library *library, uint64_t at, uint64_t end)
{
	while (end - at >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)(library->file + at);
		uint64_t name = (note->n_namesz + 3ull) & ~3ull, desc = (note->n_descsz + 3ull) & ~3ull;

		if (end - at - sizeof(*note) < name + desc)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(note + 1, "GNU", 4) == 0 &&
		    note->n_descsz && note->n_descsz <= IMAGE_BUILD_ID_MAX) {
			library->build_id_size = note->n_descsz;
			memcpy(library->build_id, (const char *)(note + 1) + 4, note->n_descsz);
		}
		at += sizeof(*note) + name + desc;
	}
}

/* The one executable segment, as preload/image.c will find it in memory. */
static int segments_read(struct library *library)
{
	for (uint32_t n = 0; n < library->phdr_count; n++) {
		const Elf64_Phdr *phdr = &library->phdr[n];

		if (phdr->p_type != PT_LOAD && phdr->p_type != PT_NOTE)
			continue;
		if (!inside(library, phdr->p_offset, phdr->p_filesz))
			return -EINVAL;
		if (phdr->p_type == PT_NOTE && phdr->p_offset % 4 == 0)
			note_read(library, phdr->p_offset, phdr->p_offset + phdr->p_filesz);
		if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_X))
			continue;
		if (library->text || phdr->p_flags & PF_W || phdr->p_filesz != phdr->p_memsz ||
		    phdr->p_vaddr % PATCH_PAGE || phdr->p_offset % PATCH_PAGE || phdr->p_vaddr > INT32_MAX / 2 ||
		    phdr->p_memsz > INT32_MAX / 2)
			return -ENOTSUP;
		library->text = phdr;
	}
	return library->text && library->build_id_size ? 0 : -ENOTSUP;
}

static int library_parse(struct library *library)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)library->file;

	if (library->size < sizeof(*ehdr) || memcmp(ehdr->e_ident, ELFMAG, SELFMAG) != 0 ||
	    ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_machine != EM_X86_64 || ehdr->e_type != ET_DYN)
		return -ENOTSUP;
	if (ehdr->e_phentsize != sizeof(Elf64_Phdr) || ehdr->e_phoff % 8 ||
	    !inside(library, ehdr->e_phoff, (uint64_t)ehdr->e_phnum * sizeof(Elf64_Phdr)))
		return -EINVAL;
	library->phdr = (const Elf64_Phdr *)(library->file + ehdr->e_phoff);
	library->phdr_count = ehdr->e_phnum;
	return segments_read(library);
}

/* The file is read, not mapped: whoever owns it could truncate it under us. */
static int library_read(struct library *library, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > INT32_MAX)
		return -ENOTSUP;
	/* A loader maps whole pages of the file, so what follows the text is there too. */
	library->file = calloc(1, page_round((size_t)st.st_size));
	if (!library->file)
		return -ENOMEM;
	while (library->size < (size_t)st.st_size) {
		ssize_t n = read(fd, library->file + library->size, (size_t)st.st_size - library->size);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		library->size += (size_t)n;
	}
	return library_parse(library);
}

/* With a root, every link in the path is followed as a process with that root would. */
static int library_open(struct library *library, int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = root >= 0 ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : 0};
	int fd = (int)syscall(SYS_openat2, root >= 0 ? root : AT_FDCWD, path, &how, sizeof(how)), err;

	*library = (struct library){0};
	if (fd < 0)
		return -errno;
	err = library_read(library, fd);
	close(fd);
	return err;
}

/* Header, stubs and text, as the file will be. */
static uint8_t *overlay_make(const struct library *library, size_t *ret_size)
{
	size_t text_pages = page_round(library->text->p_memsz);
	uint8_t *image = calloc(1, PATCH_STUBS + text_pages);
	struct patch_header *header = (struct patch_header *)image;
	struct stub_job job = {
		.text = image + PATCH_STUBS, .text_at = (uint32_t)library->text->p_vaddr,
		.text_size = (uint32_t)library->text->p_memsz, .stubs = image + PATCH_PAGE,
		.room = PATCH_STUBS - PATCH_PAGE, .slots_at = -PATCH_DISTANCE, .stubs_at = -PATCH_DISTANCE + PATCH_PAGE};

	if (!image)
		return NULL;
	memcpy(job.text, library->file + library->text->p_offset, text_pages);
	stub_library(&job, library->build_id, library->build_id_size);
	*header = (struct patch_header){
		.magic = PATCH_MAGIC, .version = PATCH_VERSION, .text_at = job.text_at, .text_size = job.text_size,
		.sites = job.sites, .skipped = job.skipped, .coverage = job.coverage,
		.build_id_size = library->build_id_size};
	memcpy(header->build_id, library->build_id, sizeof(header->build_id));
	*ret_size = PATCH_STUBS + text_pages;
	return image;
}

static int file_write(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int file_replace(int dir, const char *name, const uint8_t *image, size_t size)
{
	char temporary[2 * IMAGE_BUILD_ID_MAX + 8];
	int fd, err;

	snprintf(temporary, sizeof(temporary), "%s.new", name);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd < 0)
		return -errno;
	err = file_write(fd, image, size);
	close(fd);
	if (err == 0 && renameat(dir, temporary, dir, name) < 0)
		err = -errno;
	if (err < 0)
		unlinkat(dir, temporary, 0);
	return err;
}

static void build_id_name(char name[static 2 * IMAGE_BUILD_ID_MAX + 1], const struct library *library)
{
	for (uint32_t n = 0; n < library->build_id_size; n++)
		sprintf(name + 2 * n, "%02x", library->build_id[n]);
}

static int overlay_of(int dir, const struct library *library)
{
	char name[2 * IMAGE_BUILD_ID_MAX + 1];
	size_t size = 0;
	uint8_t *image = overlay_make(library, &size);
	int err;

	if (!image)
		return -ENOMEM;
	build_id_name(name, library);
	err = ((struct patch_header *)image)->coverage == PRELOAD_NONE ? -ENOTSUP
								       : file_replace(dir, name, image, size);
	free(image);
	return err;
}

static int overlay_from(int dir, int root, const char *path)
{
	struct library library;
	int err = library_open(&library, root, path);

	if (err == 0)
		err = overlay_of(dir, &library);
	free(library.file);
	return err;
}

int overlay_write(int patch_dir_fd, const char *library_path, char *error, size_t error_size)
{
	int err = overlay_from(patch_dir_fd, -1, library_path);

	return err < 0 ? fail(error, error_size, -err, "patched copy of '%s'", library_path) : 0;
}

int overlay_write_all(int patch_dir_fd, const char *root_path, char *error, size_t error_size)
{
	static const char *const usual[] = {
		"lib/x86_64-linux-gnu/libc.so.6", "lib64/libc.so.6", "usr/lib/libc.so.6", "lib64/ld-linux-x86-64.so.2",
		"lib/ld-musl-x86_64.so.1",
		/* glibc before 2.34 */
		"lib/x86_64-linux-gnu/libpthread.so.0", "lib64/libpthread.so.0", "lib/x86_64-linux-gnu/librt.so.1",
		"lib64/librt.so.1"};
	int root = open(*root_path ? root_path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC), made = 0;

	if (root < 0)
		return fail(error, error_size, errno, "open '%s'", root_path);
	for (size_t n = 0; n < sizeof(usual) / sizeof(usual[0]); n++) {
		int err = overlay_from(patch_dir_fd, root, usual[n]);

		if (err == 0) {
			made++;
		} else if (err != -ENOENT && err != -ENOTDIR && err != -ENOTSUP) {
			made = fail(error, error_size, -err, "patched copy of '%s' in '%s'", usual[n], root_path);
			break;
		}
	}
	close(root);
	return made;
}
