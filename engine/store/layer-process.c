/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/store/layer.h"
#include "engine/store/sandbox.h"

_Static_assert(sizeof(struct layer_result) <= 4096, "a report goes through a pipe in one piece");

static void child_report(void *arg, const struct layer_result *result)
{
	struct layer_result message = *result;

	message.status = 1;
	if (write(*(int *)arg, &message, sizeof(message)) < 0)
		_exit(1); /* nobody is left to do it for */
}

static void child_run(int archive, int tree, int report, const struct layer_limits *limits)
{
	struct layer_result result = {};
	struct error error = {};
	int r;

	umask(0);
	r = sandbox_root(tree);
	close(tree);
	if (r == 0)
		r = sandbox_close(false);
	if (r < 0)
		error_errno(&error, r, "shut the reader of the archive in");
	else
		r = layer_extract_here(archive, limits, child_report, &report, &result, &error);
	result.status = r;
	snprintf(result.error, sizeof(result.error), "%.*s", (int)sizeof(result.error) - 1, error.text);
	_exit(write(report, &result, sizeof(result)) != sizeof(result));
}

static void result_tame(struct layer_result *r)
{
	r->packed[DIGEST_HEX - 1] = r->plain[DIGEST_HEX - 1] = r->error[sizeof(r->error) - 1] = '\0';
	text_tame(r->error);
	if (r->status == 0 && (!digest_is_hex(r->packed) || !digest_is_hex(r->plain)))
		r->status = -EPROTO;
}

/* The last report; without one, the child is at fault. */
static int child_listen(int report, layer_watch *watch, void *arg, struct layer_result *ret, struct error *error)
{
	struct layer_result message;

	for (;;) {
		ssize_t n = read(report, &message, sizeof(message));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(message))
			return error_set(error, -EPROTO, "the reader of the archive died");
		result_tame(&message);
		if (message.status != 1)
			break;
		if (watch)
			watch(arg, &message);
	}
	if (message.status != 0)
		return error_set(error, message.status < 0 ? message.status : -EPROTO, "%s", message.error);
	*ret = message;
	return 0;
}

int layer_extract(int archive, int tree, const struct layer_limits *limits, layer_watch *watch, void *arg,
		  struct layer_result *ret, struct error *error)
{
	int report[2], r;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return error_errno(error, errno, "make a pipe");
	pid = fork();
	if (pid == 0) {
		close(report[0]);
		child_run(archive, tree, report[1], limits);
	}
	close(report[1]);
	r = pid < 0 ? error_errno(error, errno, "start the reader of the archive") :
		      child_listen(report[0], watch, arg, ret, error);
	close(report[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return r;
}

/* ---- a directory as an archive ------------------------------------------------------------------- */

struct pack {
	struct archive *disk, *tar;
	struct archive_entry_linkresolver *links;
};

static int pack_data(struct pack *p)
{
	const void *data;
	size_t size;
	la_int64_t offset, at = 0;
	static const char zero[64 * 1024];

	while (archive_read_data_block(p->disk, &data, &size, &offset) == ARCHIVE_OK) {
		for (; at < offset; at += offset - at < (la_int64_t)sizeof(zero) ? offset - at : sizeof(zero))
			if (archive_write_data(p->tar, zero,
					       offset - at < (la_int64_t)sizeof(zero) ? offset - at : sizeof(zero)) < 0)
				return -1;
		if (archive_write_data(p->tar, data, size) < 0)
			return -1;
		at += size;
	}
	return 0;
}

/* What changes without the tree's changing would make each import another layer. */
static int pack_entry(struct pack *p, struct archive_entry *entry)
{
	struct archive_entry *spare = NULL;

	archive_entry_unset_atime(entry);
	archive_entry_unset_ctime(entry);
	archive_entry_unset_birthtime(entry);
	archive_entry_set_uname(entry, NULL);
	archive_entry_set_gname(entry, NULL);
	archive_entry_sparse_clear(entry);
	archive_entry_linkify(p->links, &entry, &spare);
	if (!entry)
		return 0;
	if (archive_write_header(p->tar, entry) < ARCHIVE_WARN)
		return -1;
	return archive_entry_size(entry) > 0 ? pack_data(p) : 0;
}

static int pack_run(struct pack *p)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	while ((r = archive_read_next_header2(p->disk, entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		if (archive_entry_filetype(entry) != AE_IFSOCK && pack_entry(p, entry) < 0)
			return -1;
		archive_read_disk_descend(p->disk);
		archive_entry_clear(entry);
	}
	archive_entry_free(entry);
	return r == ARCHIVE_EOF && archive_write_close(p->tar) == ARCHIVE_OK ? 0 : -1;
}

static void pack_child(int dir, int out)
{
	struct pack p = {archive_read_disk_new(), archive_write_new(), archive_entry_linkresolver_new()};

	signal(SIGPIPE, SIG_DFL);
	if (!p.disk || !p.tar || !p.links || fchdir(dir) < 0)
		_exit(1);
	archive_read_disk_set_symlink_physical(p.disk);
	archive_read_disk_set_behavior(p.disk, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS | ARCHIVE_READDISK_NO_FFLAGS |
						       ARCHIVE_READDISK_NO_ACL);
	archive_write_set_format_pax_restricted(p.tar);
	archive_entry_linkresolver_set_strategy(p.links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
	if (archive_write_open_fd(p.tar, out) != ARCHIVE_OK || archive_read_disk_open(p.disk, ".") != ARCHIVE_OK)
		_exit(1);
	/* Cut short, the archive is no archive: who reads it notices. */
	_exit(pack_run(&p) < 0);
}

int layer_pack(int dir, int *ret_archive, struct error *error)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(error, errno, "make a pipe");
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		pack_child(dir, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return error_errno(error, errno, "start the reader of the directory");
	}
	*ret_archive = ends[0];
	return pid;
}
