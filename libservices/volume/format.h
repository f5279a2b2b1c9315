/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format: stable
 *
 * What a volume looks like on its area. docs/volume-format.md tells the same in prose, with every check
 * that a reader must make. All integers are little-endian; a block is 4096 bytes; block n is at byte n *
 * 4096.
 *
 *   block 0            superblock, copy 0
 *   block 15           superblock, copy 1
 *   journal_start ...  the journal: a ring of frames
 *   shadow_start ...   the shadow: the images of the newest checkpoint
 *   groups_start ...   groups of 32256 blocks, each with its bitmap; the last may be shorter
 *
 * Everything that has a name or a number is an item of one B+tree. Its nodes and the bitmaps are written
 * only by checkpoints; the journal has what changed since.
 */
#pragma once

#include <stdint.h>

#define VF_MAGIC UINT64_C(0x31304c4f56544c50)        /* "PLTVOL01" */
#define VF_SHADOW_MAGIC UINT64_C(0x31304448534c4c50) /* "PLLSHD01" */

enum {
	VF_VERSION = 1,
	VF_BLOCK = 4096,
	VF_SUPER_0 = 0,
	VF_SUPER_1 = 15,
	VF_HEAD_BLOCKS = 16,     /* before them nothing else begins */
	VF_HEAD = 64,            /* bytes of struct vf_head */
	VF_GROUP_BLOCKS = 32256, /* bits of a bitmap: (4096 - 64) * 8 */
	VF_CLUSTER_GROUPS = 504, /* groups that share a descriptor block: (4096 - 64) / 8 */
	VF_LEVEL_MAX = 12,
	VF_VALUE_MAX = 1920,          /* bytes of an item: two always fit in a leaf */
	VF_INLINE_MAX = VF_VALUE_MAX, /* of a file's first block, or of a piece of a link's target */
	VF_NAME_MAX = 255,
	VF_XATTR_NAME_MAX = 255,
	VF_XATTR_MAX = 65536,
	VF_XATTR_PIECE = 1792, /* of a value that is not within its XATTR item */
	VF_XATTR_PIECES = 64,
	VF_EXTENT_MAX = 1 << 20, /* blocks */
	VF_INO_ROOT = 1,
	VF_BLOCKS_MIN = 8192, /* 32 MiB */
};

#define VF_INO_MAX ((UINT64_C(1) << 56) - 1)
#define VF_FILE_BLOCKS (UINT64_C(1) << 32) /* 16 TiB */
#define VF_FILE_MAX (VF_FILE_BLOCKS * VF_BLOCK)
#define VF_BLOCKS_MAX (UINT64_C(1) << 34) /* 64 TiB */

/* ---- superblock ------------------------------------------------------------------------------ */

/* In a block's first 512 bytes; the others are 0. The newest generation of the two copies counts. */
struct vf_super {
	uint64_t magic; /* VF_MAGIC */
	uint32_t crc;   /* CRC-32C of these 512 bytes with crc = 0 */
	uint32_t version;
	uint8_t uuid[16]; /* every other structure repeats it */
	char label[32];   /* padded with NULs */
	uint64_t blocks;  /* size of the volume */
	int64_t created;  /* ns since the epoch */
	uint64_t journal_start, journal_blocks;
	uint64_t shadow_start, shadow_blocks;
	uint64_t groups_start;
	uint64_t hash_seed[2]; /* of names; see vf_dirent */
	/* From here on: the state as of checkpoint `generation`. It is in copy generation % 2. */
	uint64_t generation;
	uint64_t journal_tail; /* where the next frame is, in blocks from journal_start */
	uint64_t journal_seq;  /* and its number */
	uint64_t root;         /* block of the tree's root */
	uint32_t root_level;
	uint32_t clean;    /* 1: this checkpoint was made to close the volume */
	uint64_t next_ino; /* no inode has or had this number or a higher one */
	uint64_t inode_count;
	uint64_t free_blocks; /* of all groups */
	uint8_t zero[512 - 200];
};
_Static_assert(sizeof(struct vf_super) == 512, "one sector");

/* ---- blocks of metadata ---------------------------------------------------------------------- */

enum vf_kind {
	VF_KIND_NODE = 1,
	VF_KIND_BITMAP = 2,
	VF_KIND_GROUPS = 3, /* descriptors of a cluster of groups */
};

#define VF_BLOCK_MAGIC 0x4b4c4256u /* "VBLK" */

struct vf_head {
	uint32_t magic; /* VF_BLOCK_MAGIC */
	uint32_t crc;   /* of all 4096 bytes with crc = 0 */
	uint8_t uuid[16];
	uint64_t block;      /* its own number */
	uint64_t generation; /* of the checkpoint that wrote it */
	uint8_t kind;        /* enum vf_kind */
	uint8_t level;       /* of a node: 0 is a leaf */
	uint16_t count;      /* of a node's items or children */
	uint16_t low;        /* of a leaf: where the lowest value begins; 4096 if there is none */
	uint16_t used;       /* of a leaf: bytes of all values, which need not be contiguous */
	uint64_t owner;      /* of a bitmap its group, of descriptors their cluster; else 0 */
	uint64_t zero;
};
_Static_assert(sizeof(struct vf_head) == VF_HEAD, "layout");

/* A key: compared as one number of 128 bits, hi first. hi = inode number << 8 | enum vf_type. */
struct vf_key {
	uint64_t hi, lo;
};

/* A leaf: slots in ascending order of their keys, from byte 64 on; values grow down from the end. */
struct vf_slot {
	uint64_t hi, lo;
	uint16_t offset, length; /* of the value in the block */
} __attribute__((packed));
_Static_assert(sizeof(struct vf_slot) == 20, "layout");

/*
 * Above the leaves: children in ascending order. All keys below child i are >= its key (but for child 0,
 * whose key means nothing) and < that of child i + 1. A child's level is one less.
 */
struct vf_child {
	uint64_t hi, lo;
	uint64_t block;
};
_Static_assert(sizeof(struct vf_child) == 24, "layout");

enum { VF_CHILDREN_MAX = (VF_BLOCK - VF_HEAD) / 24 };

/* Of a bitmap block: 4032 bytes follow the head; bit i (byte i / 8, bit i % 8) set: block i of the group is
 * used, or beyond the volume's end. */

enum vf_group_flags {
	VF_GROUP_FRESH = 1 << 0, /* the bitmap was never written: only the group's own metadata is used */
};

/* Of a descriptor block: one of these for each group of the cluster. */
struct vf_group {
	uint32_t free; /* blocks */
	uint32_t flags;
};

/* ---- items ----------------------------------------------------------------------------------- */

enum vf_type {
	VF_ORPHAN = 1, /* inode 0; lo: an inode without a name. No value */
	VF_INODE = 2,  /* lo 0; struct vf_inode */
	VF_INLINE =
	    3, /* of a file: lo 0, its first block up to the value's length, then zeros, instead of an
		* extent. Of a symbolic link: lo 0, 1, 2: pieces of the target, all but the last full */
	VF_XATTR = 4,  /* lo: name hash (48 bits) << 8 | n; struct vf_xattr */
	VF_PIECE = 5,  /* lo: lo of the XATTR << 6 | n; VF_XATTR_PIECE bytes of its value, the last fewer */
	VF_DIRENT = 6, /* lo: name hash (55 bits, not 0) << 8 | n; struct vf_dirent */
	VF_EXTENT = 7, /* lo: block of the file; struct vf_extent */
};

enum vf_inode_flags {
	VF_INODE_LINKABLE = 1 << 0, /* has no name yet, and may get one */
};

struct vf_inode {
	uint32_t mode; /* type and permissions as in st_mode */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint32_t flags;
	uint32_t zero;
	uint64_t size;   /* bytes; of a directory: names in it, without "." and ".." */
	uint64_t blocks; /* allocated to its extents */
	uint64_t parent; /* of a directory; the root's is itself. Else 0 */
	int64_t atime, mtime, ctime, btime;
	uint32_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};
_Static_assert(sizeof(struct vf_inode) == 104, "layout");

struct vf_dirent {
	uint64_t ino;
	uint8_t type; /* DT_*, as in the inode's mode >> 12 */
	uint8_t length;
	char name[]; /* without a NUL, to the end of the value */
} __attribute__((packed));

enum { VF_DIRENT_FIXED = 10 };

enum vf_extent_flags {
	VF_EXTENT_UNWRITTEN = 1 << 0, /* allocated, reads as zeros */
};

struct vf_extent {
	uint64_t start; /* block of the volume */
	uint32_t length;
	uint32_t flags;
};
_Static_assert(sizeof(struct vf_extent) == 16, "layout");

struct vf_xattr {
	uint32_t size;  /* of the value */
	uint8_t length; /* of the name */
	uint8_t pieces; /* 0: the value follows the name; else: in that many PIECE items */
	char name[];
} __attribute__((packed));

enum { VF_XATTR_FIXED = 6 };

/* ---- journal --------------------------------------------------------------------------------- */

#define VF_FRAME_MAGIC 0x4d415246u /* "FRAM" */

/* A transaction. It begins at a block of the ring and may go on at the ring's start. */
struct vf_frame {
	uint32_t magic; /* VF_FRAME_MAGIC */
	uint32_t crc;   /* of `size` bytes from the head on with crc = 0 */
	uint8_t uuid[16];
	uint64_t seq;        /* one more than that of the frame before it */
	uint64_t generation; /* of the newest checkpoint when it was made */
	uint32_t size;       /* bytes of head and records; the next frame begins at the next whole block */
	uint32_t records;    /* how many */
	uint64_t zero[2];
};
_Static_assert(sizeof(struct vf_frame) == 64, "layout");

enum vf_record_type {
	VF_PUT = 1,   /* item (a, b) := payload */
	VF_DEL = 2,   /* no item (a, b) */
	VF_ALLOC = 3, /* b blocks from a on are used by data */
	VF_FREE = 4,  /* b blocks from a on are free */
	VF_DATA = 5,  /* bytes of file a from offset b on, within one block of it := payload */
	VF_ZERO = 6,  /* `arg` bytes of file a from offset b on, within one block, are 0 */
	VF_FORGET =
	    7, /* what DATA and ZERO said of `arg` blocks (0: all) of file a from block b on is void */
};

/* Followed by `size` bytes and padding to a multiple of 8. */
struct vf_record {
	uint8_t type; /* enum vf_record_type */
	uint8_t zero;
	uint16_t size; /* of the payload */
	uint32_t arg;
	uint64_t a, b;
};
_Static_assert(sizeof(struct vf_record) == 24, "layout");

/* ---- shadow ---------------------------------------------------------------------------------- */

/* At byte 512 of the shadow's first block. */
struct vf_shadow {
	uint64_t magic;    /* VF_SHADOW_MAGIC */
	uint32_t crc;      /* of the whole first block with crc = 0 */
	uint32_t count;    /* images */
	uint32_t list_crc; /* of the count entries of the list */
	uint32_t zero;
};

/*
 * First block: the superblock that this checkpoint makes (512 bytes, itself valid), and struct vf_shadow.
 * Then the list, count entries in whole blocks, padded with zeros; then count images, in the list's order.
 */
struct vf_shadow_entry {
	uint64_t block; /* where the image belongs */
	uint32_t crc;   /* of the image: its vf_head.crc */
	uint32_t zero;
};
_Static_assert(sizeof(struct vf_shadow_entry) == 16, "layout");
