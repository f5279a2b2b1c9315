/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes at all doors, a few files, one model: fuzz DIR SEED SECONDS
 *
 * Agents are told by turns what to do, so at any time one of them is at work: whatever was done before, by whichever
 * agent at whichever door, it must see. They compare with a model in memory that all share, and keep it. An agent may be
 * killed in the middle of a change: then each byte in question must be the old or the new one.
 *
 * Most changes come in bursts, so that files become worth sharing. Says the seed, and where it went wrong.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	FILES = 4,
	FILE_MAX = 3 << 20,
	PIECE = 20000,
	PAGE = 4096,
	MODEL_FD = 100,
	PRELOADED = 4, /* agents */
	AGENTS = 6,
	RECENT = 60,
	MAPPED_MAX = 30, /* pages at a time: what is mapped stays in the cache */
};

enum work { READ, WRITE, APPEND, CUT, STORE, LOAD, UNMAP, PUNCH, LOOK, ASYNC, SEQUENCE, SYNC, CLOSE, FORK, COPY, DD, WORKS };
static const char *const work_names[WORKS] = {"read", "write", "append", "cut", "store", "load", "unmap", "punch",
					      "look", "async", "sequence", "sync", "close", "fork", "copy", "dd"};
enum opened { TO_READ, TO_WRITE, TO_APPEND, OPENED };

/* What is being changed, before it is. */
struct change {
	bool under_way;
	unsigned file;
	uint64_t at, length, tag, old_size, new_size;
};

static struct model {
	uint64_t size[FILES];
	struct change change;
	uint32_t order;                   /* under way */
	uint32_t wrong_file;
	uint64_t wrong_at;
	char why[4096]; /* what was wrong */
	uint32_t by[FILES][FILE_MAX / 64]; /* order that changed something there last */
	char byte[FILES][FILE_MAX];
} *model;

static const char *dir;
static char path[FILES][4096];

struct order {
	uint32_t work, file;
	uint64_t seed;
};


/* ---- chance ----------------------------------------------------------------------------------- */

static uint64_t chance;

static uint64_t any(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance;
}

static uint64_t below(uint64_t n)
{
	return n ? any() % n : 0;
}

/* ---- what an agent finds ----------------------------------------------------------------------- */

static struct order now;

static void __attribute__((format(printf, 1, 2))) why(const char *format, ...)
{
	size_t used = strlen(model->why);
	va_list args;

	va_start(args, format);
	vsnprintf(model->why + used, sizeof(model->why) - used, format, args);
	va_end(args);
}

/* As seen by another open file, now and a little later. */
static void look_again(uint64_t at)
{
	char byte[2] = {0};
	struct stat st;

	if (stat(path[now.file], &st) == 0)
		why("size %ld\n", st.st_size);
	for (unsigned i = 0; i < 2; i++, usleep(100000)) {
		int fd = open(path[now.file], O_RDONLY);
		if (pread(fd, &byte[i], 1, (off_t)at) < 0)
			why("look again: %s\n", strerror(errno));
		close(fd);
	}
	why("another look: %u, and later: %u\n", (unsigned char)byte[0], (unsigned char)byte[1]);
}

static void wrong(const char *what, uint64_t at, long got, long wanted)
{
	why("order %u, %s of file %u (size %lu): %s at %lu: %ld, not %ld; changed last by order %u\n", model->order,
	    work_names[now.work], now.file, model->size[now.file], what, at, got, wanted,
	    at < FILE_MAX ? model->by[now.file][at / 64] : 0);
	look_again(at);
	model->wrong_file = now.file;
	model->wrong_at = at;
	abort();
}

static void same(const char *what, unsigned file, uint64_t at, const char *bytes, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (bytes[i] != model->byte[file][at + i])
			wrong(what, at + i, (unsigned char)bytes[i], (unsigned char)model->byte[file][at + i]);
}

static char tagged(uint64_t tag, uint64_t at)
{
	return (char)(tag + at * 7 + at / 256);
}

static void changed(unsigned file, uint64_t at, uint64_t length)
{
	for (uint64_t i = at / 64; length && i <= (at + length - 1) / 64; i++)
		model->by[file][i] = model->order;
}

static void begin(unsigned file, uint64_t at, uint64_t length, uint64_t new_size, uint64_t tag)
{
	model->change = (struct change){false, file, at, length, tag, model->size[file], new_size};
	__atomic_store_n(&model->change.under_way, true, __ATOMIC_SEQ_CST);
}

static void size_is(unsigned file, uint64_t size)
{
	if (size < model->size[file])
		memset(model->byte[file] + size, 0, model->size[file] - size);
	model->size[file] = size;
}

static void done(void)
{
	const struct change *c = &model->change;

	for (uint64_t i = 0; i < c->length; i++)
		model->byte[c->file][c->at + i] = tagged(c->tag, c->at + i);
	changed(c->file, c->at, c->length);
	size_is(c->file, c->new_size);
	__atomic_store_n(&model->change.under_way, false, __ATOMIC_SEQ_CST);
}

/* ---- an agent's files -------------------------------------------------------------------------- */

static int fds[FILES][OPENED];
static struct {
	char *at;
	uint64_t start, length;
	bool writable;
} maps[FILES];

static int fd_of(unsigned file, enum opened how)
{
	static const int flags[OPENED] = {O_RDONLY, O_RDWR, O_WRONLY | O_APPEND};

	if (!fds[file][how]) {
		int fd = open(path[file], flags[how]);
		if (fd < 0)
			wrong("open", 0, -errno, 0);
		fds[file][how] = fd;
	}
	return fds[file][how];
}

static void unmap(unsigned file)
{
	if (maps[file].at)
		munmap(maps[file].at, maps[file].length);
	maps[file].at = NULL;
}

static void fill(char *to, uint64_t tag, uint64_t at, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		to[i] = tagged(tag, at + i);
}

/* ---- what it does ------------------------------------------------------------------------------ */

static char bytes[FILE_MAX];

static uint64_t wanted_at(unsigned file, uint64_t at, uint64_t n)
{
	uint64_t size = model->size[file];

	return at >= size ? 0 : n < size - at ? n : size - at;
}

static void do_read(unsigned file)
{
	int fd = fd_of(file, below(4) ? TO_READ : TO_WRITE);

	for (uint64_t burst = 1 + below(80); burst; burst--) {
		uint64_t at = below(model->size[file] + 5000), n = 1 + below(below(3) ? 200 : PIECE);
		uint64_t wanted = wanted_at(file, at, n);
		ssize_t got = pread(fd, bytes, n, (off_t)at);

		if (got != (ssize_t)wanted)
			wrong("count", at, got < 0 ? -errno : got, (long)wanted);
		same("byte", file, at, bytes, wanted);
	}
}

static void write_at(unsigned file, int fd, uint64_t at, uint64_t n, uint64_t tag)
{
	uint64_t size = model->size[file];
	ssize_t got;

	fill(bytes, tag, at, n);
	begin(file, at, n, at + n > size ? at + n : size, tag);
	got = pwrite(fd, bytes, n, (off_t)at);
	if (got != (ssize_t)n)
		wrong("count written", at, got < 0 ? -errno : got, (long)n);
	done();
}

static void do_write(unsigned file)
{
	int fd = fd_of(file, TO_WRITE);

	for (uint64_t burst = 1 + below(80); burst; burst--) {
		uint64_t n = 1 + below(below(3) ? 200 : PIECE), size = model->size[file];
		uint64_t at = below(8) ? below(size) : below(2) ? size : size + below(20000);

		if (at + n <= FILE_MAX)
			write_at(file, fd, at, n, any());
	}
}

static void do_append(unsigned file)
{
	int fd = fd_of(file, TO_APPEND);

	for (uint64_t burst = 1 + below(200); burst; burst--) {
		uint64_t at = model->size[file], n = 1 + below(below(5) ? 150 : PIECE), tag = any();
		ssize_t got;

		if (at + n > FILE_MAX)
			break;
		fill(bytes, tag, at, n);
		begin(file, at, n, at + n, tag);
		got = write(fd, bytes, n);
		if (got != (ssize_t)n)
			wrong("count appended", at, got < 0 ? -errno : got, (long)n);
		done();
	}
}

static void do_cut(unsigned file)
{
	uint64_t size = below(4) ? below(model->size[file] + 1) : below(FILE_MAX / 2);
	int r;

	unmap(file);
	begin(file, 0, 0, size, 0);
	r = below(2) ? ftruncate(fd_of(file, TO_WRITE), (off_t)size) : truncate(path[file], (off_t)size);
	if (r < 0)
		wrong("truncate", size, -errno, 0);
	done();
}

static bool map(unsigned file, bool writable)
{
	uint64_t start;
	void *at;

	if (maps[file].at && (maps[file].writable || !writable) &&
	    maps[file].start + maps[file].length <= model->size[file])
		return true;
	unmap(file);
	if (model->size[file] < 2 * PAGE)
		return false;
	start = below(model->size[file] / PAGE - 1) * PAGE;
	maps[file].start = start;
	maps[file].length = PAGE * (1 + below(MAPPED_MAX));
	if (maps[file].start + maps[file].length > model->size[file])
		maps[file].length = PAGE;
	maps[file].writable = writable;
	/* Some become writable later. */
	at = mmap(NULL, maps[file].length, PROT_READ | (writable && below(2) ? PROT_WRITE : 0), MAP_SHARED,
		  fd_of(file, TO_WRITE), (off_t)start);
	if (at == MAP_FAILED)
		wrong("mmap", start, -errno, 0);
	if (writable && mprotect(at, maps[file].length, PROT_READ | PROT_WRITE) < 0)
		wrong("mprotect", start, -errno, 0);
	maps[file].at = at;
	return true;
}

static void do_store(unsigned file)
{
	if (!map(file, true))
		return;
	for (uint64_t burst = 1 + below(20); burst; burst--) {
		uint64_t at = below(maps[file].length), n = 1 + below(300), tag = any();

		if (at + n > maps[file].length)
			continue;
		begin(file, maps[file].start + at, n, model->size[file], tag);
		fill(maps[file].at + at, tag, maps[file].start + at, n);
		done();
	}
	if (!below(4) && msync(maps[file].at, maps[file].length, below(2) ? MS_SYNC : MS_ASYNC) < 0)
		wrong("msync", maps[file].start, -errno, 0);
}

static void do_load(unsigned file)
{
	if (map(file, false))
		same("byte mapped", file, maps[file].start, maps[file].at, maps[file].length);
}

static void do_fork(unsigned file)
{
	uint64_t tag = any(), at, n = 100;
	int status;
	pid_t child;

	if (!map(file, true))
		return;
	at = below(maps[file].length - n);
	begin(file, maps[file].start + at, n, model->size[file], tag);
	child = fork();
	if (child == 0) {
		fill(maps[file].at + at, tag, maps[file].start + at, n);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		wrong("child", at, status, 0);
	done();
	do_load(file);
}

static void do_punch(unsigned file)
{
	uint64_t at = below(model->size[file]), n = 1 + below(PIECE * 3), end;

	if (at + n > model->size[file])
		return;
	end = at + n;
	if (fallocate(fd_of(file, TO_WRITE), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) < 0) {
		if (errno == EOPNOTSUPP)
			return;
		wrong("punch", at, -errno, 0);
	}
	memset(model->byte[file] + at, 0, end - at);
	changed(file, at, end - at);
}

static void do_look(unsigned file)
{
	int fd = fd_of(file, TO_READ);
	struct stat st;

	if (stat(path[file], &st) < 0 || (uint64_t)st.st_size != model->size[file])
		wrong("stat", 0, st.st_size, (long)model->size[file]);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != model->size[file])
		wrong("fstat", 0, st.st_size, (long)model->size[file]);
	if (lseek(fd, 0, SEEK_END) != (off_t)model->size[file])
		wrong("end", 0, lseek(fd, 0, SEEK_END), (long)model->size[file]);
}

static void do_async(unsigned file)
{
	enum { REQUESTS = 4, EACH = 3000 };
	static char buf[REQUESTS][EACH];
	struct aiocb cb[REQUESTS] = {0};
	uint64_t start = below(model->size[file]), tag = any();
	bool writes = below(2);

	if (start + REQUESTS * EACH > model->size[file])
		return;
	if (writes)
		begin(file, start, REQUESTS * EACH, model->size[file], tag);
	for (unsigned i = 0; i < REQUESTS; i++) {
		cb[i] = (struct aiocb){.aio_fildes = fd_of(file, TO_WRITE), .aio_buf = buf[i], .aio_nbytes = EACH,
				       .aio_offset = (off_t)(start + i * EACH)};
		fill(buf[i], tag, start + i * EACH, EACH);
		if ((writes ? aio_write(&cb[i]) : aio_read(&cb[i])) < 0)
			wrong("aio", start, -errno, 0);
	}
	for (unsigned i = 0; i < REQUESTS; i++) {
		const struct aiocb *wait[] = {&cb[i]};
		ssize_t got;

		while (aio_error(&cb[i]) == EINPROGRESS)
			aio_suspend(wait, 1, NULL);
		got = aio_return(&cb[i]);
		if (got != EACH)
			wrong("aio count", start + i * EACH, got, EACH);
		if (!writes)
			same("byte by aio", file, start + i * EACH, buf[i], EACH);
	}
	if (writes)
		done();
}

static void do_sequence(unsigned file)
{
	int fd = fd_of(file, TO_READ);
	uint64_t at = below(model->size[file]), step = 1 + below(PIECE);

	if (lseek(fd, (off_t)at, SEEK_SET) != (off_t)at)
		wrong("seek", at, -errno, 0);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t wanted = wanted_at(file, at, step);
		ssize_t got = read(fd, bytes, step);

		if (got != (ssize_t)wanted)
			wrong("count in a row", at, got < 0 ? -errno : got, (long)wanted);
		same("byte in a row", file, at, bytes, wanted);
		at += wanted;
		if (!wanted)
			break;
	}
}

static void do_close(unsigned file)
{
	for (unsigned how = 0; how < OPENED; how++)
		if (fds[file][how]) {
			close(fds[file][how]);
			fds[file][how] = 0;
		}
}

static void do_copy(unsigned file)
{
	unsigned to = (file + 1) % FILES;
	uint64_t from = below(model->size[file]), n = 1 + below(PIECE * 2), at = below(model->size[to]);
	off64_t in = (off64_t)from, out = (off64_t)at;
	ssize_t got;

	if (from + n > model->size[file] || at + n > FILE_MAX)
		return;
	got = copy_file_range(fd_of(file, TO_READ), &in, fd_of(to, TO_WRITE), &out, n, 0);
	if (got < 0)
		wrong("copy", from, -errno, (long)n);
	memcpy(model->byte[to] + at, model->byte[file] + from, (size_t)got);
	changed(to, at, (uint64_t)got);
	if (at + (uint64_t)got > model->size[to])
		model->size[to] = at + (uint64_t)got;
}

/* A static program: by FUSE, whatever we are. */
static void do_dd(unsigned file)
{
	uint64_t at = below(model->size[file] + 100), n = 1 + below(500);
	char command[8192];

	if (at + n > FILE_MAX)
		return;
	snprintf(command, sizeof(command),
		 "busybox dd if=/dev/zero of='%s' bs=1 seek=%lu count=%lu conv=notrunc 2>/dev/null", path[file], at, n);
	if (system(command) != 0)
		wrong("dd", at, -1, 0);
	memset(model->byte[file] + at, 0, n);
	changed(file, at, n);
	if (at + n > model->size[file])
		model->size[file] = at + n;
}

static void obey(const struct order *o)
{
	static void (*const does[WORKS])(unsigned) = {
		[READ] = do_read,   [WRITE] = do_write,	  [APPEND] = do_append,	    [CUT] = do_cut,   [STORE] = do_store,
		[LOAD] = do_load,   [UNMAP] = unmap,	  [PUNCH] = do_punch,	    [LOOK] = do_look, [ASYNC] = do_async,
		[CLOSE] = do_close, [SEQUENCE] = do_sequence, [FORK] = do_fork, [COPY] = do_copy, [DD] = do_dd};

	now = *o;
	chance = o->seed;
	if (o->work == SYNC) {
		if (fsync(fd_of(o->file, TO_WRITE)) < 0)
			wrong("fsync", 0, -errno, 0);
	} else {
		does[o->work](o->file);
	}
}

/* ---- agents ------------------------------------------------------------------------------------ */

static void model_map(void)
{
	model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED, MODEL_FD, 0);
	if (model == MAP_FAILED)
		exit(2);
	for (unsigned i = 0; i < FILES; i++)
		snprintf(path[i], sizeof(path[i]), "%s/file%u", dir, i);
}

static int agent_main(void)
{
	struct order o;

	model_map();
	while (read(0, &o, sizeof(o)) == sizeof(o)) {
		obey(&o);
		if (write(1, "", 1) != 1)
			break;
	}
	return 0;
}

static struct agent {
	pid_t pid;
	int to, from;
} agents[AGENTS];

static void agent_start(unsigned n)
{
	struct agent *a = &agents[n];
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(2);
	a->pid = fork();
	if (a->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		if (n >= PRELOADED)
			setenv("POLYTROPON_MODE", "off", 1);
		execl("/proc/self/exe", "fuzz", "--agent", dir, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	a->to = to[1];
	a->from = from[0];
}

static void agent_end(unsigned n)
{
	close(agents[n].to);
	close(agents[n].from);
	waitpid(agents[n].pid, NULL, 0);
}

/* ---- the one who tells them --------------------------------------------------------------------- */

static struct {
	unsigned agent;
	bool killed;
	struct order order;
} recent[RECENT];
static unsigned orders;

static int failed(uint64_t seed)
{
	unsigned n = recent[(orders - 1) % RECENT].agent;
	unsigned char byte = 0;
	int status = 0, fd;

	fprintf(stderr, "seed %lu, the orders before:\n", seed);
	for (unsigned i = orders < RECENT ? 0 : orders - RECENT; i < orders; i++)
		fprintf(stderr, "  %u: agent %u %s %s file %u%s\n", i, recent[i % RECENT].agent,
			recent[i % RECENT].agent < PRELOADED ? "(preload)" : "(FUSE)",
			work_names[recent[i % RECENT].order.work], recent[i % RECENT].order.file,
			recent[i % RECENT].killed ? ", killed" : "");
	waitpid(agents[n].pid, &status, 0);
	fd = open(path[model->wrong_file], O_RDONLY);
	if (fd < 0 || pread(fd, &byte, 1, (off_t)model->wrong_at) < 0)
		why("look: %s\n", strerror(errno));
	fprintf(stderr, "%sat the other door: %u, size %ld\n", model->why, byte, fd < 0 ? 0 : lseek(fd, 0, SEEK_END));
	fprintf(stderr, "seed %lu: agent %u ended (%#x) over order %u\n", seed, n, status, orders - 1);
	return 1;
}

/* A change that was cut short: what is there now must be old or new. Becomes what the model says. */
static int resolve(void)
{
	struct change *c = &model->change;
	struct stat st;
	int fd;

	if (!c->under_way)
		return 0;
	/* What it had asked for may be done a moment after its end. */
	usleep(200000);
	fd = open(path[c->file], O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if ((uint64_t)st.st_size != c->old_size && (uint64_t)st.st_size != c->new_size &&
	    ((uint64_t)st.st_size < c->old_size || (uint64_t)st.st_size > c->new_size)) {
		why("killed: size %ld, neither %lu nor %lu\n", st.st_size, c->old_size, c->new_size);
		return -1;
	}
	size_is(c->file, (uint64_t)st.st_size);
	for (uint64_t i = c->at; i < c->at + c->length && i < (uint64_t)st.st_size; i++) {
		char byte;

		if (pread(fd, &byte, 1, (off_t)i) != 1)
			return -1;
		if (byte != model->byte[c->file][i] && byte != tagged(c->tag, i)) {
			why("killed: byte %lu is %d, neither %d nor %d\n", i, byte, model->byte[c->file][i],
				tagged(c->tag, i));
			return -1;
		}
		model->byte[c->file][i] = byte;
	}
	close(fd);
	c->under_way = false;
	return 0;
}

static bool order_suits(unsigned agent, unsigned work)
{
	/* What is mapped by FUSE and what is mapped by us are two mappings. */
	return agent < PRELOADED || (work != STORE && work != LOAD && work != FORK);
}

/* Works that are left out, to find out which one it is: FUZZ_WITHOUT="store fork". */
static const char *without;

static enum work work_any(void)
{
	static const unsigned char likely[WORKS] = {[READ] = 30, [WRITE] = 25, [APPEND] = 15, [CUT] = 6, [STORE] = 5,
						    [LOAD] = 5, [UNMAP] = 5, [PUNCH] = 3, [LOOK] = 8, [ASYNC] = 5,
						    [SEQUENCE] = 10, [SYNC] = 3, [CLOSE] = 12, [FORK] = 1, [COPY] = 3,
						    [DD] = 1};
	unsigned all = 0, work, n;

	for (work = 0; work < WORKS; work++)
		all += likely[work];
	do {
		n = (unsigned)below(all);
		for (work = 0; n >= likely[work]; work++)
			n -= likely[work];
	} while (without && strstr(without, work_names[work]));
	return work;
}

/* 1: the agent was killed meanwhile; -1: it failed. */
static int order(unsigned n, enum work work, unsigned file, bool kills)
{
	struct order o = {order_suits(n, work) ? work : READ, file, any() | 1};
	char byte;

	model->order = orders;
	recent[orders % RECENT].agent = n;
	recent[orders % RECENT].killed = false;
	recent[orders++ % RECENT].order = o;
	if (o.work == PUNCH || o.work == COPY || o.work == DD || o.work == FORK || o.work == ASYNC)
		kills = false; /* who knows what they had done */
	if (write(agents[n].to, &o, sizeof(o)) != sizeof(o))
		return -1;
	if (kills) {
		usleep((useconds_t)below(1500));
		kill(agents[n].pid, SIGKILL);
		recent[(orders - 1) % RECENT].killed = true;
		return 1;
	}
	return read(agents[n].from, &byte, 1) == 1 ? 0 : -1;
}

/* All but one let go of a file. */
static int leave(unsigned stays, unsigned file)
{
	for (unsigned n = 0; n < AGENTS; n++)
		if (n != stays && (order(n, UNMAP, file, false) < 0 || order(n, CLOSE, file, false) < 0))
			return -1;
	return 0;
}

static int fuzz(uint64_t seed, unsigned seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned kills = 0;

	chance = seed * 2654435761u + 1;
	for (unsigned n = 0; n < AGENTS; n++)
		agent_start(n);
	while (time(NULL) < end) {
		/* One has the word for a while, so that it gets shares. */
		unsigned n = (unsigned)below(AGENTS), alone = (unsigned)below(FILES * 5);

		if (alone < FILES && leave(n, alone) < 0)
			return failed(seed);
		for (uint64_t turns = 1 + below(6); turns; turns--) {
			int r = order(n, work_any(), alone < FILES ? alone : (unsigned)below(FILES), !below(200));

			if (r < 0)
				return failed(seed);
			if (r == 0)
				continue;
			agent_end(n);
			if (resolve() < 0)
				return failed(seed);
			agent_start(n);
			kills++;
		}
	}
	for (unsigned n = 0; n < AGENTS; n++)
		agent_end(n);
	printf("seed %lu: %u orders, %u kills\n", seed, orders, kills);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t seed;
	int fd;

	if (argc == 3 && !strcmp(argv[1], "--agent")) {
		dir = argv[2];
		return agent_main();
	}
	if (argc != 4) {
		fprintf(stderr, "usage: fuzz DIR SEED SECONDS\n");
		return 2;
	}
	dir = argv[1];
	seed = strtoull(argv[2], NULL, 0);
	without = getenv("FUZZ_WITHOUT");
	signal(SIGPIPE, SIG_IGN);
	fd = memfd_create("model", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*model)) < 0 || dup2(fd, MODEL_FD) < 0)
		return 2;
	close(fd);
	model_map();
	for (unsigned i = 0; i < FILES; i++) {
		fd = open(path[i], O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0)
			return 2;
		close(fd);
	}
	fprintf(stderr, "fuzz: seed %lu\n", seed);
	return fuzz(seed, (unsigned)atoi(argv[3]));
}
