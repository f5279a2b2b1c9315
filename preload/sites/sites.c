/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of sites by build-id, and the scan for libraries that have none.
 *
 * The tables are arrays that the code names directly, not a list of pointers: the preload library has no
 * relocations that would be made at each start.
 */
#include "preload/sites/sites.h"

#include "preload/interest.h"

#include <errno.h>

/* An offset below 8 MiB and a number below 512. */
#define SITE(at, nr) ((uint32_t)(at) << 9 | (uint32_t)(nr))
enum { SITE_NR_BITS = 9, SITE_NR_MASK = 511 };

#include "preload/sites/glibc-2.36-debian12.h"
#include "preload/sites/ld-2.36-debian12.h"
#include "preload/sites/musl-1.2.3-debian12.h"

#define X(nr, name) [nr] = 1,
const uint8_t interest_map[INTEREST_MAX] = {PRELOAD_INTEREST(X)};
#undef X

enum { MOV_EAX = 0xb8, SYSCALL_0 = 0x0f, SYSCALL_1 = 0x05 };

static int bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t size)
{
	while (size && *a == *b)
		a++, b++, size--;
	return size == 0;
}

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define TRY(regulars_, others_, ...)                                                                \
	if (bytes_equal(build_id, (const uint8_t[]){__VA_ARGS__}, BUILD_ID_SIZE)) {                 \
		*ret_list = (struct site_list){regulars_, others_, COUNT(regulars_), COUNT(others_)}; \
		return 0;                                                                           \
	}

int sites_find(struct site_list *ret_list, const uint8_t build_id[BUILD_ID_SIZE])
{
	TABLE_93ac61ec(TRY)
	TABLE_7ebc65e5(TRY)
	TABLE_54d00df4(TRY)
	return -ENOENT;
}

static struct site site_regular(uint32_t at, uint32_t nr)
{
	return (struct site){.at = at, .nr = (int16_t)nr, .kind = SITE_PLAIN, .window = 5};
}

struct site sites_get(const struct site_list *list, uint32_t n)
{
	if (n >= list->regulars)
		return list->other[n - list->regulars];
	return site_regular(list->regular[n] >> SITE_NR_BITS, list->regular[n] & SITE_NR_MASK);
}

/* FNV-1a; a changed library is recognised by its build-id, so this only has to catch accidents. */
static uint32_t site_check(uint32_t value, const uint8_t *bytes, uint32_t size)
{
	for (; size; bytes++, size--)
		value = (value ^ *bytes) * 16777619u;
	return value;
}

static int is_regular(const uint8_t *mov, uint32_t nr)
{
	return mov[0] == MOV_EAX && mov[1] == (nr & 0xff) && mov[2] == nr >> 8 && !mov[3] && !mov[4] &&
	       mov[5] == SYSCALL_0 && mov[6] == SYSCALL_1;
}

int site_verify(const struct site *site, const uint8_t *text, uint32_t text_at, uint32_t text_size)
{
	uint32_t start = site->at - text_at - (site->kind == SITE_CALL ? 0 : site->window);
	uint32_t value = 2166136261u;

	/* A wrap of `start` is as far out of bounds as can be. */
	if (start > text_size || text_size - start < 32 || (site->pad < 0 && start < (uint32_t)-site->pad) ||
	    (site->pad > 0 && text_size - start < (uint32_t)site->pad + 5))
		return 0;
	if (!site->check)
		return is_regular(text + start, (uint32_t)site->nr);
	value = site_check(value, text + start, site->kind == SITE_CALL ? 5 : site->window + 2u);
	if (site->pad)
		value = site_check(value, text + start + site->pad, 5);
	return value == site->check;
}

/*
 * Does the code after a system call look as if it were one? Every wrapper compares the result with the error
 * range, tests, returns, moves or widens it, or goes to where that is done.
 */
static int follows_syscall(const uint8_t *p)
{
	if ((p[0] == 0x48 && p[1] == 0x3d) || p[0] == 0x3d) /* cmp $-4095,%rax or %eax */
		return (p[0] == 0x48 ? p + 2 : p + 1)[1] == 0xf0;
	if ((p[0] & 0xf8) == 0x48) /* REX.W: mov, test, movslq, cltq, neg, cmp, sub, add ... of whole registers */
		return p[1] == 0x89 || p[1] == 0x8b || p[1] == 0x85 || p[1] == 0x63 || p[1] == 0x98 || p[1] == 0xf7 ||
		       p[1] == 0x83 || p[1] == 0x81;
	return p[0] == 0xc3 || p[0] == 0x89 || p[0] == 0x85 || p[0] == 0x83 || p[0] == 0xe9 || p[0] == 0xeb ||
	       (p[0] & 0xf8) == 0x58 || (p[0] & 0xf8) == 0x50 || (p[0] & 0xf0) == 0x40;
}

/*
 * `b8 imm32 0f 05`, as seven bytes, is more than the chance of finding them inside other code allows: the
 * immediate has two zero bytes and a number below 512, and 0f 05 follows. Only another instruction that ends in
 * an immediate of that value right before a syscall looks alike, and then b8 is its opcode behind a prefix
 * (41 b8: mov $nr,%r8d) or its last operand byte (c7 4x 24 b8: movl $nr,-72(%rsp)). A prefix is refused by the
 * byte before, the store by the bytes two and three before; what follows must use the result. A site that is
 * refused counts as lost, which makes the process's coverage partial: slower, not wrong.
 */
static int scan_accepts(const uint8_t *text, uint32_t size, uint32_t at)
{
	const uint8_t *mov = text + at - 5;

	if (at < 8 || at + 10 > size || !is_regular(mov, mov[1] | (uint32_t)mov[2] << 8) || mov[2] > 1)
		return 0;
	if ((mov[-1] & 0xf0) == 0x40 || mov[-2] == 0xc7 || mov[-3] == 0xc7)
		return 0;
	return follows_syscall(text + at + 2);
}

uint32_t sites_scan(const uint8_t *text, uint32_t text_at, uint32_t text_size, uint32_t from, uint32_t *lost,
		    struct site *ret_site)
{
	for (uint32_t n = from; n + 1 < text_size; n++) {
		if (text[n] != SYSCALL_0 || text[n + 1] != SYSCALL_1)
			continue;
		if (scan_accepts(text, text_size, n)) {
			*ret_site = site_regular(text_at + n, text[n - 4] | (uint32_t)text[n - 3] << 8);
			return n + 2;
		}
		*lost += 1;
	}
	*ret_site = (struct site){0};
	return text_size;
}
