/* SPDX-License-Identifier: Apache-2.0 */
/* What a child of a mirror begins with. */
#include <stdlib.h>
#include <string.h>

#include "libservices/area/mirror.h"
#include "libservices/crc32c.h"

static enum mirror_found head_check(struct mirror_head *head)
{
	uint32_t crc = head->crc;

	if (memcmp(head->magic, MIRROR_MAGIC, sizeof(head->magic)) != 0)
		return MIRROR_OTHER;
	head->crc = 0;
	if (crc != crc32c(0, head, sizeof(*head)))
		return MIRROR_DAMAGED;
	if (head->version != MIRROR_VERSION)
		return MIRROR_NEWER;
	return head->count >= 2 && head->count <= MIRROR_BELOW_MAX && head->self < head->count &&
			       head->region_shift >= MIRROR_REGION_MIN &&
			       head->region_shift <= MIRROR_REGION_MAX
		       ? MIRROR_FOUND
		       : MIRROR_DAMAGED;
}

static int is_zero(const uint8_t *p, size_t n)
{
	return *p == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int mirror_is_blank(struct area *area)
{
	void *buf = aligned_alloc(MIRROR_PAGE, MIRROR_META);
	int blank = buf && area_read(area, buf, MIRROR_META, 0) == 0 && is_zero(buf, MIRROR_META);

	free(buf);
	return blank;
}

/* Of the copies that are good the newer one. */
enum mirror_found mirror_head_read(struct area *area, void *buf, struct mirror_head *ret)
{
	struct mirror_head *copy = buf;
	enum mirror_found found[2];

	if (area_size(area) < MIRROR_META)
		return MIRROR_OTHER;
	if (area_read(area, buf, 2 * MIRROR_PAGE, 0) < 0)
		return MIRROR_AWAY;
	found[0] = head_check(&copy[0]);
	found[1] = head_check(&copy[1]);
	if (found[0] < MIRROR_FOUND && found[1] < MIRROR_FOUND) {
		if (found[0] == MIRROR_OTHER && found[1] == MIRROR_OTHER)
			return mirror_is_blank(area) ? MIRROR_BLANK : MIRROR_OTHER;
		*ret = copy[found[1] > found[0]];
		return found[found[1] > found[0]];
	}
	if (found[0] < MIRROR_FOUND || (found[1] == MIRROR_FOUND && copy[1].sequence > copy[0].sequence))
		*ret = copy[1];
	else
		*ret = copy[0];
	return MIRROR_FOUND;
}

void mirror_head_fill(const struct mirror *m, unsigned n, struct mirror_head *head)
{
	*head = (struct mirror_head){.magic = MIRROR_MAGIC,
				     .version = MIRROR_VERSION,
				     .sequence = m->sequence,
				     .size = area_size(m->area),
				     .region_shift = m->region_shift,
				     .count = m->count,
				     .self = n,
				     .in_sync = m->in_sync};
	memcpy(head->set, m->set, sizeof(head->set));
	memcpy(head->reached, m->reached, sizeof(head->reached));
	head->crc = crc32c(0, head, sizeof(*head));
}

int mirror_head_apart(const struct mirror_head *head, uint32_t in_sync, uint64_t reached)
{
	return head->in_sync & bit(head->self) && !(head->in_sync & in_sync) && head->sequence > reached;
}
