/* SPDX-License-Identifier: Apache-2.0 */
/* What files are, by every call that tells, and changing it. */
#include "tests/integration/preload/check.h"

#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static struct stat st, other;

static void same(const struct stat *a, const struct stat *b)
{
	EQUAL(a->st_dev, b->st_dev);
	EQUAL(a->st_ino, b->st_ino);
	EQUAL(a->st_mode, b->st_mode);
	EQUAL(a->st_nlink, b->st_nlink);
	EQUAL(a->st_uid, b->st_uid);
	EQUAL(a->st_gid, b->st_gid);
	EQUAL(a->st_size, b->st_size);
	EQUAL(a->st_blksize, b->st_blksize);
	EQUAL(a->st_mtim.tv_sec, b->st_mtim.tv_sec);
	EQUAL(a->st_mtim.tv_nsec, b->st_mtim.tv_nsec);
	EQUAL(a->st_ctim.tv_nsec, b->st_ctim.tv_nsec);
}

/* Before and after the kernel has the file open, and in a child, the file is the same. */
static void by_every_way(void)
{
	int fd = open(at("f"), O_RDWR | O_CREAT, 0640);
	struct statx sx;

	EQUAL(write(fd, "0123456789", 10), 10);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, 10);
	EQUAL(st.st_mode, S_IFREG | 0640);
	EQUAL(st.st_nlink, 1);
	EQUAL(stat(at("f"), &other), 0);
	same(&st, &other);
	EQUAL(lstat(at("f"), &other), 0);
	same(&st, &other);
	EQUAL(fstatat(fd, "", &other, AT_EMPTY_PATH), 0);
	same(&st, &other);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	EQUAL(fstat(fd, &other), 0);
	same(&st, &other);
	CHILD {
		EQUAL(fstat(fd, &other), 0);
		same(&st, &other);
		EQUAL(stat(at("f"), &other), 0);
		same(&st, &other);
	}
	EQUAL(statx(AT_FDCWD, at("f"), 0, STATX_BASIC_STATS | STATX_BTIME, &sx), 0);
	EQUAL(sx.stx_ino, st.st_ino);
	EQUAL(sx.stx_size, 10);
	EQUAL(sx.stx_mode, st.st_mode);
	EQUAL(sx.stx_dev_major << 8 | sx.stx_dev_minor, st.st_dev);
	EQUAL(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	EQUAL(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EQUAL(statx(fd, "", AT_EMPTY_PATH, 0x1000 /* STATX_MNT_ID */, &sx), 0);
	CHECK(sx.stx_mask & 0x1000);
	EQUAL(stat(dir, &other), 0);
	EQUAL(other.st_dev, st.st_dev);
	FAILS(stat(at("f/x"), &other), ENOTDIR);
	close(fd);
	FAILS(fstat(fd, &other), EBADF);
}

static void modes_and_owners(void)
{
	int fd = open(at("m"), O_RDWR | O_CREAT, 0644);

	EQUAL(chmod(at("m"), 04755), 0);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_mode, S_IFREG | 04755);
	EQUAL(fchmod(fd, 0600), 0);
	EQUAL(stat(at("m"), &st), 0);
	EQUAL(st.st_mode, S_IFREG | 0600);
	if (geteuid() == 0) {
		EQUAL(chown(at("m"), 12, 34), 0);
		EQUAL(fchown(fd, -1, 56), 0);
		EQUAL(fstat(fd, &st), 0);
		EQUAL(st.st_uid, 12);
		EQUAL(st.st_gid, 56);
		EQUAL(symlink("m", at("ms")), 0);
		EQUAL(lchown(at("ms"), 7, 7), 0);
		EQUAL(lstat(at("ms"), &st), 0);
		EQUAL(st.st_uid, 7);
		EQUAL(stat(at("ms"), &st), 0);
		EQUAL(st.st_uid, 12);
		EQUAL(fchownat(AT_FDCWD, at("ms"), 0, 0, 0), 0);
	}
	EQUAL(chown(at("m"), -1, -1), 0);
	close(fd);
}

static void times(void)
{
	struct timespec ts[2] = {{1000000001, 123456789}, {1000000002, 987654321}};
	struct timeval tv[2] = {{1100000000, 5}, {1200000000, 6}};
	int fd = open(at("t"), O_RDWR | O_CREAT, 0644);

	EQUAL(utimensat(AT_FDCWD, at("t"), ts, 0), 0);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_atim.tv_sec, 1000000001);
	EQUAL(st.st_mtim.tv_sec, 1000000002);
	EQUAL(st.st_mtim.tv_nsec, 987654321);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_sec = -5;
	ts[1].tv_nsec = 0;
	EQUAL(futimens(fd, ts), 0);
	EQUAL(stat(at("t"), &st), 0);
	EQUAL(st.st_atim.tv_sec, 1000000001);
	EQUAL(st.st_mtim.tv_sec, -5);
	ts[1].tv_nsec = UTIME_NOW;
	EQUAL(futimens(fd, ts), 0);
	EQUAL(stat(at("t"), &st), 0);
	CHECK(st.st_mtim.tv_sec > 1600000000);
	EQUAL(utimes(at("t"), tv), 0);
	EQUAL(stat(at("t"), &st), 0);
	EQUAL(st.st_mtim.tv_nsec, 6000);
	EQUAL(utime(at("t"), &(struct utimbuf){1300000000, 1400000000}), 0);
	EQUAL(stat(at("t"), &st), 0);
	EQUAL(st.st_atim.tv_sec, 1300000000);
	EQUAL(utime(at("t"), NULL), 0);
	ts[1].tv_nsec = 1000000000;
	FAILS(futimens(fd, ts), EINVAL);
	FAILS(utimensat(AT_FDCWD, at("none"), NULL, 0), ENOENT);
	EQUAL(symlink("t", at("ts")), 0);
	ts[0] = ts[1] = (struct timespec){77, 0};
	EQUAL(utimensat(AT_FDCWD, at("ts"), ts, AT_SYMLINK_NOFOLLOW), 0);
	EQUAL(lstat(at("ts"), &st), 0);
	EQUAL(st.st_mtim.tv_sec, 77);
	close(fd);
}

static void permissions(void)
{
	write_file(at("p"), "secret");
	EQUAL(chmod(at("p"), 0600), 0);
	EQUAL(access(at("p"), R_OK | W_OK), 0);
	FAILS(access(at("p"), X_OK), EACCES);
	FAILS(access(at("p"), 8), EINVAL);
	FAILS(access(at("none"), F_OK), ENOENT);
	if (geteuid() != 0)
		return;
	EQUAL(chmod(dir, 0777), 0);
	CHILD { /* another user */
		EQUAL(setgid(1234), 0);
		EQUAL(setuid(1234), 0);
		FAILS(open(at("p"), O_RDONLY), EACCES);
		FAILS(access(at("p"), R_OK), EACCES);
		FAILS(chmod(at("p"), 0666), EPERM);
		FAILS(chown(at("p"), 1234, -1), EPERM);
		write_file(at("mine"), "x");
		EQUAL(stat(at("mine"), &st), 0);
		EQUAL(st.st_uid, 1234);
		EQUAL(st.st_gid, 1234);
	}
	CHILD { /* for a while; access(2) asks for the real one */
		EQUAL(seteuid(1234), 0);
		FAILS(open(at("p"), O_RDONLY), EACCES);
		EQUAL(access(at("p"), R_OK), 0);
		FAILS(faccessat(AT_FDCWD, at("p"), R_OK, AT_EACCESS), EACCES);
		EQUAL(seteuid(0), 0);
		holds(at("p"), "secret");
	}
	EQUAL(chmod(dir, 0755), 0);
}

static void extended(void)
{
	int fd = open(at("x"), O_RDWR | O_CREAT, 0644);
	char buf[64];
	ssize_t n;

	if (setxattr(at("x"), "user.one", "1", 1, 0) < 0 && errno == EOPNOTSUPP)
		return;
	EQUAL(fsetxattr(fd, "user.two", "second", 6, XATTR_CREATE), 0);
	FAILS(fsetxattr(fd, "user.two", "second", 6, XATTR_CREATE), EEXIST);
	FAILS(setxattr(at("x"), "user.three", "", 0, XATTR_REPLACE), ENODATA);
	EQUAL(getxattr(at("x"), "user.two", buf, sizeof(buf)), 6);
	EQUAL(memcmp(buf, "second", 6), 0);
	EQUAL(fgetxattr(fd, "user.two", NULL, 0), 6);
	FAILS(fgetxattr(fd, "user.two", buf, 3), ERANGE);
	FAILS(getxattr(at("x"), "user.none", buf, 3), ENODATA);
	n = listxattr(at("x"), buf, sizeof(buf));
	CHECK(n >= 18);
	EQUAL(flistxattr(fd, NULL, 0), n);
	EQUAL(removexattr(at("x"), "user.one"), 0);
	FAILS(fremovexattr(fd, "user.one"), ENODATA);
	FAILS(lgetxattr(at("none"), "user.one", buf, 3), ENOENT);
	close(fd);
}

static void file_systems(void)
{
	struct statvfs a, b;
	int fd = open(at("f"), O_RDONLY);

	EQUAL(statvfs(at("f"), &a), 0);
	EQUAL(fstatvfs(fd, &b), 0);
	EQUAL(a.f_bsize, b.f_bsize);
	EQUAL(a.f_blocks, b.f_blocks);
	EQUAL(a.f_namemax, 255);
	EQUAL(fpathconf(fd, _PC_NAME_MAX), 255);
	EQUAL(syncfs(fd), 0);
	close(fd);
}

/* As cp -p copies a mode: by the attribute that says the same. Who asks for the mode alone is told the new one. */
static void modes_by_attribute(void)
{
	static const unsigned char r_x[] = {2, 0, 0, 0, 1, 0, 5, 0, 255, 255, 255, 255, 4, 0, 0, 0, 255, 255, 255, 255,
					    32, 0, 0, 0, 255, 255, 255, 255};
	struct statx st;

	EQUAL(mkdir(at("acl"), 0700), 0);
	EQUAL(statx(AT_FDCWD, at("acl"), 0, STATX_MODE, &st), 0);
	EQUAL(st.stx_mode & 07777, 0700);
	EQUAL(setxattr(at("acl"), "system.posix_acl_access", r_x, sizeof(r_x), 0), 0);
	EQUAL(statx(AT_FDCWD, at("acl"), 0, STATX_MODE, &st), 0);
	EQUAL(st.stx_mode & 07777, 0500);
	EQUAL(rmdir(at("acl")), 0);
}

#define ACL(...) ((const unsigned char[]){2, 0, 0, 0, __VA_ARGS__})
#define ENTRY(tag, bits, id) tag, 0, bits, 0, id, id, id, id
#define OWNER ENTRY(1, 7, 255)
#define NAMED ENTRY(2, 5, 1)
#define GROUP ENTRY(4, 5, 255)
#define MASK ENTRY(16, 6, 255)
#define OTHERS ENTRY(32, 4, 255)
#define SET(path, name, acl) setxattr(path, "system.posix_acl_" name, acl, sizeof(acl), 0)

/* One without entries removes it; what is not there is removed without complaint, so tar restores what had none. */
static void acls_removed(const char *name)
{
	static const unsigned char empty[] = {2, 0, 0, 0};
	const unsigned char *const acl = ACL(OWNER, NAMED, GROUP, MASK, OTHERS);
	const size_t size = sizeof(ACL(OWNER, NAMED, GROUP, MASK, OTHERS));

	EQUAL(removexattr(at("acls"), name), 0);
	EQUAL(setxattr(at("acls"), name, acl, size, 0), 0);
	EQUAL(setxattr(at("acls"), name, acl, size, XATTR_CREATE), 0);
	EQUAL(getxattr(at("acls"), name, NULL, 0), size);
	EQUAL(setxattr(at("acls"), name, empty, sizeof(empty), 0), 0);
	FAILS(getxattr(at("acls"), name, NULL, 0), ENODATA);
	EQUAL(setxattr(at("acls"), name, acl, size, 0), 0);
	EQUAL(setxattr(at("acls"), name, NULL, 0, 0), 0);
	FAILS(getxattr(at("acls"), name, NULL, 0), ENODATA);
	EQUAL(setxattr(at("acls"), name, acl, size, XATTR_REPLACE), 0);
	EQUAL(removexattr(at("acls"), name), 0);
	FAILS(getxattr(at("acls"), name, NULL, 0), ENODATA);
	EQUAL(removexattr(at("acls"), name), 0);
}

/* What is no ACL is not kept, under either name. */
static void acls_refused(void)
{
	FAILS(SET(at("acls"), "access", ACL(OWNER, GROUP, NAMED, MASK, OTHERS)), EINVAL);
	FAILS(SET(at("acls"), "access", ACL(OWNER, OWNER, GROUP, OTHERS)), EINVAL);
	FAILS(SET(at("acls"), "access", ACL(OWNER, NAMED, GROUP, OTHERS)), EINVAL);
	FAILS(SET(at("acls"), "access", ACL(OWNER, ENTRY(2, 5, 255), GROUP, MASK, OTHERS)), EINVAL);
	FAILS(SET(at("acls"), "default", ACL(OWNER, GROUP, NAMED, MASK, OTHERS)), EINVAL);
	FAILS(SET(at("acls"), "default", ACL(OWNER, GROUP)), EINVAL);
	FAILS(SET(at("acls"), "default", ACL(1, 0)), EINVAL);
	FAILS(setxattr(at("acls"), "system.posix_acl_default", "\3\0\0", 4, 0), EOPNOTSUPP);
	FAILS(SET(at("acls/f"), "default", ACL(OWNER, GROUP, OTHERS)), EACCES);
	EQUAL(removexattr(at("acls/f"), "system.posix_acl_default"), 0);
	EQUAL(listxattr(at("acls"), NULL, 0), 0);
}

static void access_control_lists(void)
{
	EQUAL(mkdir(at("acls"), 0700), 0);
	EQUAL(close(open(at("acls/f"), O_WRONLY | O_CREAT, 0600)), 0);
	acls_removed("system.posix_acl_access");
	acls_removed("system.posix_acl_default");
	acls_refused();
	EQUAL(SET(at("acls"), "access", ACL(OWNER, NAMED, GROUP, MASK, OTHERS)), 0);
	EQUAL(stat(at("acls"), &st), 0);
	EQUAL(st.st_mode & 07777, 0764);
	EQUAL(SET(at("acls"), "default", ACL(OWNER, GROUP, OTHERS)), 0);
	EQUAL(getxattr(at("acls"), "system.posix_acl_default", NULL, 0), 28);
	EQUAL(unlink(at("acls/f")), 0);
	EQUAL(rmdir(at("acls")), 0);
}

MAIN(access_control_lists, modes_by_attribute, by_every_way, modes_and_owners, times, permissions, extended, file_systems)
