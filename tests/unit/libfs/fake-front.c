/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libfs/fake-front.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct wire_table fake_table = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .generation = 3};
int (*fake_serve)(struct fake_call *call);
int (*fake_fetch)(uint32_t handle, uint64_t offset);
uint32_t fake_cwd;
unsigned fake_claimed, fake_calls;

enum { FAKE_SLOTS = 4 };
static char *memory; /* a session's head, and slots */

static struct wire_slot *fake_slot(unsigned index)
{
	return (struct wire_slot *)(memory + WIRE_PAGE + index * WIRE_SLOT_STRIDE);
}

int front_table(struct front *f)
{
	f->table = &fake_table;
	return 0;
}

int front_attach(struct front *f, uint64_t timeout_ns)
{
	struct wire_session *head;

	if (f->attached && f->generation == fake_table.generation)
		return 0;
	if (!memory)
		memory = mmap(NULL, WIRE_PAGE + FAKE_SLOTS * WIRE_SLOT_STRIDE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	head = (struct wire_session *)memory;
	head->umask = 027;
	f->attached = 1;
	f->session++;
	f->generation = fake_table.generation;
	f->smo_min = 65536;
	f->cma_min = UINT32_MAX;
	f->sessions[0].segment = memory;
	return 0;
}

int front_attach_in(struct front *f, uint64_t timeout_ns, struct front_adopt *adopt)
{
	adopt->handle = fake_cwd;
	return front_attach(f, timeout_ns);
}

int front_fetch(struct front *f, uint32_t handle, uint64_t offset)
{
	return fake_fetch ? fake_fetch(handle, offset) : -ENOTSUP;
}

int front_hello(struct front *f, uint32_t kind)
{
	return 0;
}

int front_credentials(struct front *f)
{
	return 0;
}

void front_spared(struct front *f)
{
}

struct front_session *front_pin(struct front *f)
{
	return f->attached ? &f->sessions[f->attached - 1] : NULL;
}

void front_unpin(struct front *f, struct front_session *s)
{
}

struct wire_slot *front_claim(struct front *f)
{
	assert(fake_claimed < FAKE_SLOTS);
	memset(fake_slot(fake_claimed), 0xee, WIRE_PAGE);
	return fake_slot(fake_claimed++);
}

int front_call_with(struct front *f, struct wire_slot *slot, int interruptible, const struct front_meanwhile *meanwhile)
{
	struct fake_call call = {.request = slot->request, .payload = front_payload(slot, slot->request.where)};
	int r;

	if (meanwhile)
		meanwhile->run(meanwhile->arg);
	fake_calls++;
	r = fake_serve(&call);
	slot->reply = call.reply;
	return r;
}

void front_release(struct front *f, struct wire_slot *slot)
{
	assert(fake_claimed > 0);
	fake_claimed--;
}

int (*fake_share)(struct front_share *share);
uint32_t fake_copying;

int front_share(struct front *f, struct front_share *share)
{
	return fake_share ? fake_share(share) : -EOPNOTSUPP;
}

void front_share_close(const struct front_share *share)
{
	close(share->data);
	close(share->state);
	if (share->marks >= 0)
		close(share->marks);
}

struct wire_slot *front_copying_begin(struct front *f, uint32_t session)
{
	__atomic_add_fetch(&fake_copying, 1, __ATOMIC_SEQ_CST);
	return fake_slot(FAKE_SLOTS - 1);
}

void front_copying_end(struct front *f, struct wire_slot *slot)
{
	__atomic_sub_fetch(&fake_copying, 1, __ATOMIC_SEQ_CST);
}

void front_forking(struct front *f)
{
}

int front_pause(struct front *f)
{
	return 0;
}

void fake_restart(void)
{
	fake_table.generation += 2;
}

void fake_mount(unsigned index, const char *path, uint32_t flags, uint64_t dev)
{
	struct wire_mount *m = &fake_table.mount[index];

	m->flags = flags;
	m->dev = dev;
	m->path_len = (uint32_t)strlen(path);
	strcpy(m->path, path);
	if (fake_table.mount_count <= index)
		fake_table.mount_count = index + 1;
}
