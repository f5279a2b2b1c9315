/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is who when a mirror is opened: which areas below are its children, which are in sync, what is to be
 * copied. Whatever is not as the mirror left it, and was not asked for, is refused with a sentence.
 *
 * The head with the highest sequence ("top") says who was in sync last. Of those that are there, one is
 * followed. If the map is not empty, they were writing when they stopped, and the others may differ from
 * it: they are no longer in sync. That is saved before anything is read: had another been followed after a
 * second crash, what was read before might be gone.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libservices/area/mirror.h"

enum { NOBODY = UINT32_MAX };

struct judge {
	struct mirror *m;
	struct {
		struct area *area;
		enum mirror_found found;
		struct mirror_head head;
	} below[MIRROR_BELOW_MAX];
	struct mirror_head top;
	unsigned of_child[MIRROR_BELOW_MAX]; /* which of them; NOBODY */
	uint32_t blank;                      /* children taken in */
	char *error;
	size_t error_size;
};

/* "mirror: area 1 ('/srv/b.img') <format>"; without a number for all of them. */
__attribute__((format(printf, 3, 4))) static int judge_fail(struct judge *j, unsigned i, const char *format,
							    ...)
{
	struct json_object *report = i == NOBODY ? NULL : area_report(j->m->area->below[i]);
	const char *name = json_object_get_string(json_object_object_get(report, "name"));
	int n = snprintf(j->error, j->error_size, "mirror: ");
	va_list args;

	if (report)
		n += snprintf(j->error + n, j->error_size - n, "area %u%s%s%s ", i, name ? " ('" : "",
			      name ? name : "", name ? "')" : "");
	va_start(args, format);
	if (n < j->error_size)
		vsnprintf(j->error + n, j->error_size - n, format, args);
	va_end(args);
	json_object_put(report);
	return -EINVAL;
}

static int found_check(struct judge *j, unsigned i)
{
	switch (j->below[i].found) {
	case MIRROR_OTHER:
		return judge_fail(j, i, "holds something that is not part of a mirror");
	case MIRROR_DAMAGED:
		return judge_fail(j, i, "has a damaged head: wipe its first 128 KiB to copy it anew");
	case MIRROR_NEWER:
		return judge_fail(j, i, "is of a mirror of version %u; this program knows version %u",
				  j->below[i].head.version, MIRROR_VERSION);
	default:
		return 0;
	}
}

/* Returns how many heads there are. */
static int heads_read(struct judge *j)
{
	void *buf = aligned_alloc(MIRROR_PAGE, 2 * MIRROR_PAGE);
	int r = buf ? 0 : -ENOMEM, n = 0;

	for (unsigned i = 0; i < j->m->count && r == 0; i++) {
		j->below[i].area = j->m->area->below[i];
		j->below[i].found = mirror_head_read(j->below[i].area, buf, &j->below[i].head);
		n += j->below[i].found == MIRROR_FOUND;
		r = found_check(j, i);
	}
	free(buf);
	return r < 0 ? r : n;
}

static const struct mirror_head *head_of(const struct judge *j, unsigned child)
{
	unsigned i = j->of_child[child];

	return i == NOBODY || j->below[i].found != MIRROR_FOUND ? NULL : &j->below[i].head;
}

/*
 * Of two heads with the same sequence the one that names fewer was written by who went on; the other had
 * been meant for all, but a power cut came before all had it.
 */
static int sure(const struct mirror_head *head)
{
	return -__builtin_popcount(head->in_sync);
}

/* Each head's place among the children; the first head stands for the mirror. */
static int heads_place(struct judge *j)
{
	const struct mirror_head *first = NULL;

	for (unsigned i = 0; i < j->m->count; i++) {
		const struct mirror_head *head = &j->below[i].head;

		if (j->below[i].found != MIRROR_FOUND)
			continue;
		first = first ? first : head;
		if (memcmp(head->set, first->set, sizeof(head->set)) != 0)
			return judge_fail(j, i, "is of another mirror than those before it");
		if (head->count != j->m->count)
			return judge_fail(j, i, "is of a mirror of %u areas: %u are given", head->count,
					  j->m->count);
		if (j->of_child[head->self] != NOBODY)
			return judge_fail(j, i,
					  "is a copy of area %u, not its mirror image: both are child %u",
					  j->of_child[head->self], head->self);
		j->of_child[head->self] = i;
		if (head->sequence > j->top.sequence ||
		    (head->sequence == j->top.sequence && sure(head) > sure(&j->top)))
			j->top = *head;
	}
	return 0;
}

static int head_is_sound(struct judge *j, const struct mirror_head *head)
{
	unsigned i = j->of_child[head->self];

	if (head->sequence == j->top.sequence && head->in_sync != j->top.in_sync &&
	    sure(head) == sure(&j->top))
		return judge_fail(j, i, "says with sequence %llu something else than area %u",
				  (unsigned long long)head->sequence, j->of_child[j->top.self]);
	if (!(j->top.in_sync & bit(head->self)) &&
	    mirror_head_apart(head, j->top.in_sync, j->top.reached[head->self]))
		return judge_fail(j, i, "was written without area %u, and that without it: wipe one's head",
				  j->of_child[j->top.self]);
	if (head->sequence < j->top.reached[head->self])
		return judge_fail(j, i, "is an old copy of itself: its sequence is %llu, and was %llu",
				  (unsigned long long)head->sequence,
				  (unsigned long long)j->top.reached[head->self]);
	if (area_size(j->below[i].area) < MIRROR_DATA + j->top.size)
		return judge_fail(j, i, "is too small: %llu bytes, of %llu",
				  (unsigned long long)area_size(j->below[i].area),
				  (unsigned long long)(MIRROR_DATA + j->top.size));
	return 0;
}

/* Those without a head take the places that are left. */
static int rest_place(struct judge *j, int adopt)
{
	unsigned child = 0;

	for (unsigned i = 0; i < j->m->count; i++) {
		if (j->below[i].found == MIRROR_FOUND)
			continue;
		while (j->of_child[child] != NOBODY)
			child++;
		j->of_child[child] = i;
		if (j->below[i].found == MIRROR_AWAY)
			continue;
		if (!adopt)
			return judge_fail(j, i,
					  "is blank: 'adopt: true' makes it a mirror image of the others");
		if (area_size(j->below[i].area) < MIRROR_DATA + j->top.size)
			return judge_fail(j, i, "is too small: it needs %llu bytes",
					  (unsigned long long)(MIRROR_DATA + j->top.size));
		j->blank |= bit(child);
	}
	return 0;
}

static uint32_t present(const struct judge *j)
{
	uint32_t mask = 0;

	for (unsigned n = 0; n < j->m->count; n++)
		if (head_of(j, n))
			mask |= bit(n);
	return mask;
}

/* Whom to follow: of those in sync the one that was written last. */
static unsigned leader(const struct judge *j)
{
	unsigned best = NOBODY;

	for (unsigned n = 0; n < j->m->count; n++)
		if (j->m->in_sync & bit(n) &&
		    (best == NOBODY || head_of(j, n)->sequence > head_of(j, best)->sequence))
			best = n;
	return best;
}

static void state_take(struct judge *j)
{
	struct mirror *m = j->m;
	unsigned lead;

	memcpy(m->set, j->top.set, sizeof(m->set));
	for (unsigned n = 0; n < m->count; n++)
		m->reached[n] = head_of(j, n) ? head_of(j, n)->sequence : j->top.reached[n];
	m->sequence = j->top.sequence;
	m->region_shift = j->top.region_shift;
	m->saved = j->top.in_sync;
	m->in_sync = j->top.in_sync & present(j);
	lead = leader(j);
	mirror_map_load(m, m->child[lead]);
	if (mirror_map_any(m->map->dirty))
		m->in_sync = bit(lead);
	m->copying = (present(j) | j->blank) & ~m->in_sync;
}

/* Is a head missing what we know? */
static int must_save(const struct judge *j)
{
	const struct mirror *m = j->m;
	int must = m->in_sync != m->saved || m->copying;

	for (unsigned n = 0; n < m->count; n++)
		must |= head_of(j, n) && head_of(j, n)->sequence != m->sequence;
	return must;
}

static int save(struct judge *j)
{
	struct mirror *m = j->m;

	pthread_mutex_lock(&m->lock);
	m->head_changed = 1;
	while (!m->broken && (m->head_changed || m->pages_changed))
		mirror_save(m);
	pthread_mutex_unlock(&m->lock);
	return m->broken ? judge_fail(j, NOBODY, "its areas cannot be written") : 0;
}

static int state_save(struct judge *j)
{
	struct mirror *m = j->m;

	if (j->blank)
		mirror_map_fill(m);
	if (m->copying)
		memcpy(m->map->todo, m->map->dirty, sizeof(m->map->todo));
	return m->area->traits & AREA_RDONLY || !must_save(j) ? 0 : save(j);
}

static void state_log(const struct mirror *m)
{
	for (unsigned n = 0; n < m->count; n++)
		if (m->copying & bit(n))
			mirror_log(m, n, "is not in sync: what it has missed is copied");
		else if (!(m->in_sync & bit(n)))
			mirror_log(m, n, "is not there: the mirror goes on without it");
}

static int judge_old(struct judge *j, int adopt)
{
	struct mirror *m = j->m;
	int r = heads_place(j);

	for (unsigned n = 0; n < m->count && r == 0; n++)
		if (head_of(j, n))
			r = head_is_sound(j, head_of(j, n));
	if (r == 0 && !(j->top.in_sync & present(j)))
		r = judge_fail(j, NOBODY, "the areas that were in sync last are not there");
	if (r == 0)
		r = rest_place(j, adopt);
	if (r < 0)
		return r;
	for (unsigned n = 0; n < m->count; n++)
		m->child[n] = j->below[j->of_child[n]].area;
	m->region_shift = j->top.region_shift;
	area_resize(m->area);
	state_take(j);
	state_log(m);
	return state_save(j);
}

static unsigned region_shift_for(uint64_t size)
{
	unsigned shift = MIRROR_REGION_MIN;

	while (size >> shift > MIRROR_BITS / 2) /* room to grow */
		shift++;
	return shift;
}

static int judge_new(struct judge *j, int create)
{
	struct mirror *m = j->m;

	for (unsigned i = 0; i < m->count; i++) {
		if (j->below[i].found == MIRROR_AWAY)
			return judge_fail(j, i, "cannot be read");
		m->child[i] = j->below[i].area;
	}
	if (!create)
		return judge_fail(j, NOBODY, "all areas are blank: 'create: true' makes a new mirror");
	if (getrandom(m->set, sizeof(m->set), 0) != sizeof(m->set))
		return judge_fail(j, NOBODY, "no random numbers");
	m->region_shift = MIRROR_REGION_MAX;
	m->region_shift = region_shift_for(area_resize(m->area));
	if (area_size(m->area) == 0)
		return judge_fail(j, NOBODY, "an area is smaller than 2 MiB");
	m->in_sync = m->all;
	m->pages_changed = bit(MIRROR_PAGES) - 1;
	return save(j);
}

int mirror_judge(struct mirror *m, int create, int adopt, char *error, size_t error_size)
{
	struct judge *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	*j = (struct judge){.m = m, .error = error, .error_size = error_size};
	for (unsigned n = 0; n < MIRROR_BELOW_MAX; n++)
		j->of_child[n] = NOBODY;
	r = heads_read(j);
	if (r >= 0)
		r = r > 0 ? judge_old(j, adopt) : judge_new(j, create);
	free(j);
	return r;
}
