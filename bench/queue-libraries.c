/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of well-known libraries. */
#define _LGPL_SOURCE /* inlines of liburcu */
#include <ck_ring.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/wfcqueue.h>

#include "bench/queue.h"
#include "ipc/sys.h"

/* ---- liburcu's wait-free concurrent queue ----------------------------------------------------------- */

struct wfc_node {
	struct cds_wfcq_node node;
	unsigned item;
};

struct wfc_queue {
	struct event event;
	struct cds_wfcq_head head;
	_Alignas(64) struct cds_wfcq_tail tail;
	struct wfc_node last[QUEUE_SIDE_MAX];
	unsigned lasts;
};

/* An enqueuer has one task at a time, so one node. */
static __thread struct wfc_node wfc_node;

static struct queue *wfc_new(void)
{
	struct wfc_queue *q = aligned_alloc(64, sizeof(*q));

	memset(q, 0, sizeof(*q));
	cds_wfcq_init(&q->head, &q->tail);
	return (struct queue *)q;
}

static void wfc_free(struct queue *queue)
{
	cds_wfcq_destroy(&((struct wfc_queue *)queue)->head, &((struct wfc_queue *)queue)->tail);
	free(queue);
}

static void wfc_put(struct queue *queue, unsigned item)
{
	struct wfc_queue *q = (struct wfc_queue *)queue;
	struct wfc_node *node = item == QUEUE_LAST ? &q->last[q->lasts++] : &wfc_node;

	cds_wfcq_node_init(&node->node);
	node->item = item;
	cds_wfcq_enqueue(&q->head, &q->tail, &node->node);
	event_signal(&q->event);
}

static bool wfc_try(struct queue *queue, unsigned *ret)
{
	struct wfc_queue *q = (struct wfc_queue *)queue;
	struct cds_wfcq_node *node = NULL;

	if (!cds_wfcq_empty(&q->head, &q->tail))
		node = cds_wfcq_dequeue_blocking(&q->head, &q->tail);
	if (node)
		*ret = caa_container_of(node, struct wfc_node, node)->item;
	return node != NULL;
}

static unsigned wfc_take(struct queue *queue)
{
	return event_take(&((struct wfc_queue *)queue)->event, queue, wfc_try);
}

/* ---- Concurrency Kit's ring ------------------------------------------------------------------------- */

struct ck_queue {
	struct event event;
	ck_ring_t ring;
	ck_ring_buffer_t buffer[1 << QUEUE_SHIFT];
};

static struct queue *ck_new(void)
{
	struct ck_queue *q = aligned_alloc(64, (sizeof(*q) + 63) / 64 * 64);

	memset(q, 0, sizeof(*q));
	ck_ring_init(&q->ring, 1 << QUEUE_SHIFT);
	return (struct queue *)q;
}

static void ck_free(struct queue *queue)
{
	free(queue);
}

static void ck_put(struct queue *queue, unsigned item)
{
	struct ck_queue *q = (struct ck_queue *)queue;

	while (!ck_ring_enqueue_mpmc(&q->ring, q->buffer, (void *)(uintptr_t)(item + 1)))
		sys_yield();
	event_signal(&q->event);
}

static bool ck_try(struct queue *queue, unsigned *ret)
{
	struct ck_queue *q = (struct ck_queue *)queue;
	void *item;

	if (!ck_ring_dequeue_mpmc(&q->ring, q->buffer, &item))
		return false;
	*ret = (unsigned)(uintptr_t)item - 1;
	return true;
}

static unsigned ck_take(struct queue *queue)
{
	return event_take(&((struct ck_queue *)queue)->event, queue, ck_try);
}

const struct queue_type queue_wfc = {"urcu wfcqueue", wfc_new, wfc_free, wfc_put, wfc_take};
const struct queue_type queue_ck = {"ck ring", ck_new, ck_free, ck_put, ck_take};
