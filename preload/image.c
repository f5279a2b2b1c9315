/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc calls a library's initialiser with (argc, argv, envp), and envp is still the array that the kernel put
 * on the stack, with the auxiliary vector behind it. musl calls it with nothing; its `__environ` is that same
 * array unless an earlier initialiser has changed the environment, which shows by its not being on the stack.
 *
 * The list of objects comes from _r_debug or _dl_debug_addr, which the dynamic linkers of glibc and musl export
 * for debuggers. They and `__environ` are our only undefined symbols, all weak.
 */
#include "preload/image.h"

#include "ipc/sys.h"

#include <errno.h>
#include <fcntl.h>

struct link_debug {
	int version;
	struct link_object *objects;
};

extern struct link_debug _r_debug __attribute__((weak, visibility("default")));
extern struct link_debug *_dl_debug_addr __attribute__((weak, visibility("default")));
extern char **__environ __attribute__((weak, visibility("default")));

enum { STACK_SPAN = 64 << 20 };

static int on_stack(const void *p)
{
	return (uintptr_t)p - sys_stack_pointer() < STACK_SPAN && (uintptr_t)p % sizeof(void *) == 0;
}

static void auxv_read(struct start_info *info, const Elf64_auxv_t *auxv)
{
	for (; auxv->a_type != AT_NULL; auxv++)
		switch (auxv->a_type) {
		case AT_PHDR:
			info->phdr = auxv->a_un.a_val;
			break;
		case AT_PHNUM:
			info->phdr_count = auxv->a_un.a_val;
			break;
		case AT_SECURE:
			info->secure = auxv->a_un.a_val;
			break;
		}
}

static int auxv_from_proc(struct start_info *info)
{
	Elf64_auxv_t auxv[64] = {0};
	long fd = sys_openat(AT_FDCWD, "/proc/self/auxv", O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return (int)fd;
	sys3(__NR_read, fd, (long)auxv, sizeof(auxv) - sizeof(auxv[0]));
	sys_close((int)fd);
	auxv_read(info, auxv);
	return 0;
}

const struct link_object *image_objects(void)
{
	const struct link_debug *debug = &_dl_debug_addr ? _dl_debug_addr : &_r_debug;

	return debug ? debug->objects : NULL;
}

int start_info_find(struct start_info *ret_info, char **envp)
{
	struct start_info info = {.envp = envp, .objects = image_objects()};

	if (&_dl_debug_addr) /* musl */
		info.envp = &__environ ? __environ : NULL;
	if (!info.objects)
		return -ENOENT;
	if (on_stack(info.envp)) {
		char **end = info.envp;

		while (*end)
			end++;
		auxv_read(&info, (const Elf64_auxv_t *)(end + 1));
	} else {
		int err = auxv_from_proc(&info);

		if (err < 0)
			return err;
	}
	*ret_info = info;
	return info.phdr ? 0 : -ENOENT;
}

const Elf64_Nhdr *image_note(const Elf64_Phdr *phdr, uint64_t count, uintptr_t bias, const char *owner,
			     uint32_t type)
{
	uint32_t size = (uint32_t)str_length(owner) + 1;

	for (; count; phdr++, count--) {
		uintptr_t at = bias + phdr->p_vaddr, end = at + phdr->p_memsz;

		while (phdr->p_type == PT_NOTE && at + sizeof(Elf64_Nhdr) <= end) {
			const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;

			/* Go pads the name and counts the padding. */
			if (note->n_type == type && note->n_namesz - size < 4 &&
			    mem_compare(note + 1, owner, size) == 0)
				return note;
			at += sizeof(*note) + ((note->n_namesz + 3u) & ~3u) + ((note->n_descsz + 3u) & ~3u);
		}
	}
	return NULL;
}

enum image_part image_part(const char *name)
{
	const char *slash = name ? str_last(name, '/') : NULL, *base = slash ? slash + 1 : name;

	if (!base)
		return IMAGE_OTHER;
	if (str_begins(base, "libc.so") || str_begins(base, "libc-2.") || str_begins(base, "libc.musl-") ||
	    str_begins(base, "ld-musl-"))
		return IMAGE_LIBC;
	if (str_begins(base, "ld-linux-x86-64") || str_begins(base, "ld-2."))
		return IMAGE_LINKER;
	if (str_begins(base, "libpthread.so") || str_begins(base, "libpthread-2.") ||
	    str_begins(base, "librt.so") || str_begins(base, "librt-2."))
		return IMAGE_COMPANION;
	return IMAGE_OTHER;
}

static void image_build_id(struct image *image, const Elf64_Phdr *phdr, uint64_t count)
{
	const Elf64_Nhdr *note = image_note(phdr, count, (uintptr_t)image->base, "GNU", NT_GNU_BUILD_ID);

	if (!note || note->n_descsz > IMAGE_BUILD_ID_MAX)
		return;
	image->build_id_size = note->n_descsz;
	mem_copy(image->build_id, (const char *)(note + 1) + 4, note->n_descsz);
}

/* One executable segment and no text relocations, or it is not for us. */
static int image_read(struct image *image, const struct link_object *object)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)object->base;
	const Elf64_Phdr *phdr;

	if (!ehdr || mem_compare(ehdr->e_ident, ELFMAG, SELFMAG) != 0 || ehdr->e_machine != EM_X86_64)
		return -ENOEXEC;
	*image = (struct image){.base = (uint8_t *)object->base};
	phdr = (const Elf64_Phdr *)(object->base + ehdr->e_phoff);
	for (uint32_t n = 0; n < ehdr->e_phnum; n++)
		if (phdr[n].p_type == PT_LOAD && phdr[n].p_flags & PF_X) {
			if (image->text_size || phdr[n].p_flags & PF_W || phdr[n].p_vaddr > INT32_MAX ||
			    phdr[n].p_memsz > INT32_MAX)
				return -ENOEXEC;
			image->text_at = (uint32_t)phdr[n].p_vaddr;
			image->text_size = (uint32_t)phdr[n].p_memsz;
		}
	image_build_id(image, phdr, ehdr->e_phnum);
	return image->text_size && image->text_at % 4096 == 0 ? 0 : -ENOEXEC;
}

uint32_t images_find(struct image *ret_images, const struct start_info *info)
{
	uint32_t found = 0;

	for (const struct link_object *object = info->objects; object && found < IMAGES_MAX; object = object->next) {
		enum image_part part = image_part(object->name);

		if (part != IMAGE_OTHER && image_read(&ret_images[found], object) == 0)
			ret_images[found++].part = part;
	}
	return found;
}
