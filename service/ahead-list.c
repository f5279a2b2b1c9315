/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/rules.h"
#include "service/ahead-list.h"

enum { NAMES_MAX = 4096, TEXT_MAX = 128 * 1024 };

struct name {
	uint32_t text; /* where it begins */
	uint8_t type;
};

struct ahead_list {
	struct name *name; /* as listed */
	uint16_t *sorted;  /* indices of these, by name */
	unsigned count, room;
	char *text;
	size_t used, size;
};

struct ahead_list *ahead_list_free(struct ahead_list *list)
{
	if (list) {
		free(list->name);
		free(list->sorted);
		free(list->text);
		free(list);
	}
	return NULL;
}

static int list_grow(struct ahead_list *list, size_t len)
{
	if (list->count == list->room) {
		unsigned room = list->room ? list->room * 2 : 64;
		struct name *name = reallocarray(list->name, room, sizeof(*name));
		if (!name)
			return -ENOMEM;
		list->name = name;
		list->room = room;
	}
	if (list->used + len + 1 > list->size) {
		size_t size = (list->used + len + 1) * 2;
		char *text = realloc(list->text, size);
		if (!text)
			return -ENOMEM;
		list->text = text;
		list->size = size;
	}
	return 0;
}

struct reading {
	struct ahead_list *list;
	int result;
};

static int list_add(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct reading *r = arg;
	struct ahead_list *list = r->list;

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	r->result = list->count == NAMES_MAX || list->used + len >= TEXT_MAX ? -EFBIG : list_grow(list, len);
	if (r->result < 0)
		return 1;
	list->name[list->count] = (struct name){.text = list->used, .type = type};
	memcpy(list->text + list->used, name, len);
	list->text[list->used + len] = 0;
	list->used += len + 1;
	list->count++;
	return 0;
}

static const char *text_of(const struct ahead_list *list, unsigned name)
{
	return list->text + list->name[name].text;
}

static int by_name(const void *a, const void *b, void *list)
{
	return strcmp(text_of(list, *(const uint16_t *)a), text_of(list, *(const uint16_t *)b));
}

static int list_sort(struct ahead_list *list)
{
	list->sorted = calloc(list->count + 1, sizeof(*list->sorted));
	if (!list->sorted)
		return -ENOMEM;
	for (unsigned i = 0; i < list->count; i++)
		list->sorted[i] = i;
	qsort_r(list->sorted, list->count, sizeof(*list->sorted), by_name, list);
	return 0;
}

static int list_fill(struct caller *c, struct inode *dir, struct ahead_list *list)
{
	struct reading reading = {.list = list};
	struct ofd *ofd;
	int r = vfs_open(c, dir, O_RDONLY | O_DIRECTORY, NULL, &ofd);

	if (r < 0)
		return r;
	r = vfs_readdir(c, ofd, 0, list_add, &reading);
	ofd_unref(ofd);
	if (r >= 0)
		r = reading.result;
	return r < 0 ? r : list_sort(list);
}

int ahead_list_read(struct caller *c, struct inode *dir, const struct ls_attr *attr, struct ahead_list **ret)
{
	struct ahead_list *list;
	int r;

	if (ls_atime_due_kernel(attr))
		return -EAGAIN;
	list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	r = list_fill(c, dir, list);
	*ret = r < 0 ? ahead_list_free(list) : list;
	return r;
}

struct ahead_list *ahead_list_of(const char *records, size_t size)
{
	struct ahead_list *list = calloc(1, sizeof(*list));
	struct reading reading = {.list = list};
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t reclen;
		uint8_t type;
	} __attribute__((packed)) head;
	size_t at = 0;

	while (list && size - at > sizeof(head)) {
		const char *name = records + at + sizeof(head);

		memcpy(&head, records + at, sizeof(head));
		if (head.reclen <= sizeof(head) || head.reclen > size - at ||
		    list_add(&reading, name, strnlen(name, head.reclen - sizeof(head)), head.ino, head.type, head.off))
			break;
		at += head.reclen;
	}
	return list && list->count && reading.result >= 0 && list_sort(list) == 0 ? list : ahead_list_free(list);
}

bool ahead_list_find(const struct ahead_list *list, const char *name, unsigned ret[AHEAD_ORDERS])
{
	unsigned from = 0, to = list->count;

	while (from < to) {
		unsigned mid = from + (to - from) / 2, i = list->sorted[mid];
		int order = strcmp(name, text_of(list, i));
		if (order == 0) {
			ret[AHEAD_AS_LISTED] = i;
			ret[AHEAD_BY_NAME] = mid;
			return true;
		}
		if (order < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return false;
}

const char *ahead_list_at(const struct ahead_list *list, enum ahead_order order, unsigned at, unsigned *ret_type)
{
	unsigned i;

	if (at >= list->count)
		return NULL;
	i = order == AHEAD_BY_NAME ? list->sorted[at] : at;
	*ret_type = list->name[i].type;
	return text_of(list, i);
}
