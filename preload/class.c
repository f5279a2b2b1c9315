/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes are left to the kernel and the FUSE mount. Whatever is not accelerated is still served: by
 * the mount at the same path.
 */
#include "preload/class.h"

#include "ipc/sys.h"

#include <linux/prctl.h>

enum { NOTE_GO_BUILD_ID = 4, GO_MAGIC_SIZE = 14, GO_ALIGN = 16 };

const char *class_getenv(char **envp, const char *name)
{
	size_t length = str_length(name);

	for (; envp && *envp; envp++)
		if (mem_compare(*envp, name, length) == 0 && (*envp)[length] == '=')
			return *envp + length + 1;
	return NULL;
}

static uintptr_t main_bias(const struct start_info *info, const Elf64_Phdr *phdr)
{
	for (uint64_t n = 0; n < info->phdr_count; n++)
		if (phdr[n].p_type == PT_PHDR)
			return info->phdr - phdr[n].p_vaddr;
	return info->objects->base;
}

/*
 * The linker's note, or, where -buildid= has removed it, the build information, which Go's own linker puts at
 * the start of the data. (Behind another linker it may lie anywhere in there; reading all of it would cost
 * every program that is not of Go its page faults.)
 */
static int is_go(const struct start_info *info)
{
	const Elf64_Phdr *phdr = (const Elf64_Phdr *)info->phdr;
	uintptr_t bias = main_bias(info, phdr);

	if (image_note(phdr, info->phdr_count, bias, "Go", NOTE_GO_BUILD_ID))
		return 1;
	for (uint64_t n = 0; n < info->phdr_count; n++)
		if (phdr[n].p_type == PT_LOAD && phdr[n].p_flags & PF_W && phdr[n].p_filesz >= 2 * GO_ALIGN) {
			uintptr_t at = (bias + phdr[n].p_vaddr + GO_ALIGN - 1) & -(uintptr_t)GO_ALIGN;

			return mem_compare((const void *)at, "\xff Go buildinf:", GO_MAGIC_SIZE) == 0;
		}
	return 0;
}

enum preload_class class_of(const struct start_info *info)
{
	const char *mode = class_getenv(info->envp, "POLYTROPON_MODE");

	if (mode && str_equal(mode, "off"))
		return PRELOAD_CLASS_OFF;
	if (info->secure)
		return PRELOAD_CLASS_SECURE;
	if (is_go(info))
		return PRELOAD_CLASS_GO;
	/* A failure means that even prctl is filtered. */
	if (sys5(__NR_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) != 0)
		return PRELOAD_CLASS_SECCOMP;
	return PRELOAD_CLASS_ACCELERATED;
}
