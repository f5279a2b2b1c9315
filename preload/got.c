/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last resort, where a policy forbids changing libc's text (PR_SET_MDWE, SELinux' execmod, a filter on
 * mprotect) and the overlay is missing: the hottest functions of libc, by name.
 *
 * The entries of the program's and its libraries' global offset tables are redirected, at start. Exporting
 * functions of those names from this library would do the same, but then every program would pay for it: each
 * lookup of each such symbol would find ours, whether the program was patched or not, and a program that looks
 * for `open` with dlsym(RTLD_NEXT) or compares function addresses would see a stranger. A second library would
 * have to be chosen before the program starts, when nobody knows yet that it is needed.
 *
 * What libc calls inside itself does not come (of the file calls of 25 programs, a third), so coverage is
 * PARTIAL. What is not handled goes on to the original function, cancellation and all.
 */
#include "preload/got.h"

#include "ipc/sys.h"
#include "preload/dispatch.h"

#include <sys/mman.h>

#define X(nr, name) #name "\0"
static const char names[] = GOT_FUNCTIONS(X);
#undef X
#define X(nr, name) nr,
static const uint16_t numbers[] = {GOT_FUNCTIONS(X)};
#undef X

enum { GOT_COUNT = sizeof(numbers) / sizeof(numbers[0]), GOT_THUNKS = 64, GOT_THUNK_SIZE = 16 };

_Static_assert((int)GOT_COUNT <= (int)GOT_THUNKS, "entry.S");

extern const char got_thunks[] __attribute__((visibility("hidden")));
/* Of libc, for entry.S. NULL: libc has none, nobody is redirected. */
uintptr_t got_originals[GOT_THUNKS];
static int *(*errno_location)(void);

/* What is needed of an object's dynamic section. */
struct dynamic {
	const Elf64_Sym *symbols;
	const char *strings;
	const uint32_t *gnu_hash;
	const Elf64_Rela *rela, *jmprel;
	uint64_t rela_size, jmprel_size;
};

/* glibc relocates the section's addresses in place, musl does not. */
static uintptr_t absolute(const struct link_object *object, uintptr_t at)
{
	return at < object->base ? at + object->base : at;
}

static void dynamic_read(struct dynamic *d, const struct link_object *object)
{
	*d = (struct dynamic){0};
	for (const Elf64_Dyn *dyn = object->dynamic; dyn && dyn->d_tag != DT_NULL; dyn++) {
		uintptr_t at = absolute(object, dyn->d_un.d_ptr);

		switch (dyn->d_tag) {
		case DT_SYMTAB:
			d->symbols = (const Elf64_Sym *)at;
			break;
		case DT_STRTAB:
			d->strings = (const char *)at;
			break;
		case DT_GNU_HASH:
			d->gnu_hash = (const uint32_t *)at;
			break;
		case DT_RELA:
			d->rela = (const Elf64_Rela *)at;
			break;
		case DT_RELASZ:
			d->rela_size = dyn->d_un.d_val;
			break;
		case DT_JMPREL:
			d->jmprel = (const Elf64_Rela *)at;
			break;
		case DT_PLTRELSZ:
			d->jmprel_size = dyn->d_un.d_val;
			break;
		}
	}
}

/* The address of a defined function, by DT_GNU_HASH; 0: there is none. */
static uintptr_t symbol_find(const struct link_object *object, const struct dynamic *d, const char *name)
{
	const uint32_t *hash = d->gnu_hash, *buckets, *chain;
	uint32_t h = 5381, n;

	if (!hash || !d->symbols || !d->strings)
		return 0;
	for (const char *c = name; *c; c++)
		h = h * 33 + (uint8_t)*c;
	buckets = hash + 4 + 2 * hash[2];
	chain = buckets + hash[0];
	n = buckets[h % hash[0]];
	if (n < hash[1])
		return 0;
	for (;; n++) {
		uint32_t its = chain[n - hash[1]];

		if ((its | 1) == (h | 1) && str_equal(d->strings + d->symbols[n].st_name, name) &&
		    ELF64_ST_TYPE(d->symbols[n].st_info) == STT_FUNC)
			return object->base + d->symbols[n].st_value;
		if (its & 1)
			return 0;
	}
}

uintptr_t got_function(const struct link_object *object, const char *name)
{
	struct dynamic d;

	dynamic_read(&d, object);
	return symbol_find(object, &d, name);
}

static void originals_find(const struct link_object *libc)
{
	const char *name = names;
	struct dynamic d;

	dynamic_read(&d, libc);
	for (uint32_t n = 0; n < GOT_COUNT; n++, name += str_length(name) + 1)
		got_originals[n] = symbol_find(libc, &d, name);
	errno_location = (int *(*)(void))symbol_find(libc, &d, "__errno_location");
}

static int function_find(const char *name)
{
	const char *at = names;

	for (int n = 0; n < GOT_COUNT; n++, at += str_length(at) + 1)
		if (str_equal(at, name))
			return got_originals[n] ? n : -1;
	return -1;
}

static void relocations_redirect(const struct link_object *object, const struct dynamic *d, const Elf64_Rela *rela,
				 uint64_t size)
{
	for (uint64_t n = 0; rela && n < size / sizeof(*rela); n++) {
		uint64_t type = ELF64_R_TYPE(rela[n].r_info);
		int function;

		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
			continue;
		function = function_find(d->strings + d->symbols[ELF64_R_SYM(rela[n].r_info)].st_name);
		if (function < 0)
			continue;
		*(uintptr_t *)(object->base + rela[n].r_offset) = (uintptr_t)got_thunks + function * GOT_THUNK_SIZE;
		preload_status.slots++;
	}
}

/* ld.so has made the table read-only, if the object asked for it (RELRO). Never executable: no policy minds. */
static long relro_protect(const struct link_object *object, uintptr_t header, int prot)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)header;
	const Elf64_Phdr *phdr;

	if (!header || mem_compare(ehdr->e_ident, ELFMAG, SELFMAG) != 0)
		return -1;
	phdr = (const Elf64_Phdr *)(header + ehdr->e_phoff);
	for (uint32_t n = 0; n < ehdr->e_phnum; n++)
		if (phdr[n].p_type == PT_GNU_RELRO) {
			uintptr_t start = (object->base + phdr[n].p_vaddr) & -4096ul;
			uintptr_t end = (object->base + phdr[n].p_vaddr + phdr[n].p_memsz) & -4096ul;

			return end > start ? sys3(__NR_mprotect, (long)start, (long)(end - start), prot) : 0;
		}
	return 0;
}

static void object_redirect(const struct link_object *object, uintptr_t header)
{
	struct dynamic d;

	dynamic_read(&d, object);
	if (!d.symbols || !d.strings || relro_protect(object, header, PROT_READ | PROT_WRITE) < 0)
		return;
	relocations_redirect(object, &d, d.jmprel, d.jmprel_size);
	relocations_redirect(object, &d, d.rela, d.rela_size);
	relro_protect(object, header, PROT_READ);
}

uint32_t got_redirect(const struct start_info *info)
{
	for (const struct link_object *object = info->objects; object; object = object->next)
		if (image_part(object->name) == IMAGE_LIBC)
			originals_find(object);
	if (!errno_location)
		return PRELOAD_NONE;
	/* The main program is the first, and may be linked to a fixed address, with base 0. */
	object_redirect(info->objects, info->phdr & -4096ul);
	for (const struct link_object *object = info->objects->next; object; object = object->next)
		if (image_part(object->name) == IMAGE_OTHER)
			object_redirect(object, object->base);
	return preload_status.slots ? PRELOAD_PARTIAL : PRELOAD_NONE;
}

/* From entry.S, with the function's index for a number. As preload_dispatch(), but ret is the function's. */
int got_dispatch(struct preload_regs *regs)
{
	regs->nr = numbers[regs->nr];
	if (!preload_dispatch(regs))
		return 0;
	if (sys_failed(regs->ret)) {
		*errno_location() = (int)-regs->ret;
		regs->ret = -1;
	}
	return 1;
}
