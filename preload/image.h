/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is loaded into this process, found without libc: the kernel's auxiliary vector, the dynamic linker's
 * list of objects, and ELF headers in memory. Freestanding.
 */
#pragma once

#include <elf.h>
#include <stdint.h>

/* As the dynamic linker publishes it for debuggers; <link.h> would drag libc in. */
struct link_object {
	uintptr_t base;
	const char *name;
	const Elf64_Dyn *dynamic;
	struct link_object *next, *previous;
};

struct start_info {
	char **envp;
	uintptr_t phdr;   /* of the main program */
	uint64_t phdr_count;
	uint64_t secure;  /* AT_SECURE */
	const struct link_object *objects;
};

enum image_part {
	IMAGE_OTHER = 0,
	IMAGE_LIBC,      /* in musl it is the dynamic linker too */
	IMAGE_LINKER,    /* glibc's ld.so */
	IMAGE_COMPANION, /* libpthread and librt of glibc before 2.34 */
};

enum { IMAGE_BUILD_ID_MAX = 32, IMAGES_MAX = 6 };

struct image {
	uint8_t *base;
	uint32_t text_at, text_size; /* of its executable segment, from the base; text_size not rounded */
	uint32_t build_id_size;      /* 0: none */
	uint8_t build_id[IMAGE_BUILD_ID_MAX];
	uint32_t part; /* enum image_part */
};

/* All that is loaded, the main program first; NULL: nobody says. */
const struct link_object *image_objects(void);

/* `envp` as the constructor got it, where it gets one (glibc). 0 or -errno. */
int start_info_find(struct start_info *ret_info, char **envp);

/* The C library, the dynamic linker, and the pieces of older C libraries. Returns how many. */
uint32_t images_find(struct image *ret_images, const struct start_info *info);

/* By an object's name. */
enum image_part image_part(const char *name);

/* The first PT_NOTE entry with that owner and type, or NULL; `bias` is added to p_vaddr. */
const Elf64_Nhdr *image_note(const Elf64_Phdr *phdr, uint64_t count, uintptr_t bias, const char *owner,
			     uint32_t type);
