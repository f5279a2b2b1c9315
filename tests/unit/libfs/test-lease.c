/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What costs no message: looking up what is in the lease table, opening again what was closed, reading what came with an
 * open. And what does, for it must: everything that the table does not vouch for. The table is the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>
#include "ipc/front-lease.h"
#include "libfs/internal.h"
#include "tests/unit/libfs/fake-front.h"

enum { ROOT = 1, FILE_INO = 5, DIR_INO = 6 };

static struct lease_table *table; /* written here, read by libfs through another mapping */
static unsigned sent[WIRE_OP_MAX];
static const char *content = "what is in the file";
static uint64_t content_change;
static uint32_t next_handle = 100;
static unsigned wanted; /* opens that wanted data */

/* ---- the service ----------------------------------------------------------------------------- */

static struct lease_attr *attr_entry(uint64_t ino)
{
	return &table->attr[lease_attr_place(0, ino) / LEASE_WAYS][0];
}

static void know_attr(uint64_t ino, uint32_t mode, uint64_t change)
{
	struct lease_attr *e = attr_entry(ino);

	e->seq += 2;
	e->flags = (change ? LEASE_KNOWN : 0) | LEASE_MAY_R | (S_ISDIR(mode) ? LEASE_NAMES : 0);
	e->anchor = 1;
	e->change = change;
	e->attr = (struct wire_attr){.ino = ino, .mode = mode, .nlink = 1, .size = strlen(content)};
}

static void forget_attr(uint64_t ino)
{
	attr_entry(ino)->seq += 2;
	attr_entry(ino)->attr.ino = 0;
}

static void know_name(const char *name, uint64_t ino, uint32_t type)
{
	struct lease_name *e = &table->name[lease_name_place(0, ROOT, name, strlen(name)) / LEASE_WAYS][0];

	e->seq += 2;
	e->anchor = 1;
	e->dir = ROOT;
	e->ino = ino;
	e->type = type >> 12;
	e->len = strlen(name);
	memcpy(e->name, name, strlen(name));
}

static int64_t serve_open(struct fake_call *call)
{
	char *payload = call->payload;

	call->reply.handle = next_handle++;
	wanted += (call->request.flags & WIRE_WANT_DATA) != 0;
	call->reply.attr = (struct wire_attr){.ino = FILE_INO, .mode = S_IFREG | 0644, .size = strlen(content)};
	if ((call->request.flags & WIRE_WANT_DATA) && content_change && strlen(content) <= call->request.out_max) {
		memcpy(payload, content, strlen(content));
		call->reply.out_len = strlen(content);
		call->reply.change = content_change;
		call->reply.arg = WIRE_OPENED_DATA;
	}
	return 0;
}

static int serve(struct fake_call *call)
{
	const struct wire_request *q = &call->request;
	uint64_t left = strlen(content) - (q->offset < strlen(content) ? q->offset : strlen(content));

	sent[q->op]++;
	switch (q->op) {
	case WIRE_OPEN:
		call->reply.result = serve_open(call);
		break;
	case WIRE_READ:
		left = left < q->length ? left : q->length;
		memcpy(call->payload, content + q->offset, left);
		call->reply.result = left;
		break;
	case WIRE_GETATTR:
		call->reply.attr.ino = FILE_INO;
		break;
	}
	return 0;
}

static int group_setup(void **state)
{
	int fd = memfd_create("table", 0);
	struct front_lease *l;

	fake_serve = serve;
	fake_mount(0, "/data", 0, 77);
	fake_table.mount[0].root_ino = ROOT;
	if (ftruncate(fd, sizeof(*table)) < 0 || fs_init() < 0 || fs_ready() < 0)
		return -1;
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	table->magic = WIRE_MAGIC;
	table->version = WIRE_VERSION;
	table->generation = fake_table.generation;
	l = (struct front_lease *)fs_lease();
	front_lease_take(l, l->turn, fd);
	close(fd);
	return 0;
}

static int setup(void **state)
{
	memset(sent, 0, sizeof(sent));
	wanted = 0;
	know_attr(ROOT, S_IFDIR | 0755, 3);
	know_attr(FILE_INO, S_IFREG | 0644, 10);
	know_name("file", FILE_INO, S_IFREG);
	know_name("none", 0, 0);
	know_name("link", 8, S_IFLNK);
	content_change = 10;
	return 0;
}

/* ---- a program ------------------------------------------------------------------------------- */

static struct fs_file *opens(const char *path, uint32_t flags)
{
	struct fs_opened opened;
	struct fs_object o;

	assert_true(fs_route(path, &o));
	if (fs_open(&o, flags, 0, NULL, &opened) < 0)
		return NULL;
	return fs_file_opened(o.mount, &opened, flags);
}

static int64_t reads(struct fs_file *f, char *buf, size_t size, uint64_t offset)
{
	struct iovec iov = {buf, size};

	return fs_readv(f, &iov, 1, offset);
}

static int64_t gets_attr(const char *path, uint16_t flags)
{
	struct wire_attr attr;
	struct fs_object o;

	assert_true(fs_route(path, &o));
	o.flags |= flags;
	return fs_getattr(&o, &attr);
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void what_is_known_is_not_asked(void **state)
{
	struct fs_object o;
	char buf[100];

	assert_int_equal(gets_attr("/data/file", 0), 0);
	assert_int_equal(gets_attr("/data/none", 0), -ENOENT);
	assert_int_equal(gets_attr("/data", 0), 0);
	fs_route("/data/file", &o);
	assert_int_equal(fs_access(&o, R_OK), 0);
	assert_int_equal(fs_readlink(&o, buf, sizeof(buf)), -EINVAL);
	fs_route("/data/none", &o);
	assert_int_equal(fs_access(&o, F_OK), -ENOENT);
	assert_null(opens("/data/none", O_RDONLY));
	assert_int_equal(sent[WIRE_GETATTR] + sent[WIRE_ACCESS] + sent[WIRE_READLINK] + sent[WIRE_OPEN], 0);
	/* What it does not say for sure. */
	gets_attr("/data/file/", 0);
	gets_attr("/data/other", 0);
	gets_attr("/data/link", 0);
	gets_attr("/data/../data/file", 0);
	assert_int_equal(sent[WIRE_GETATTR], 3 + fs_route("/data/../data/file", &o));
	fs_route("/data/file", &o);
	fs_access(&o, W_OK);
	assert_int_equal(sent[WIRE_ACCESS], 1);
}

static void a_closed_file_is_opened_again(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDONLY);
	uint32_t handle = f->handle;

	assert_int_equal(sent[WIRE_OPEN], 1);
	assert_int_equal(fs_file_put(f), 0);
	assert_int_equal(sent[WIRE_CLOSE], 0);
	f = opens("/data/file", O_RDONLY);
	assert_int_equal(sent[WIRE_OPEN], 1);
	assert_int_equal(f->handle, handle);
	assert_int_equal(f->offset, 0);
	fs_file_put(f);
	/* Not for other flags. */
	f = opens("/data/file", O_RDONLY | O_NONBLOCK);
	assert_int_equal(sent[WIRE_OPEN], 2);
	fs_file_put(f);
	f = opens("/data/file", O_RDWR);
	assert_int_equal(sent[WIRE_OPEN], 3);
	fs_file_put(f);
	assert_int_equal(sent[WIRE_CLOSE], 1);
}

static uint32_t *parked(void)
{
	return front_head(&fs_front()->sessions[0])->parked;
}

static void the_service_may_take_it_away(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDONLY);

	fs_file_put(f);
	for (unsigned i = 0; i < WIRE_PARKED; i++)
		parked()[i] = 0;
	sent[WIRE_OPEN] = 0;
	f = opens("/data/file", O_RDONLY);
	assert_int_equal(sent[WIRE_OPEN], 1);
	fs_file_put(f);
}

static void what_has_no_name_is_closed(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDONLY);

	forget_attr(FILE_INO);
	fs_file_put(f);
	assert_int_equal(sent[WIRE_CLOSE], 1);
}

static void what_had_locks_is_closed(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDONLY);

	fs_flock(f, LOCK_SH);
	fs_file_put(f);
	assert_int_equal(sent[WIRE_CLOSE], 1);
}

static void no_place_no_parking(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDONLY);

	for (unsigned i = 0; i < WIRE_PARKED; i++)
		parked()[i] = 1;
	fs_file_put(f);
	assert_int_equal(sent[WIRE_CLOSE], 1);
	for (unsigned i = 0; i < WIRE_PARKED; i++)
		parked()[i] = 0;
}

static void a_small_file_comes_with_its_open(void **state)
{
	struct fs_file *f;
	char buf[100];

	know_attr(FILE_INO, S_IFREG | 0644, content_change = 20);
	f = opens("/data/file", O_RDONLY);
	assert_int_equal(reads(f, buf, sizeof(buf), 0), strlen(content));
	assert_memory_equal(buf, content, strlen(content));
	assert_int_equal(reads(f, buf, 4, 5), 4);
	assert_memory_equal(buf, content + 5, 4);
	assert_int_equal(reads(f, buf, 4, 1000), 0);
	assert_int_equal(sent[WIRE_READ], 0);
	/* It changes. */
	content = "something else by now";
	know_attr(FILE_INO, S_IFREG | 0644, 21);
	assert_int_equal(reads(f, buf, sizeof(buf), 0), strlen(content));
	assert_memory_equal(buf, content, strlen(content));
	assert_int_equal(sent[WIRE_READ], 1);
	/* What was read then is kept, too. */
	assert_int_equal(reads(f, buf, sizeof(buf), 0), strlen(content));
	assert_int_equal(sent[WIRE_READ], 1);
	/* Nothing is known of it: somebody may write to it. */
	know_attr(FILE_INO, S_IFREG | 0644, 0);
	reads(f, buf, sizeof(buf), 0);
	reads(f, buf, sizeof(buf), 0);
	assert_int_equal(sent[WIRE_READ], 3);
	fs_file_put(f);
}

static void the_end_of_a_file_is_known(void **state)
{
	struct fs_file *f = opens("/data/file", O_RDWR);
	char buf[100];

	know_attr(FILE_INO, S_IFREG | 0644, content_change = 30);
	sent[WIRE_READ] = 0;
	assert_int_equal(reads(f, buf, 1, strlen(content)), 0);
	assert_int_equal(reads(f, buf, 1, strlen(content) + 1), 0);
	assert_int_equal(sent[WIRE_READ], 0);
	/* Nothing is known of it: somebody may write to it. */
	know_attr(FILE_INO, S_IFREG | 0644, 0);
	assert_int_equal(reads(f, buf, 1, strlen(content)), 0);
	assert_int_equal(sent[WIRE_READ], 1);
	/* It has grown. */
	content = "something else by now, and longer than it was";
	know_attr(FILE_INO, S_IFREG | 0644, 31);
	assert_int_equal(reads(f, buf, sizeof(buf), 21), strlen(content) - 21);
	fs_file_put(f);
}

static void who_does_not_read_gets_no_data(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		/* As if they were so many files: the change count is another each time. */
		know_attr(FILE_INO, S_IFREG | 0644, content_change = 1000 + i);
		struct fs_file *f = opens("/data/file", O_RDONLY);
		f->path = 0; /* not to be opened again */
		fs_file_put(f);
	}
	assert_in_range(sent[WIRE_OPEN], 199, 200); /* the first may find a handle */
	assert_in_range(wanted, 1, 40);
}

static void other_credentials_other_table(void **state)
{
	assert_int_equal(gets_attr("/data/file", 0), 0);
	assert_int_equal(sent[WIRE_GETATTR], 0);
	fs_credentials_changed();
	gets_attr("/data/file", 0);
	assert_int_equal(sent[WIRE_GETATTR], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_known_is_not_asked, setup),
		cmocka_unit_test_setup(a_closed_file_is_opened_again, setup),
		cmocka_unit_test_setup(the_service_may_take_it_away, setup),
		cmocka_unit_test_setup(what_has_no_name_is_closed, setup),
		cmocka_unit_test_setup(what_had_locks_is_closed, setup),
		cmocka_unit_test_setup(no_place_no_parking, setup),
		cmocka_unit_test_setup(a_small_file_comes_with_its_open, setup),
		cmocka_unit_test_setup(the_end_of_a_file_is_known, setup),
		cmocka_unit_test_setup(who_does_not_read_gets_no_data, setup),
		cmocka_unit_test_setup(other_credentials_other_table, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL) != 0;
}
