/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which share, when it ends, and who may append: the rules of service/share.c, above a layer that counts. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/service.h"
#include "service/session.h"
#include "service/share.h"
#include "service/stats.h"

enum { SESSIONS = 3, INO = 7 };

/* ---- the layer -------------------------------------------------------------------------------- */

static struct {
	int shares[LS_SHARE_MAX];
	uint32_t grant; /* session; UINT32_MAX: none */
	int refuse;
	mode_t mode;
	uid_t uid;
	struct ls_share fds;
} layer;

static int layer_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
			 struct ls_attr *ret)
{
	*ret = (struct ls_attr){.ino = INO, .mode = layer.mode, .uid = layer.uid, .nlink = 1, .size = 100};
	return 0;
}

static ssize_t layer_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
			      void *buf, size_t size)
{
	return -EOPNOTSUPP;
}

static void layer_release(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
}

static void layer_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
}

static int layer_share(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
		       off_t offset, off_t length, struct ls_share *ret)
{
	if (layer.refuse)
		return layer.refuse;
	layer.shares[how]++;
	*ret = layer.fds;
	return 0;
}

static int layer_unshare(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
			 off_t offset, off_t length)
{
	assert_true(layer.shares[how] > 0);
	layer.shares[how]--;
	return 0;
}

static int layer_grant(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint32_t session)
{
	layer.grant = session;
	return 0;
}

/* ---- the world -------------------------------------------------------------------------------- */

static struct service service;
static struct wire_table table;
static const int cpu;
static struct session session[SESSIONS];
static struct ls *stack;
static struct instance *fs;
static struct inode *inode;

static gid_t groups[1];

static void session_make(unsigned n, uid_t uid)
{
	session[n] = (struct session){.service = &service, .pid = getpid(), .process = {.uid = uid, .groups = groups},
				      .back = {.number = n + 1, .memory = calloc(1, WIRE_PAGE)}};
	pthread_mutex_init(&session[n].lock, NULL);
}

static int setup(void **state)
{
	static const struct ls_attr root = {.ino = 1, .mode = S_IFDIR | 0755}, file = {.ino = INO, .mode = S_IFREG | 0644};
	static const struct ls_type type = {.name = "counting"};

	memset(&layer, 0, sizeof(layer));
	layer.grant = UINT32_MAX;
	layer.mode = S_IFREG | 0644;
	layer.fds = (struct ls_share){memfd_create("data", 0), memfd_create("state", 0), memfd_create("marks", 0)};
	assert_int_equal(ftruncate(layer.fds.data, 8192), 0);
	stack = calloc(1, sizeof(*stack));
	*stack = (struct ls){.type = &type, .tenant = strdup("test"), .root = (struct ls_inode *)&type, .root_attr = root};
	stack->op.getattr.ls = stack->op.release.ls = stack->op.forget.ls = stack;
	stack->op.share.ls = stack->op.unshare.ls = stack->op.grant.ls = stack;
	stack->op.getattr.fn = layer_getattr;
	stack->op.getxattr.ls = stack;
	stack->op.getxattr.fn = layer_getxattr;
	stack->op.release.fn = layer_release;
	stack->op.forget.fn = layer_forget;
	stack->op.share.fn = layer_share;
	stack->op.unshare.fn = layer_unshare;
	stack->op.grant.fn = layer_grant;
	service = (struct service){.pool = "test", .proc_fd = open("/proc", O_PATH)};
	assert_int_equal(back_new(&(struct back_config){.table = &table, .cpus = &cpu, .queues = 1}, &service.back), 0);
	pthread_mutex_init(&service.sessions_lock, NULL);
	assert_int_equal(instance_new(stack, "test", "/data", 0, &fs), 0);
	assert_int_equal(inode_enter(fs, (struct ls_inode *)&layer, &file, &inode), 0);
	for (unsigned n = 0; n < SESSIONS; n++)
		session_make(n, 1000);
	return 0;
}

/* All that was given has been taken back. */
static int teardown(void **state)
{
	int left = 0;

	for (unsigned n = 0; n < SESSIONS; n++) {
		for (unsigned i = 0; i < session[n].handle_room; i++)
			ofd_unref(session[n].handles[i].ofd);
		free(session[n].handles);
		session[n].handles = NULL;
		session[n].handle_room = 0;
		((struct wire_session *)session[n].back.memory)->forking = 0;
		share_session_ended(&session[n]);
		free(session[n].back.memory);
	}
	for (unsigned how = 0; how < LS_SHARE_MAX; how++)
		left += layer.shares[how];
	assert_int_equal(inode->opens, 0);
	if (instance_take_dirty(fs))
		inode_unref(inode);
	inode_unref(inode);
	service.back = back_free(service.back);
	assert_int_equal(fs->inode_count, 1);
	instance_free(fs);
	close(layer.fds.data);
	close(layer.fds.state);
	close(layer.fds.marks);
	close(service.proc_fd);
	return left || layer.grant != UINT32_MAX;
}

static uint32_t opens(unsigned n, int flags)
{
	struct ofd *ofd;
	int64_t handle;

	assert_int_equal(ofd_new(inode_ref(inode), (struct ls_file *)&layer, flags, NULL, &ofd), 0);
	handle = session_handle_new(&session[n], ofd);
	assert_true(handle > 0);
	return (uint32_t)handle;
}

static void closes(unsigned n, uint32_t handle)
{
	ofd_unref(session_handle_take(&session[n], handle));
}

/* What came with the last answer. */
static int came[3];
static unsigned came_count;
static uint32_t number;

static int ask(unsigned n, const struct wire_hello *hello)
{
	struct wire_welcome welcome = {0};
	char control[CMSG_SPACE(3 * sizeof(int))];
	struct iovec iov = {&welcome, sizeof(welcome)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(share_answer(&session[n], pair[0], hello), 0);
	assert_int_equal(recvmsg(pair[1], &msg, 0), sizeof(welcome));
	c = CMSG_FIRSTHDR(&msg);
	came_count = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	if (came_count)
		memcpy(came, CMSG_DATA(c), came_count * sizeof(int));
	for (unsigned i = 0; i < came_count; i++) {
		int flags = fcntl(came[i], F_GETFL) & O_ACCMODE;
		close(came[i]);
		came[i] = flags;
	}
	close(pair[0]);
	close(pair[1]);
	number = welcome.session;
	return welcome.result;
}

static int shares(unsigned n, uint32_t handle, unsigned how)
{
	struct wire_hello hello = {.handle = handle, .how = how, .length = 4096};

	return ask(n, &hello);
}

static int grant(unsigned n, uint32_t handle)
{
	struct ofd *ofd = session_handle_get(&session[n], handle);
	int r = share_grant(&session[n], ofd);

	ofd_unref(ofd);
	return r;
}

/* ---- giving ----------------------------------------------------------------------------------- */

static void what_comes(void **state)
{
	uint32_t r = opens(0, O_RDONLY), w = opens(0, O_RDWR);

	assert_int_equal(shares(0, r, WIRE_SHARE_READ), 0);
	assert_int_equal(came_count, 2);
	assert_int_equal(came[0], O_RDONLY);
	assert_int_equal(came[1], O_RDONLY);
	assert_int_equal(shares(0, w, WIRE_SHARE_WRITE), 0);
	assert_int_equal(came_count, 3);
	assert_int_equal(came[0], O_RDWR);
	assert_int_equal(came[1], O_RDONLY);
	assert_int_equal(came[2], O_RDWR);
	assert_int_equal(layer.shares[LS_SHARE_READ], 0); /* the one instead of the other */
	assert_int_equal(layer.shares[LS_SHARE_WRITE], 1);
	assert_int_equal(shares(0, r, WIRE_SHARE_MAP), 0);
	assert_int_equal(came_count, 1);
	assert_int_equal(came[0], O_RDONLY);
	assert_int_equal(shares(0, w, WIRE_SHARE_MAP_WRITE), 0);
	assert_int_equal(came[0], O_RDWR);
}

static void what_does_not(void **state)
{
	uint32_t r = opens(0, O_RDONLY), w = opens(0, O_WRONLY);

	assert_int_equal(shares(0, r, WIRE_SHARE_WRITE), -EACCES);
	assert_int_equal(shares(0, r, WIRE_SHARE_MAP_WRITE), -EACCES);
	assert_int_equal(shares(0, 12345, WIRE_SHARE_READ), -EBADF);
	assert_int_equal(shares(0, r, 77), -EINVAL);
	assert_int_equal(shares(0, w, WIRE_SHARE_WRITE), 0); /* the mode lets it read */
	layer.mode = S_IFREG | 0222;
	assert_int_equal(shares(0, w, WIRE_SHARE_WRITE), -EACCES);
	assert_int_equal(shares(0, w, WIRE_SHARE_MAP), -EACCES);
	layer.mode = S_IFREG | 0644;
	layer.refuse = -EAGAIN;
	assert_int_equal(shares(1, opens(1, O_RDWR), WIRE_SHARE_READ), -EAGAIN);
	assert_int_equal(came_count, 0);
	assert_int_equal(layer.shares[LS_SHARE_READ], 0);
	layer.refuse = 0;
	layer.mode = S_IFREG | 04755;
	assert_int_equal(shares(2, opens(2, O_RDWR), WIRE_SHARE_WRITE), -EBUSY);
}

static void users_do_not_mix(void **state)
{
	uint32_t a = opens(0, O_RDWR), b = opens(1, O_RDWR), c = opens(2, O_RDWR);

	session[2].process.uid = 2000;
	assert_int_equal(shares(0, a, WIRE_SHARE_READ), 0);
	assert_int_equal(shares(2, c, WIRE_SHARE_READ), 0);
	assert_int_equal(shares(1, b, WIRE_SHARE_WRITE), -EBUSY);
	closes(2, c);
	assert_int_equal(shares(1, b, WIRE_SHARE_WRITE), 0);
	c = opens(2, O_RDONLY);
	assert_int_equal(shares(2, c, WIRE_SHARE_READ), -EBUSY);
	assert_int_equal(shares(2, c, WIRE_SHARE_MAP), -EBUSY);
	/* Who is somebody else now has it mapped all the same. */
	session[1].process.uid = 3000;
	share_user_changed(&session[1]);
	assert_int_equal(layer.shares[LS_SHARE_WRITE] + layer.shares[LS_SHARE_READ], 0);
	assert_int_equal(shares(0, a, WIRE_SHARE_READ), -EBUSY);
}

/* ---- ending ----------------------------------------------------------------------------------- */

static void end_with_the_last_handle(void **state)
{
	uint32_t a = opens(0, O_RDWR), b = opens(0, O_RDONLY), other = opens(1, O_RDONLY);

	assert_int_equal(shares(0, a, WIRE_SHARE_READ), 0);
	assert_int_equal(shares(0, a, WIRE_SHARE_MAP), 0);
	closes(0, a);
	assert_int_equal(layer.shares[LS_SHARE_READ], 1);
	closes(0, b);
	assert_int_equal(layer.shares[LS_SHARE_READ], 0);
	assert_int_equal(layer.shares[LS_SHARE_MAP], 1);
	assert_int_equal(share_end(&session[1], number), -EBADF);
	assert_int_equal(share_end(&session[0], number), 0);
	assert_int_equal(share_end(&session[0], number), -EBADF);
	assert_int_equal(share_end(&session[0], 0), -EBADF);
	assert_int_equal(layer.shares[LS_SHARE_MAP], 0);
	closes(1, other);
}

static void kernel_opened(unsigned rdwr)
{
	inode->kernel_opens++;
	inode->kernel_rdwr += rdwr;
	share_kernel_opened(inode);
}

static void the_kernel_has_it_open(void **state)
{
	uint32_t a = opens(0, O_RDWR), b = opens(1, O_RDONLY);

	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), 0);
	assert_int_equal(shares(1, b, WIRE_SHARE_READ), 0);
	assert_true(share_is_written(inode));
	kernel_opened(0);
	assert_false(share_is_written(inode));
	assert_int_equal(layer.shares[LS_SHARE_WRITE], 0);
	assert_int_equal(layer.shares[LS_SHARE_READ], 1);
	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), -EBUSY);
	assert_int_equal(shares(0, a, WIRE_SHARE_READ), 0);
	assert_int_equal(shares(0, a, WIRE_SHARE_MAP_WRITE), -EBUSY);
	assert_int_equal(shares(0, a, WIRE_SHARE_MAP), 0);
	kernel_opened(1);
	assert_int_equal(layer.shares[LS_SHARE_READ], 0);
	assert_int_equal(shares(1, b, WIRE_SHARE_READ), -EBUSY);
	/* There is a mapping that we cannot take away: others belong there too. */
	assert_int_equal(shares(0, a, WIRE_SHARE_MAP_WRITE), 0);
	assert_true(share_is_written(inode));
	inode->kernel_opens = inode->kernel_rdwr = 0;
}

static void set_id_bits(void **state)
{
	uint32_t a = opens(0, O_RDWR);

	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), 0);
	share_end_writers(inode);
	assert_int_equal(layer.shares[LS_SHARE_WRITE], 0);
}

/* ---- appending -------------------------------------------------------------------------------- */

static void grants(void **state)
{
	uint32_t a = opens(0, O_RDWR), b;

	assert_int_equal(grant(0, a), -EBADF);
	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), 0);
	assert_int_equal(grant(0, a), 0);
	assert_int_equal(layer.grant, 1);
	assert_int_equal(grant(0, a), 0); /* for more */
	share_settle(inode);
	assert_int_equal(layer.grant, UINT32_MAX);
	assert_int_equal(grant(0, a), 0);
	b = opens(1, O_RDONLY);
	assert_int_equal(layer.grant, UINT32_MAX);
	assert_int_equal(grant(0, a), -EBUSY);
	closes(1, b);
	assert_int_equal(grant(0, a), 0);
	b = opens(0, O_RDONLY); /* its own: it sees the end where it is */
	assert_int_equal(grant(0, a), 0);
	closes(0, b);
	assert_int_equal(layer.grant, 1);
	kernel_opened(0);
	assert_int_equal(layer.grant, UINT32_MAX);
	assert_int_equal(grant(0, a), -EBADF);
	inode->kernel_opens = 0;
	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), 0);
	assert_int_equal(grant(0, a), 0);
	closes(0, a);
	assert_int_equal(layer.grant, UINT32_MAX);
}

static void no_grant_of_what_is_mapped_or_handed_on(void **state)
{
	uint32_t a = opens(0, O_RDWR);
	struct ofd *ofd = session_handle_get(&session[0], a);

	assert_int_equal(shares(0, a, WIRE_SHARE_WRITE), 0);
	assert_int_equal(grant(0, a), -EBUSY); /* somebody has a second reference */
	ofd_unref(ofd);
	assert_int_equal(grant(0, a), 0);
	assert_true(session_handle_new(&session[1], ofd_ref(session[0].handles[0].ofd)) > 0);
	assert_int_equal(layer.grant, UINT32_MAX);
	assert_int_equal(grant(0, a), -EBUSY);
}

/* ---- children --------------------------------------------------------------------------------- */

static void a_child_asks(void **state)
{
	struct wire_hello hello = {.how = WIRE_SHARE_MAP, .parent = 1};
	uint32_t a = opens(0, O_RDWR), parents;
	void *at;

	assert_int_equal(shares(0, a, WIRE_SHARE_MAP), 0);
	parents = hello.parent_share = number;
	((struct wire_session *)session[0].back.memory)->forking = 1;
	closes(0, a);
	session[0].ended = true;
	share_session_ended(&session[0]);
	assert_int_equal(layer.shares[LS_SHARE_MAP], 1); /* kept for a child */
	assert_true(share_orphans_expire() > 0);
	assert_int_equal(ask(1, &hello), -EPERM); /* it has nothing mapped */
	assert_int_equal(layer.shares[LS_SHARE_MAP], 1);
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, layer.fds.data, 0);
	assert_int_equal(ask(1, &hello), 0);
	assert_int_equal(came_count, 0);
	assert_true(number != parents);
	assert_int_equal(layer.shares[LS_SHARE_MAP], 2);
	/* And more of the same, of its own. */
	hello = (struct wire_hello){.how = WIRE_SHARE_MAP_WRITE, .parent = 2, .parent_share = number, .length = 8192};
	hello.parent_share = 99999;
	assert_int_equal(ask(1, &hello), -EBADF);
	munmap(at, 4096);
	for (int i = 0; i < 15 && share_orphans_expire() > 0; i++)
		sleep(1);
	assert_int_equal(layer.shares[LS_SHARE_MAP], 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_comes), T(what_does_not), T(users_do_not_mix), T(end_with_the_last_handle),
		T(the_kernel_has_it_open), T(set_id_bits), T(grants), T(no_grant_of_what_is_mapped_or_handed_on),
		T(a_child_asks),
	};

	if (stat_open(-1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
