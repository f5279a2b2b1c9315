/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures as JSON objects, as of the state that a mount would find: the shadow and the journal included.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/dump.h"
#include "libservices/volume/fsck-internal.h"

struct dump {
	struct fsck f;
	struct fsck_options options;
	struct fsck_report report;
	struct fsck_counts counts;
	struct json_object *out;
	const char *which;
	uint64_t ino;
};

struct dump_kind {
	const char *what;
	bool about_inode;
	int (*run)(struct dump *d);
};

static void put_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void put_text(struct json_object *o, const char *key, const char *text, size_t length)
{
	json_object_object_add(o, key, json_object_new_string_len(text, length));
}

static void put_uuid(struct json_object *o, const uint8_t uuid[16])
{
	char text[37];
	int n = 0;

	for (int i = 0; i < 16; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	put_text(o, "uuid", text, n);
}

static void put_time(struct json_object *o, const char *key, int64_t seconds, uint32_t ns)
{
	char text[40];

	put_text(o, key, text, snprintf(text, sizeof(text), "%" PRId64 ".%09u", seconds, ns));
}

static const char *type_name(uint32_t mode)
{
	static const char *const names[16] = {
	    [1] = "fifo", [2] = "character device", [4] = "directory", [6] = "block device",
	    [8] = "file", [10] = "symbolic link",   [12] = "socket"};
	const char *name = names[mode >> 12 & 15];

	return name ? name : "unknown";
}

/* ---- the volume ------------------------------------------------------------------------------------ */

static int dump_super(struct dump *d)
{
	const struct vf_super *s = &d->f.super;
	struct json_object *o = d->out;

	put_number(o, "version", s->version);
	put_uuid(o, s->uuid);
	put_text(o, "label", s->label, strnlen(s->label, sizeof(s->label)));
	put_time(o, "created", s->created / 1000000000, s->created % 1000000000);
	put_number(o, "blocks", s->blocks);
	put_number(o, "free_blocks", s->free_blocks);
	put_number(o, "inodes", s->inode_count);
	put_number(o, "next_inode", s->next_ino);
	put_number(o, "generation", s->generation);
	json_object_object_add(o, "clean", json_object_new_boolean(s->clean));
	json_object_object_add(o, "from_shadow", json_object_new_boolean(d->report.recovering));
	put_number(o, "journal_start", s->journal_start);
	put_number(o, "journal_blocks", s->journal_blocks);
	put_number(o, "journal_tail", s->journal_tail);
	put_number(o, "journal_seq", s->journal_seq);
	put_number(o, "journal_frames", d->counts.frames);
	put_number(o, "journal_records", d->counts.records);
	put_number(o, "shadow_start", s->shadow_start);
	put_number(o, "shadow_blocks", s->shadow_blocks);
	put_number(o, "groups_start", s->groups_start);
	put_number(o, "groups", d->f.group_count);
	put_number(o, "root_block", s->root);
	put_number(o, "root_level", s->root_level);
	return 0;
}

static const char *const item_names[] = {"?",     "orphan", "inode",  "inline",
					 "xattr", "piece",  "dirent", "extent"};

static struct json_object *record_json(const struct vf_record *r)
{
	static const char *const names[] = {"?", "put", "del", "alloc", "free", "data", "zero", "forget"};
	struct json_object *o = json_object_new_object();
	unsigned item = (r->a & 255) <= VF_EXTENT ? r->a & 255 : 0;

	json_object_object_add(o, "record",
			       json_object_new_string(r->type <= VF_FORGET ? names[r->type] : "?"));
	if (r->type == VF_PUT || r->type == VF_DEL) {
		put_number(o, "inode", r->a >> 8);
		json_object_object_add(o, "item", json_object_new_string(item_names[item]));
		put_number(o, "lo", r->b);
	} else {
		put_number(o, r->type == VF_ALLOC || r->type == VF_FREE ? "block" : "inode", r->a);
		put_number(o, r->type == VF_ALLOC || r->type == VF_FREE ? "count" : "offset", r->b);
	}
	if (r->type == VF_ZERO || r->type == VF_FORGET)
		put_number(o, "count", r->arg);
	if (r->size)
		put_number(o, "bytes", r->size);
	return o;
}

static void frame_json(struct fsck *f, const struct vf_frame *h, uint64_t at)
{
	struct json_object *o = json_object_new_object(), *records = json_object_new_array();
	const uint8_t *bytes = (const void *)h;
	uint32_t next = sizeof(*h);

	put_number(o, "seq", h->seq);
	put_number(o, "block", f->super.journal_start + at);
	put_number(o, "bytes", h->size);
	put_number(o, "generation", h->generation);
	while (next + sizeof(struct vf_record) <= h->size) {
		const struct vf_record *r = (const void *)(bytes + next);
		json_object_array_add(records, record_json(r));
		next += sizeof(*r) + (r->size + 7u) / 8 * 8;
	}
	json_object_object_add(o, "records", records);
	json_object_array_add(f->frame_arg, o);
}

static int dump_journal(struct dump *d)
{
	put_number(d->out, "tail", d->f.super.journal_tail);
	put_number(d->out, "seq", d->f.super.journal_seq);
	json_object_object_add(d->out, "frames", json_object_get(d->f.frame_arg));
	return 0;
}

static int dump_groups(struct dump *d)
{
	struct json_object *list = json_object_new_array();
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	const struct vf_group *g = (const void *)(buf + VF_HEAD);
	const char *wrong = NULL;
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t n = 0; n < d->f.group_count && r == 0; n++) {
		struct json_object *o;
		if (n % VF_CLUSTER_GROUPS == 0)
			wrong = fsck_read_block(&d->f, fsck_group_start(&d->f, n), VF_KIND_GROUPS, buf, &r);
		if (wrong)
			break;
		o = json_object_new_object();
		put_number(o, "group", n);
		put_number(o, "start", fsck_group_start(&d->f, n));
		put_number(o, "blocks", fsck_group_blocks(&d->f, n));
		put_number(o, "free", g[n % VF_CLUSTER_GROUPS].free);
		json_object_object_add(
		    o, "fresh", json_object_new_boolean(g[n % VF_CLUSTER_GROUPS].flags & VF_GROUP_FRESH));
		json_object_array_add(list, o);
	}
	free(buf);
	json_object_object_add(d->out, "groups", list);
	return wrong ? fsck_fail(&d->f, -EUCLEAN, "the groups' descriptors: %s", wrong) : r;
}

/* ---- an inode -------------------------------------------------------------------------------------- */

static int visit_inode(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	const struct vf_inode *i = (const void *)value;
	struct dump *d = arg;
	char mode[8];

	if (vol_check_inode(i, length))
		return fsck_fail(f, -EUCLEAN, "inode %" PRIu64 ": %s", d->ino, vol_check_inode(i, length));
	put_number(d->out, "inode", d->ino);
	json_object_object_add(d->out, "type", json_object_new_string(type_name(i->mode)));
	put_text(d->out, "mode", mode, snprintf(mode, sizeof(mode), "%04o", i->mode & 07777));
	put_number(d->out, "links", i->nlink);
	put_number(d->out, "uid", i->uid);
	put_number(d->out, "gid", i->gid);
	put_number(d->out, "size", i->size);
	put_number(d->out, "blocks", i->blocks);
	if (S_ISDIR(i->mode))
		put_number(d->out, "parent", i->parent);
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode)) {
		put_number(d->out, "major", i->rdev_major);
		put_number(d->out, "minor", i->rdev_minor);
	}
	put_time(d->out, "atime", i->atime, i->atime_ns);
	put_time(d->out, "mtime", i->mtime, i->mtime_ns);
	put_time(d->out, "ctime", i->ctime, i->ctime_ns);
	put_time(d->out, "btime", i->btime, i->btime_ns);
	return 0;
}

static int visit_any(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	uint64_t *counts = arg;

	counts[(key.hi & 255) <= VF_EXTENT ? key.hi & 255 : 0]++;
	return 0;
}

static int inode_range(struct dump *d, enum vf_type type, fsck_visit *visit, void *arg)
{
	return fsck_tree_range(&d->f, vol_key(d->ino, type, 0), vol_key(d->ino, type, UINT64_MAX), visit,
			       arg);
}

static int dump_inode(struct dump *d)
{
	uint64_t counts[VF_EXTENT + 1] = {0};
	struct json_object *items;
	int r = inode_range(d, VF_INODE, visit_inode, d);

	if (r == 0 && json_object_object_length(d->out) == 0)
		return fsck_fail(&d->f, -ENOENT, "there is no inode %" PRIu64, d->ino);
	if (r == 0)
		r = fsck_tree_range(&d->f, vol_key(d->ino, 0, 0), vol_key(d->ino, 255, UINT64_MAX),
				    visit_any, counts);
	items = json_object_new_object();
	for (unsigned i = 0; i <= VF_EXTENT; i++)
		if (counts[i])
			put_number(items, item_names[i], counts[i]);
	json_object_object_add(d->out, "items", items);
	return r;
}

static int visit_dirent(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	const struct vf_dirent *e = (const void *)value;
	struct json_object *o;

	if (length < VF_DIRENT_FIXED)
		return 0;
	o = json_object_new_object();
	put_text(o, "name", e->name, length - VF_DIRENT_FIXED);
	put_number(o, "inode", e->ino);
	json_object_object_add(o, "type", json_object_new_string(type_name((uint32_t)e->type << 12)));
	put_number(o, "lo", key.lo);
	json_object_array_add(arg, o);
	return 0;
}

static int visit_extent(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	const struct vf_extent *e = (const void *)value;
	struct json_object *o;

	if (length != sizeof(*e))
		return 0;
	o = json_object_new_object();
	put_number(o, "file_block", key.lo);
	put_number(o, "block", e->start);
	put_number(o, "count", e->length);
	json_object_object_add(o, "written", json_object_new_boolean(!(e->flags & VF_EXTENT_UNWRITTEN)));
	json_object_array_add(arg, o);
	return 0;
}

static int visit_xattr(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	const struct vf_xattr *x = (const void *)value;
	struct json_object *o;

	if (length < VF_XATTR_FIXED || length - VF_XATTR_FIXED < x->length)
		return 0;
	o = json_object_new_object();
	put_text(o, "name", x->name, x->length);
	put_number(o, "size", x->size);
	put_number(o, "pieces", x->pieces);
	json_object_array_add(arg, o);
	return 0;
}

static int dump_list(struct dump *d, const char *key, enum vf_type type, fsck_visit *visit)
{
	struct json_object *list = json_object_new_array();

	put_number(d->out, "inode", d->ino);
	json_object_object_add(d->out, key, list);
	return inode_range(d, type, visit, list);
}

static int dump_directory(struct dump *d)
{
	return dump_list(d, "names", VF_DIRENT, visit_dirent);
}

static int dump_extents(struct dump *d)
{
	return dump_list(d, "extents", VF_EXTENT, visit_extent);
}

static int dump_attributes(struct dump *d)
{
	return dump_list(d, "attributes", VF_XATTR, visit_xattr);
}

/* ---- which inode ----------------------------------------------------------------------------------- */

struct lookup {
	const char *name;
	size_t length;
	uint64_t ino;
};

static int visit_name(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	const struct vf_dirent *e = (const void *)value;
	struct lookup *l = arg;

	if (length == VF_DIRENT_FIXED + l->length && !memcmp(e->name, l->name, l->length))
		l->ino = e->ino;
	return 0;
}

static int path_find(struct dump *d)
{
	int r = 0;

	d->ino = VF_INO_ROOT;
	for (const char *p = d->which + strspn(d->which, "/"); *p && r == 0; p += strspn(p, "/")) {
		struct lookup l = {p, strcspn(p, "/"), 0};
		uint64_t hash = fsck_hash(&d->f, l.name, l.length) >> 9;
		uint64_t lo = (hash ? hash : 1) << 8;
		r = fsck_tree_range(&d->f, vol_key(d->ino, VF_DIRENT, lo),
				    vol_key(d->ino, VF_DIRENT, lo | 255), visit_name, &l);
		p += l.length;
		if (r == 0 && !l.ino)
			r = fsck_fail(&d->f, -ENOENT, "'%s': there is no '%.*s'", d->which, (int)l.length,
				      l.name);
		d->ino = l.ino;
	}
	return r;
}

static int inode_find(struct dump *d)
{
	char *end;

	if (!d->which)
		return fsck_fail(&d->f, -EINVAL,
				 "say which: an inode's number, or a path that begins with '/'");
	if (*d->which == '/')
		return path_find(d);
	d->ino = strtoull(d->which, &end, 10);
	if (*end || end == d->which || d->ino > VF_INO_MAX)
		return fsck_fail(&d->f, -EINVAL,
				 "'%s' is neither an inode's number nor a path that begins with '/'",
				 d->which);
	return 0;
}

static const struct dump_kind kinds[] = {
    {"super", false, dump_super},          {"journal", false, dump_journal},
    {"groups", false, dump_groups},        {"inode", true, dump_inode},
    {"directory", true, dump_directory},   {"extents", true, dump_extents},
    {"attributes", true, dump_attributes},
};

const char *const volume_dump_words[] = {"super",     "journal", "groups",     "inode",
					 "directory", "extents", "attributes", NULL};

static int dump_run(struct dump *d, const struct dump_kind *kind)
{
	int r = fsck_read_super(&d->f);

	if (r == 0)
		r = fsck_read_shadow(&d->f);
	if (r == 0)
		r = fsck_read_journal(&d->f);
	if (r == 0)
		r = fsck_space_init(&d->f);
	if (r == 0 && kind->about_inode)
		r = inode_find(d);
	return r < 0 ? r : kind->run(d);
}

struct json_object *volume_dump(struct area *area, const char *what, const char *which, char *error,
				size_t error_size)
{
	struct dump d = {.out = json_object_new_object(), .which = which};
	int r = -EINVAL;

	d.f = (struct fsck){.area = area,
			    .options = &d.options,
			    .report = &d.report,
			    .counts = &d.counts,
			    .quiet = true,
			    .error = error,
			    .error_size = error_size,
			    .frame = frame_json,
			    .frame_arg = json_object_new_array()};
	snprintf(error, error_size, "unknown structure '%s'", what);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].what, what))
			r = dump_run(&d, &kinds[i]);
	json_object_put(d.f.frame_arg);
	fsck_fini(&d.f);
	if (r == 0)
		return d.out;
	json_object_put(d.out);
	return NULL;
}
