/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes are left to the kernel and the FUSE mount. Whatever is not accelerated is still served: by
 * the mount at the same path.
 */
#include "preload/class.h"

#include "ipc/sys.h"
#include "ipc/wire.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

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

/* The number after a word, in a small file of the kernel's or the engine's; -1 without. */
static int class_number(const char *path, const char *word)
{
	char text[4096];
	long fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n, i;
	size_t length = str_length(word);
	int number = 0;

	if (fd < 0)
		return -1;
	n = sys3(__NR_read, fd, (long)text, sizeof(text) - 1);
	sys_close((int)fd);
	text[n > 0 ? n : 0] = 0;
	for (i = 0; i < n && mem_compare(text + i, word, length); i++)
		;
	for (i += (long)length; i < n && (text[i] == ' ' || text[i] == '\t'); i++)
		;
	if (i >= n)
		return -1;
	for (; text[i] >= '0' && text[i] <= '9' && number < 1000; i++)
		number = number * 10 + text[i] - '0';
	return number;
}

/*
 * A container's own filter lets this library do what it does, and whoever made it says how many there are. One more is
 * the program's, and may end it for any call.
 */
static int filters_are_known(void)
{
	int known = class_number(WIRE_FILTERS, "");

	return known > 0 && class_number("/proc/self/status", "Seccomp_filters:") == known;
}

/*
 * A program under valgrind is there to have its calls looked at: what it hands to the kernel, and whether it wrote that
 * before. Then they go to the kernel; and our own, of which valgrind would say what is not true, do not happen.
 * It answers to instructions that do nothing elsewhere (valgrind.h: RUNNING_ON_VALGRIND).
 */
static int is_under_valgrind(void)
{
	uint64_t request[6] = {0x1001}, answer = 0;

	__asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(request)
			 : "cc", "memory");
	return answer != 0;
}

enum preload_class class_of(const struct start_info *info)
{
	const char *mode = class_getenv(info->envp, "POLYTROPON_MODE");
	long seccomp;

	if (mode && str_equal(mode, "off"))
		return PRELOAD_CLASS_OFF;
	if (info->secure)
		return PRELOAD_CLASS_SECURE;
	if (is_go(info))
		return PRELOAD_CLASS_GO;
	if (is_under_valgrind())
		return PRELOAD_CLASS_VALGRIND;
	/* A failure means that even prctl is filtered. */
	seccomp = sys5(__NR_prctl, PR_GET_SECCOMP, 0, 0, 0, 0);
	if (seccomp != 0 && (seccomp != SECCOMP_MODE_FILTER || !filters_are_known()))
		return PRELOAD_CLASS_SECCOMP;
	return PRELOAD_CLASS_ACCELERATED;
}
