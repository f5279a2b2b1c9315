/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE passthrough: the kernel reads, writes and maps a file's cached bytes by itself, in the very memory that preloaded
 * programs share.
 *
 * The kernel does not mix: of an inode's FUSE files all pass through, to one backing file, or none does. So it is the
 * first one that decides, when no other FUSE file is open, and its decision holds until the last is closed. A file that
 * passes may yet send its reads and writes to us (direct), while its mappings pass.
 *
 * What passes:
 *  - reads, if the file can be in the cache as a whole: the layer says so.
 *  - writes by files that were opened to change what is there. Not by those that were opened with O_TRUNC or O_APPEND:
 *    they will make the file longer, and room for that can be reserved below only if we are asked; and what the kernel
 *    has cannot be evicted, so a file could outgrow the memory. A file that grows though it was opened otherwise is
 *    not passed again. Nor with O_SYNC and O_DIRECT, which mean something that the kernel does not know of this memory;
 *    nor into files with set-id bits, which writing takes away - and such bits are not set while there are writers.
 *  - small files, and large ones that are open to write: no. There is more to be done for it than they are worth.
 *  - mappings of any file that programs have mapped by the other door, for all of them are to be of one memory. Reads
 *    and writes come to us then, unless they would pass for another reason. If it cannot be (the cache is too small for
 *    the whole file) what is mapped by FUSE is other memory, and stays behind until it is synced.
 *
 * What the kernel has mapped of the file stays mapped when the FUSE file is closed: the mapping holds the backing file,
 * and not the FUSE file. So the share goes on after the last file is closed, and passes files that come then, until the
 * layer sees that nobody else has the data open (share-linger.c). A writer that may have mapped it counts until then.
 *
 * The layer finds what was written by comparing pages, which takes time for each file that was open to write, and each
 * sync of it: a file that is synced while it passes is not passed again either. One that was open for a moment only is
 * not for a while: a message is cheaper than to begin and to end.
 *
 * `fuse.passthrough` is off, auto, or always: even if it is not worth the while.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "service/cred.h"
#include "service/lease.h"
#include "service/ofd.h"
#include "service/share-internal.h"
#include "service/vfs-notify.h"

enum {
	PASS_WRITE_MIN = 64 * 1024,
	PASS_WRITE_MAX = 64 * 1024 * 1024, /* to be compared in some 20 ms */
	PASS_READ_MIN = 1024 * 1024, /* smaller ones the kernel has quicker in pages of its own */
	PASS_WORTH_NS = 200000000, /* open for so long */
};

#define PASS_PAUSE_NS 10000000000

enum { SHARE_PASS_OFF, SHARE_PASS_AUTO, SHARE_PASS_ALWAYS };

static const struct ls_cred self_cred;
static const struct ls_call self_call = {.tenant = "", .cred = &self_cred};

static unsigned pass_mode = SHARE_PASS_AUTO; /* atomic */

static unsigned mode_now(void)
{
	return __atomic_load_n(&pass_mode, __ATOMIC_RELAXED);
}

static bool is_writer(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* May the file's reads and writes pass by us? */
static bool flags_pass(int flags)
{
	return !(flags & O_DIRECT) && (!is_writer(flags) || !(flags & (O_TRUNC | O_APPEND | O_SYNC | O_DSYNC)));
}

static bool is_worth(struct inode *inode, uint64_t size, int flags)
{
	if (mode_now() == SHARE_PASS_ALWAYS)
		return size > 0;
	if (is_writer(flags) ? size < PASS_WRITE_MIN || size > PASS_WRITE_MAX : size < PASS_READ_MIN)
		return false;
	return ls_now() >= __atomic_load_n(&inode->pass_after, __ATOMIC_RELAXED);
}

/* Not before that time again. */
static void pause_until(struct inode *inode, int64_t when)
{
	if (__atomic_load_n(&inode->pass_after, __ATOMIC_RELAXED) < when)
		__atomic_store_n(&inode->pass_after, when, __ATOMIC_RELAXED);
}

static int attributes(struct inode *inode, struct ls_attr *ret)
{
	return ls_getattr(inode->fs->stack, &self_call, inode->ls, NULL, ret);
}

static int layer_end(struct inode *inode, enum ls_share_how how, bool force)
{
	return ls_unshare(inode->fs->stack, &self_call, inode->ls, how, force ? LS_SHARE_FORCE : 0, 0);
}

/* ---- with the lock held ------------------------------------------------------------------------ */

/* Nobody copies from what the kernel may change, and make longer, without telling. */
static int writer_begin(struct caller *c, struct inode *inode, struct shares *sh)
{
	struct ls_share ignored;
	int r = 0;

	__atomic_add_fetch(&inode->kernel_rdwr, 1, __ATOMIC_SEQ_CST);
	shares_drop(sh, SHARES_COPY, NULL);
	if (!sh->kernel.writers)
		r = ls_share(inode->fs->stack, &c->call, inode->ls, LS_SHARE_KERNEL_WRITE, 0, 0, &ignored);
	if (r < 0) {
		__atomic_sub_fetch(&inode->kernel_rdwr, 1, __ATOMIC_SEQ_CST);
		return r;
	}
	if (__atomic_fetch_add(&sh->kernel.writers, 1, __ATOMIC_SEQ_CST))
		return 0;
	/* A mapping changes times, and the kernel does not know. */
	if (inode->fs->hooks && __atomic_load_n(&inode->kernel_attr, __ATOMIC_SEQ_CST))
		inode->fs->hooks->attr(inode->fs->door, inode);
	return 0;
}

/* -EBUSY: the last one has mapped it. */
static int writer_end(struct inode *inode, struct shares *sh, bool force)
{
	struct ls_attr attr;
	int r = 0;

	if (sh->kernel.writers == 1) {
		if (attributes(inode, &attr) == 0 && attr.size > sh->kernel.size)
			pause_until(inode, INT64_MAX);
		r = layer_end(inode, LS_SHARE_KERNEL_WRITE, force);
		if (r == -EBUSY)
			return r;
		inode_mark_dirty(inode);
	}
	__atomic_sub_fetch(&inode->kernel_rdwr, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&sh->kernel.writers, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void writer_closed(struct inode *inode, struct shares *sh, bool maps)
{
	if (!maps || sh->kernel.linger) {
		writer_end(inode, sh, true);
		return;
	}
	sh->kernel.linger = true;
	lease_hold(inode);
}

static int linger_end(struct inode *inode, struct shares *sh, bool force)
{
	int r = sh->kernel.linger ? writer_end(inode, sh, force) : 0;

	if (r == 0 && sh->kernel.linger) {
		sh->kernel.linger = false;
		lease_release(inode);
	}
	return r;
}

/* The first FUSE file of the inode; those that come meanwhile wait for the lock. Partner: plain_begin. */
static int pass_begin(struct caller *c, struct inode *inode, struct shares *sh, bool fits)
{
	const struct instance *fs = inode->fs;
	struct ls_attr attr = {.size = 0};
	struct ls_share got;
	int r;

	__atomic_store_n(&inode->kernel_passes, 1, __ATOMIC_SEQ_CST);
	if (sh->tainted || !fs->hooks || __atomic_load_n(&inode->kernel_plain, __ATOMIC_SEQ_CST))
		return -EBUSY;
	grant_end(inode, sh);
	attributes(inode, &attr);
	r = ls_share(fs->stack, &c->call, inode->ls, LS_SHARE_KERNEL, 0, 0, &got);
	if (r < 0)
		return r;
	sh->kernel.id = fs->hooks->backing(fs->door, got.data);
	if (sh->kernel.id < 0) {
		layer_end(inode, LS_SHARE_KERNEL, true);
		return sh->kernel.id;
	}
	sh->kernel.data = got.data;
	sh->kernel.size = attr.size;
	sh->kernel.fits = fits;
	sh->kernel.since = ls_now();
	sh->kernel.passes = true;
	return 0;
}

void kernel_settle(struct inode *inode, struct shares *sh, bool force)
{
	const struct door_hooks *hooks = inode->fs->hooks;

	if (!sh->kernel.passes || sh->kernel.files)
		return;
	/* What the kernel knows it by holds it open, too. */
	if (hooks && sh->kernel.id >= 0)
		hooks->backing_end(inode->fs->door, sh->kernel.id);
	sh->kernel.id = -1;
	if (linger_end(inode, sh, force) == 0 && layer_end(inode, LS_SHARE_KERNEL, force) != -EBUSY) {
		sh->kernel.passes = false;
		__atomic_store_n(&inode->kernel_passes, 0, __ATOMIC_SEQ_CST);
		return;
	}
	if (hooks)
		sh->kernel.id = hooks->backing(inode->fs->door, sh->kernel.data);
	linger_watch(inode, sh);
}

static void files_end(struct inode *inode, struct shares *sh)
{
	int64_t now = ls_now();

	if (now - sh->kernel.since < PASS_WORTH_NS)
		pause_until(inode, now + PASS_PAUSE_NS);
	kernel_settle(inode, sh, false);
}

/* Its writes pass by us, unless there are set-id bits: who sets some looks here afterwards. */
static bool through_begin(struct inode *inode, struct shares *sh)
{
	struct ls_attr attr;

	__atomic_add_fetch(&sh->kernel.direct, 1, __ATOMIC_SEQ_CST);
	if (attributes(inode, &attr) == 0 && !(attr.mode & (S_ISUID | S_ISGID)))
		return true;
	__atomic_sub_fetch(&sh->kernel.direct, 1, __ATOMIC_SEQ_CST);
	return false;
}

/* A later file that cannot be had to write this way: without mappings it can write by messages. */
static int writes_begin(struct caller *c, struct inode *inode, struct shares *sh, int flags, struct share_pass *pass)
{
	bool maps = (flags & O_ACCMODE) == O_RDWR;
	int r = 0;

	pass->through = !pass->direct && through_begin(inode, sh);
	pass->writes = pass->through || maps;
	pass->maps = maps;
	if (pass->writes)
		r = writer_begin(c, inode, sh);
	if (r < 0 && pass->through)
		__atomic_sub_fetch(&sh->kernel.direct, 1, __ATOMIC_SEQ_CST);
	if (r < 0)
		pass->through = pass->writes = false;
	pass->direct = !pass->through;
	return maps ? r : 0;
}

static int file_begin(struct caller *c, struct inode *inode, struct shares *sh, int flags, struct share_pass *ret)
{
	struct share_pass pass = {.passes = true, .direct = !sh->kernel.fits || !flags_pass(flags), .id = sh->kernel.id};
	int r = is_writer(flags) ? writes_begin(c, inode, sh, flags, &pass) : 0;

	if (r < 0)
		return r;
	sh->kernel.files++;
	*ret = pass;
	return 0;
}

static int first_begin(struct caller *c, struct inode *inode, struct shares *sh, int flags, bool fits,
		       struct share_pass *ret)
{
	int r = pass_begin(c, inode, sh, fits);

	if (r < 0) {
		__atomic_store_n(&inode->kernel_passes, 0, __ATOMIC_SEQ_CST);
		return r;
	}
	r = file_begin(c, inode, sh, flags, ret);
	if (r < 0)
		kernel_settle(inode, sh, true);
	return r;
}

/* ---- without the lock -------------------------------------------------------------------------- */

bool share_kernel_may_pass(const struct instance *fs)
{
	return !fs->hooks ||
	       (mode_now() != SHARE_PASS_OFF && (!fs->shared || fs->delegates) && fs->hooks->passes(fs->door));
}

/* May this file be the one to begin with, for its own sake? */
static bool is_fit(struct inode *inode, int flags)
{
	struct ls_attr attr;

	return flags_pass(flags) && inode->fs->hooks && share_kernel_may_pass(inode->fs) &&
	       attributes(inode, &attr) == 0 && is_worth(inode, attr.size, flags) &&
	       !(is_writer(flags) && (attr.mode & (S_ISUID | S_ISGID)));
}

/*
 * Nothing passes and nothing is mapped by programs, and so it is as long as this file is open: either who begins with
 * that sees in kernel_plain that we are here, or we see that he does. Partners: pass_begin, map_begin in share.c.
 */
static bool plain_begin(struct inode *inode)
{
	const struct shares *sh;
	bool mapped;

	__atomic_add_fetch(&inode->kernel_plain, 1, __ATOMIC_SEQ_CST);
	sh = __atomic_load_n(&inode->shares, __ATOMIC_SEQ_CST);
	mapped = sh && __atomic_load_n(&sh->maps, __ATOMIC_SEQ_CST);
	if (!mapped && !__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		return true;
	__atomic_sub_fetch(&inode->kernel_plain, 1, __ATOMIC_SEQ_CST);
	return false;
}

/* With the lock held. If it cannot pass though programs have the file mapped, what it maps is memory of its own. */
static int file_decide(struct caller *c, struct inode *inode, struct shares *sh, int flags, bool fits,
		       struct share_pass *ret)
{
	int r = 0;

	if (sh->kernel.passes && sh->kernel.id >= 0)
		r = file_begin(c, inode, sh, flags, ret);
	else if ((fits || sh->maps) && !sh->kernel.passes)
		first_begin(c, inode, sh, flags, fits, ret);
	if (r < 0 || ret->passes)
		return r;
	*ret = (struct share_pass){.plain = true, .direct = sh->maps > 0};
	__atomic_add_fetch(&inode->kernel_plain, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int share_kernel_pass(struct caller *c, struct ofd *ofd, int flags, struct share_pass *ret)
{
	struct inode *inode = ofd->inode;
	struct shares *sh;
	bool fits;
	int r;

	*ret = (struct share_pass){.passes = false};
	if (inode->type != S_IFREG || !ofd->file)
		return 0;
	fits = is_fit(inode, flags);
	if (!fits && plain_begin(inode)) {
		ret->plain = true;
		return 0;
	}
	sh = shares_make(inode);
	if (!sh)
		return -ENOMEM;
	pthread_mutex_lock(&sh->lock);
	r = file_decide(c, inode, sh, flags, fits, ret);
	pthread_mutex_unlock(&sh->lock);
	return r;
}

void share_kernel_closed(struct inode *inode, const struct share_pass *pass)
{
	struct shares *sh = __atomic_load_n(&inode->shares, __ATOMIC_ACQUIRE);

	if (pass->plain)
		__atomic_sub_fetch(&inode->kernel_plain, 1, __ATOMIC_SEQ_CST);
	if (!pass->passes)
		return;
	pthread_mutex_lock(&sh->lock);
	if (pass->through)
		__atomic_sub_fetch(&sh->kernel.direct, 1, __ATOMIC_SEQ_CST);
	if (pass->writes)
		writer_closed(inode, sh, pass->maps);
	if (--sh->kernel.files == 0)
		files_end(inode, sh);
	pthread_mutex_unlock(&sh->lock);
}

bool share_kernel_through(struct inode *inode)
{
	struct shares *sh = __atomic_load_n(&inode->shares, __ATOMIC_SEQ_CST);

	return sh && __atomic_load_n(&sh->kernel.direct, __ATOMIC_SEQ_CST);
}

void share_kernel_synced(struct inode *inode)
{
	if (__atomic_load_n(&inode->kernel_passes, __ATOMIC_SEQ_CST))
		pause_until(inode, INT64_MAX);
}

int share_pass_set(const char *word)
{
	static const char *const words[] = {[SHARE_PASS_OFF] = "off", [SHARE_PASS_AUTO] = "auto",
					    [SHARE_PASS_ALWAYS] = "always"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i])) {
			__atomic_store_n(&pass_mode, i, __ATOMIC_RELAXED);
			return 0;
		}
	return -EINVAL;
}
