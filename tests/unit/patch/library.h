/* SPDX-License-Identifier: Apache-2.0 */
/* A library's text and build-id, read from its file without preload/overlay.c, to test that one too. */
#pragma once

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct library {
	uint8_t *file;
	size_t size;
	uint8_t *text;
	uint32_t text_at, text_size;
	uint8_t build_id[20];
	uint32_t build_id_size;
	uint8_t *note; /* where the build-id is in file */
};

static inline void library_unload(struct library *library)
{
	free(library->file);
}

static inline int library_load(struct library *library, const char *path)
{
	FILE *from = fopen(path, "r");
	const Elf64_Phdr *phdr;

	*library = (struct library){0};
	if (!from)
		return -1;
	library->file = malloc(8 << 20);
	library->size = fread(library->file, 1, 8 << 20, from);
	fclose(from);
	phdr = (const Elf64_Phdr *)(library->file + ((const Elf64_Ehdr *)library->file)->e_phoff);
	for (int n = 0; n < ((const Elf64_Ehdr *)library->file)->e_phnum; n++, phdr++)
		if (phdr->p_type == PT_LOAD && phdr->p_flags & PF_X) {
			library->text = library->file + phdr->p_offset;
			library->text_at = (uint32_t)phdr->p_vaddr;
			library->text_size = (uint32_t)phdr->p_memsz;
		}
	library->note = memmem(library->file, 4096, "\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU", 16);
	if (!library->text || !library->note)
		return -1;
	library->note += 16;
	memcpy(library->build_id, library->note, 20);
	library->build_id_size = 20;
	return 0;
}
