/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a directory: a treap in the order of their cookies.
 *
 * A name's cookie is its hash. So a listing's order does not depend on when names come and go, nor on this process:
 * an entry present throughout is seen exactly once, and a cookie means the same after a restart. The same tree finds
 * a name. Names with one hash take the next free cookies; a node stays when its name is removed, and then says that
 * it is absent, so the search for another may stop at the first cookie that is free.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

enum { COOKIE_FIRST = 3 };

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
	return x ^ x >> 29;
}

static uint64_t name_cookie(const char *name, size_t len)
{
	uint64_t hash = len, word;

	for (; len > 0; len -= len < 8 ? len : 8, name += 8) {
		word = 0;
		memcpy(&word, name, len < 8 ? len : 8);
		hash = mix(hash ^ word) * 0x9fb21c651e98df25u;
	}
	hash = mix(hash) >> 1;
	return hash < COOKIE_FIRST ? hash + COOKIE_FIRST : hash;
}

static struct union_name *tree_find(struct union_name *n, uint64_t cookie)
{
	while (n && n->cookie != cookie)
		n = cookie < n->cookie ? n->left : n->right;
	return n;
}

/* Its own node, or NULL; *ret_cookie is then the one for a new node. */
static struct union_name *name_find(const struct union_inode *dir, const char *name, size_t len, uint64_t *ret_cookie)
{
	uint64_t cookie = name_cookie(name, len);
	struct union_name *n;

	while ((n = tree_find(dir->names, cookie)) && (n->len != len || memcmp(n->name, name, len) != 0))
		cookie++;
	*ret_cookie = cookie;
	return n;
}

struct union_name *union_name_find(struct union_fs *u, struct union_inode *dir, const char *name)
{
	uint64_t cookie;

	return name_find(dir, name, strlen(name), &cookie);
}

/* Neighbouring cookies have unrelated priorities, whoever chose the names. */
static uint64_t priority(const struct union_fs *u, const struct union_name *n)
{
	return mix(mix(n->cookie + u->seed) ^ u->seed);
}

static void tree_split(struct union_name *n, uint64_t cookie, struct union_name **left, struct union_name **right)
{
	while (n)
		if (n->cookie < cookie) {
			*left = n;
			left = &n->right;
			n = n->right;
		} else {
			*right = n;
			right = &n->left;
			n = n->left;
		}
	*left = *right = NULL;
}

static void tree_insert(const struct union_fs *u, struct union_name **at, struct union_name *n)
{
	uint64_t p = priority(u, n);

	while (*at && priority(u, *at) >= p)
		at = n->cookie < (*at)->cookie ? &(*at)->left : &(*at)->right;
	tree_split(*at, n->cookie, &n->left, &n->right);
	*at = n;
}

/* The tree as a list by `right`, in order. */
static struct union_name *tree_flatten(struct union_name *n)
{
	struct union_name *list = NULL, *left;

	while (n) {
		if (n->right) { /* rotate until there is nothing on the right */
			left = n->right;
			n->right = left->left;
			left->left = n;
			n = left;
			continue;
		}
		left = n->left;
		n->right = list;
		list = n;
		n = left;
	}
	return list;
}

/* Forgets what is absent, but for whiteouts: making a name must know of them. */
static void tree_prune(struct union_fs *u, struct union_inode *dir)
{
	struct union_name *n, *next = tree_flatten(dir->names), *absent;
	uint64_t cookie;

	dir->names = NULL;
	while ((n = next)) {
		next = n->right;
		if (n->type == 0 && !n->whiteout) {
			absent = n;
			dir->name_count--;
			dir->absent_count--;
			__atomic_sub_fetch(&u->name_total, 1, __ATOMIC_RELAXED);
			free(absent);
			continue;
		}
		name_find(dir, n->name, n->len, &cookie);
		n->cookie = cookie;
		tree_insert(u, &dir->names, n);
	}
}

static void names_link(struct union_fs *u, struct union_inode *dir)
{
	dir->older = u->newest;
	dir->newer = NULL;
	*(u->newest ? &u->newest->newer : &u->oldest) = dir;
	__atomic_store_n(&u->newest, dir, __ATOMIC_RELAXED);
}

void union_names_unlink(struct union_fs *u, struct union_inode *dir)
{
	__atomic_store_n(dir->newer ? &dir->newer->older : &u->newest, dir->older, __ATOMIC_RELAXED);
	*(dir->older ? &dir->older->newer : &u->oldest) = dir->newer;
	dir->newer = dir->older = NULL;
}

void union_names_used(struct union_fs *u, struct union_inode *dir)
{
	if (__atomic_load_n(&u->newest, __ATOMIC_RELAXED) == dir || !dir->name_count)
		return;
	pthread_mutex_lock(&u->lock);
	if (dir->newer || dir->older || u->oldest == dir)
		union_names_unlink(u, dir);
	names_link(u, dir);
	pthread_mutex_unlock(&u->lock);
}

struct union_name *union_name_add(struct union_fs *u, struct union_inode *dir, const char *name, size_t len)
{
	struct union_name *n = calloc(1, sizeof(*n) + len + 1);
	uint64_t cookie;

	if (!n)
		return NULL;
	if (dir->absent_count > dir->name_count / 2 + UNION_PRUNE)
		tree_prune(u, dir);
	name_find(dir, name, len, &cookie);
	n->cookie = cookie;
	n->len = len;
	memcpy(n->name, name, len);
	tree_insert(u, &dir->names, n);
	dir->absent_count++;
	if (dir->name_count++ == 0)
		union_names_used(u, dir);
	__atomic_add_fetch(&u->name_total, 1, __ATOMIC_RELAXED);
	return n;
}

struct union_name *union_name_after(struct union_inode *dir, uint64_t cookie)
{
	struct union_name *n = dir->names, *best = NULL;

	while (n)
		if (n->cookie > cookie) {
			best = n;
			n = n->left;
		} else {
			n = n->right;
		}
	return best;
}

void union_names_drop(struct union_fs *u, const struct ls_call *call, struct union_inode *dir)
{
	struct union_name *n, *next = tree_flatten(dir->names);

	__atomic_sub_fetch(&u->name_total, dir->name_count, __ATOMIC_RELAXED);
	pthread_mutex_lock(&u->lock);
	if (dir->newer || dir->older || u->oldest == dir)
		union_names_unlink(u, dir);
	pthread_mutex_unlock(&u->lock);
	dir->names = NULL;
	dir->name_count = dir->absent_count = 0;
	dir->subdirs = 0;
	dir->complete = false;
	while ((n = next)) {
		next = n->right;
		if (n->inode)
			union_inode_unref(u, call, n->inode, 1);
		free(n);
	}
}

/* The directory whose names were used longest ago, referenced; it counts as used now. */
static struct union_inode *names_oldest(struct union_fs *u)
{
	struct union_inode *dir;

	pthread_mutex_lock(&u->lock);
	dir = u->oldest;
	if (dir) {
		dir->refs++;
		union_names_unlink(u, dir);
		names_link(u, dir);
	}
	pthread_mutex_unlock(&u->lock);
	return dir;
}

void union_names_limit(struct union_fs *u, const struct ls_call *call)
{
	struct union_inode *dir;

	for (int i = 0; i < 8 && __atomic_load_n(&u->name_total, __ATOMIC_RELAXED) > u->name_limit; i++) {
		dir = names_oldest(u);
		if (!dir)
			return;
		if (pthread_mutex_trylock(&dir->lock) == 0) {
			if (dir->open_count == 0)
				union_names_drop(u, call, dir);
			pthread_mutex_unlock(&dir->lock);
		}
		union_inode_unref(u, call, dir, 1);
	}
}
