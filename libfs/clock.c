/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of day without a system call: the kernel's own function, in the page that it maps into every process.
 *
 * Found once, by what the kernel told the process at its start: /proc/self/auxv says where the vDSO is, and that is an
 * ELF object with one symbol table. The clock is the coarse one, which the kernel uses for file times, too.
 */
#include <elf.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "libfs/direct.h"

enum {
	CLOCK_REALTIME_COARSE_ = 5,
	AUXV_MAX = 64,
};

typedef int clock_function(int clock, struct sys_time *ret);

static clock_function *function; /* known for good, once it is not NULL */

/* By the symbol tables, which have as many entries as the hash table has chains. */
struct image {
	uintptr_t base; /* added to addresses in it */
	const Elf64_Sym *symbols;
	const char *strings;
	const uint32_t *hash;
};

static void image_dynamic(struct image *image, const Elf64_Dyn *d)
{
	for (; d->d_tag != DT_NULL; d++) {
		uintptr_t at = image->base + d->d_un.d_ptr;

		if (d->d_tag == DT_SYMTAB)
			image->symbols = (const Elf64_Sym *)at;
		else if (d->d_tag == DT_STRTAB)
			image->strings = (const char *)at;
		else if (d->d_tag == DT_HASH)
			image->hash = (const uint32_t *)at;
	}
}

static int image_open(struct image *image, const Elf64_Ehdr *e)
{
	const Elf64_Phdr *p = (const Elf64_Phdr *)((uintptr_t)e + e->e_phoff);
	const Elf64_Phdr *dynamic = NULL, *end = p + e->e_phnum;

	for (*image = (struct image){0}; p < end; p++) {
		if (p->p_type == PT_LOAD && !image->base)
			image->base = (uintptr_t)e + p->p_offset - p->p_vaddr;
		else if (p->p_type == PT_DYNAMIC)
			dynamic = p;
	}
	if (!dynamic)
		return 0;
	image_dynamic(image, (const Elf64_Dyn *)((uintptr_t)e + dynamic->p_offset));
	return image->symbols && image->strings && image->hash;
}

static void *image_find(const struct image *image, const char *name)
{
	uint32_t i, chains = image->hash[1];

	for (i = 0; i < chains; i++) {
		const Elf64_Sym *s = &image->symbols[i];

		if (s->st_shndx != SHN_UNDEF && str_equal(image->strings + s->st_name, name))
			return (void *)(image->base + s->st_value);
	}
	return NULL;
}

/* Where the vDSO is; NULL if there is none. */
static const Elf64_Ehdr *vdso(void)
{
	Elf64_auxv_t auxv[AUXV_MAX];
	long fd = sys_openat(AT_FDCWD, "/proc/self/auxv", O_RDONLY | O_CLOEXEC, 0), n;

	if (fd < 0)
		return NULL;
	n = sys3(__NR_read, fd, (long)auxv, sizeof(auxv));
	sys_close((int)fd);
	for (long i = 0; i < n / (long)sizeof(*auxv); i++)
		if (auxv[i].a_type == AT_SYSINFO_EHDR)
			return (const Elf64_Ehdr *)auxv[i].a_un.a_val;
	return NULL;
}

static int clock_without(int clock, struct sys_time *ret)
{
	return (int)sys2(__NR_clock_gettime, clock, (long)ret);
}

static clock_function *clock_find(void)
{
	const Elf64_Ehdr *e = vdso();
	struct image image;
	void *found = e && image_open(&image, e) ? image_find(&image, "__vdso_clock_gettime") : NULL;

	return found ? (clock_function *)(uintptr_t)found : clock_without;
}

int64_t fs_clock(void)
{
	clock_function *f = __atomic_load_n(&function, __ATOMIC_RELAXED);
	struct sys_time now;

	if (__builtin_expect(!f, 0)) {
		f = clock_find();
		__atomic_store_n(&function, f, __ATOMIC_RELAXED);
	}
	return f(CLOCK_REALTIME_COARSE_, &now) == 0 ? now.sec * SYS_NS + now.nsec : 0;
}
