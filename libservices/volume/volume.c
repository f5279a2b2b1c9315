/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crash-safe filesystem on an area.
 *
 * Memory has the truth. Operations change inodes and the nodes of one B+tree in memory, and add records of
 * what they did to the running transaction (log.c). A commit makes that durable with one sequential write,
 * in which small pieces of file data have their place too; so fsync costs one write. In the background
 * checkpoints bring the tree's nodes to their places (checkpoint.c), from where a mount starts and repeats
 * what the journal has since then (recover.c, replay.c).
 *
 *   names         dir.c name.c link.c rename.c   attributes    attr.c xattr.c
 *   inodes        inode.c inode-store.c          file data     read.c write.c write-direct.c resize.c
 *   tree          tree.c tree-change.c node.c cache.c          free space    space.c group.c
 *
 * When something cannot be read that must make sense, or not be written, the volume becomes read-only and
 * says so once; what is on the area then is a state that a mount can start from.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { VOLUME_TYPE = 0x504c5456, INODE_ROOM = 512 };

int vol_ls_statfs(struct ls *ls, const struct ls_call *call, struct ls_statfs *ret)
{
	struct vol *v = vol_of(ls);
	uint64_t free = vol_space_available(v),
		 own = v->space.group_count + (v->space.group_count + 503) / 504;
	uint64_t files = __atomic_load_n(&v->inode_count, __ATOMIC_RELAXED),
		 room = free * (VF_BLOCK / INODE_ROOM);

	*ret = (struct ls_statfs){
	    .bsize = VF_BLOCK,
	    .frsize = VF_BLOCK,
	    .blocks = v->super.blocks - v->super.groups_start - own - v->space.floor,
	    .bfree = free,
	    .bavail = free,
	    .files = files + room,
	    .ffree = room,
	    .namelen = VF_NAME_MAX,
	    .type = VOLUME_TYPE,
	};
	return 0;
}

static uint64_t number(struct json_object *config, const char *option,
		       int (*parse)(const char *, uint64_t *))
{
	const char *text = json_object_get_string(json_object_object_get(config, option));
	uint64_t n = 0;

	if (text)
		parse(text, &n);
	return n;
}

static int volume_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	struct vol *v = vol_of(ls);
	uint64_t n;
	int r = 0;

	if (strcmp(option, "commit_interval") == 0) {
		ls_parse_time(value, &n);
		__atomic_store_n(&v->commit_interval, n, __ATOMIC_RELAXED);
	} else if (strcmp(option, "buffer") == 0) {
		ls_parse_size(value, &n);
		__atomic_store_n(&v->pages_max, n / VF_BLOCK, __ATOMIC_RELAXED);
	} else { /* size: what the area has become is what the volume gets */
		r = vol_grow(v);
		if (r < 0)
			snprintf(error, error_size, "%s: cannot grow: %s", v->name, strerror(-r));
	}
	return r;
}

static void volume_close_layer(struct ls *ls)
{
	struct vol *v = vol_of(ls);
	struct area *area = v->area;

	vol_unmount(v);
	area_close(area);
}

static int volume_open_layer(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	struct json_object *area_config = json_object_object_get(config, "area");
	struct vol_config c = {
	    .metadata_cache = number(config, "metadata_cache", ls_parse_size),
	    .buffer = number(config, "buffer", ls_parse_size),
	    .commit_interval = number(config, "commit_interval", ls_parse_time),
	};
	const char *rdonly = json_object_get_string(json_object_object_get(config, "rdonly"));
	struct ls_attr attr;
	struct area *area;
	struct vol *v;
	int r = area_open(area_config, &area, error, error_size);

	if (r < 0)
		return r;
	c.rdonly = rdonly && strcmp(rdonly, "true") == 0;
	r = vol_mount(area, json_object_get_string(json_object_object_get(config, "name")), &c, &v, error,
		      error_size);
	if (r < 0) {
		area_close(area);
		return r;
	}
	ls->state = v;
	ls->root = (struct ls_inode *)v->root_inode;
	vol_inode_attr(v->root_inode, &attr);
	ls->root_attr = attr;
	ls->traits |= v->rdonly ? LS_RDONLY : 0;
	return 0;
}

static const struct ls_option volume_options[] = {
    {"area", LS_AREA, NULL, 0, 0, "what it is stored on"},
    {"name", LS_STRING, "volume", 0, 0, "what it is called in messages"},
    {"metadata_cache", LS_SIZE, "64M", 1 << 20, UINT64_C(1) << 40, "memory for inodes and tree nodes"},
    {"buffer", LS_SIZE, "32M", 1 << 20, UINT64_C(1) << 40, "memory for file data on its way", 1},
    {"commit_interval", LS_TIME, "5s", 1000000, UINT64_C(3600000000000),
     "how long a change may be in memory only", 1},
    {"size", LS_SIZE, "", UINT64_C(4096) * VF_BLOCKS_MIN, VF_BLOCKS_MAX *VF_BLOCK,
     "how large it is made, or grows; set while running: takes what the area has grown by", 1},
    {"rdonly", LS_BOOL, "false", 0, 0, "write nothing, not even what the journal has"},
    {NULL},
};

const struct ls_type ls_type_volume = {
    .name = "volume",
    .help = "a crash-safe filesystem on an image, a device, or several",
    .unset = LS_REFUSE,
    .options = volume_options,
    .primary = "area",
    .open = volume_open_layer,
    .close = volume_close_layer,
    .set = volume_set,
    .ops =
	{
	    .lookup = vol_ls_lookup,
	    .forget = vol_ls_forget,
	    .resolve = vol_ls_resolve,
	    .parent = vol_ls_parent,
	    .getattr = vol_ls_getattr,
	    .setattr = vol_ls_setattr,
	    .readlink = vol_ls_readlink,
	    .mknod = vol_ls_mknod,
	    .mkdir = vol_ls_mkdir,
	    .symlink = vol_ls_symlink,
	    .link = vol_ls_link,
	    .unlink = vol_ls_unlink,
	    .rmdir = vol_ls_rmdir,
	    .rename = vol_ls_rename,
	    .open = vol_ls_open,
	    .create = vol_ls_create,
	    .tmpfile = vol_ls_tmpfile,
	    .release = vol_ls_release,
	    .read = vol_ls_read,
	    .write = vol_ls_write,
	    .fsync = vol_ls_fsync,
	    .sync = vol_ls_sync,
	    .fallocate = vol_ls_fallocate,
	    .seek = vol_ls_seek,
	    .readdir = vol_ls_readdir,
	    .statfs = vol_ls_statfs,
	    .getxattr = vol_ls_getxattr,
	    .setxattr = vol_ls_setxattr,
	    .listxattr = vol_ls_listxattr,
	    .removexattr = vol_ls_removexattr,
	    .advise = vol_ls_advise,
	    .reserve = vol_ls_reserve,
	},
};
