/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes things of all kinds in directories with and without default ACLs, by several users with several umasks, as chance
 * has it (but chance is the same for one seed), and prints what came of it, and who may do what with it then. On any two
 * file systems that keep ACLs, the same must be printed:
 *
 *   default DIRECTORY SEED ROUNDS [made]
 *
 * With "made", only what came of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum { ENTRIES = 40, LARGE = 900 };

static const struct user {
	uid_t uid;
	gid_t gid, also;
} users[] = {{0, 0, 0}, {1000, 1000, 2000}, {1001, 1000, 1000}, {1002, 1002, 2001}};

static uint64_t state;

/* The same everywhere, which random(3) is not. */
static unsigned chance(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % n;
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[LARGE + 6];
};

static void add(struct acl *acl, size_t *n, unsigned tag, uint32_t id)
{
	acl->entry[(*n)++] = (struct posix_acl_xattr_entry){tag, chance(8), id};
}

/* Of how many bytes. `most` named users, and as many groups. */
static size_t acl_make(struct acl *acl, unsigned most)
{
	unsigned people = chance(2) ? chance(most + 1) : 0, groups = chance(2) ? chance(most + 1) : 0;
	size_t n = 0;

	acl->header.a_version = POSIX_ACL_XATTR_VERSION;
	add(acl, &n, ACL_USER_OBJ, ACL_UNDEFINED_ID);
	for (unsigned i = 0; i < people; i++)
		add(acl, &n, ACL_USER, 1000 + i);
	add(acl, &n, ACL_GROUP_OBJ, ACL_UNDEFINED_ID);
	for (unsigned i = 0; i < groups; i++)
		add(acl, &n, ACL_GROUP, i < 3 ? 1000 * i : 2000 + i);
	if (people || groups || chance(4) == 0)
		add(acl, &n, ACL_MASK, ACL_UNDEFINED_ID);
	add(acl, &n, ACL_OTHER, ACL_UNDEFINED_ID);
	return sizeof(acl->header) + n * sizeof(acl->entry[0]);
}

static void print_acl(const char *path, const char *name)
{
	static char value[65536];
	ssize_t size = lgetxattr(path, name, value, sizeof(value));
	unsigned sum = 0;

	if (size < 0) {
		printf(" %s", errno == ENODATA || errno == EOPNOTSUPP ? "-" : strerror(errno));
		return;
	}
	for (ssize_t i = 0; i < size; i++)
		sum = sum * 31 + (unsigned char)value[i];
	printf(" %zd:", size);
	for (ssize_t i = sizeof(struct posix_acl_xattr_header); i < size && i < 132; i += 8)
		printf("%x%x", value[i], value[i + 2]);
	printf(":%x", sum);
}

static void print_what(const char *what, const char *path, int r)
{
	struct stat st;
	int error = errno;

	printf("%s", what);
	if (r < 0)
		printf(" %s", strerror(error));
	if (lstat(path, &st) < 0)
		printf(" not there\n");
	else {
		printf(" %o %u:%u", st.st_mode, st.st_uid, st.st_gid);
		print_acl(path, ACCESS);
		print_acl(path, DEFAULT);
		printf("\n");
	}
	fflush(stdout);
}

static void acl_set(const char *path, const char *name, unsigned most)
{
	static struct acl acl;
	size_t size = acl_make(&acl, most);

	print_what("set", path, setxattr(path, name, &acl, size, 0));
}

static int bound(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return r;
}

/* Closed again, if it is one. */
static int closed(int fd)
{
	return fd < 0 ? fd : close(fd);
}

/* A file that has no name at first. */
static int linked(const char *dir, const char *path, mode_t mode)
{
	int fd = open(dir, O_TMPFILE | O_RDWR, mode), r;
	char proc[64];

	if (fd < 0)
		return fd;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	r = linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
	close(fd);
	return r;
}

static void make(const char *dir, const char *path)
{
	static const mode_t usual[] = {0666, 0777, 0600, 0640, 0700};
	mode_t mode = chance(2) ? usual[chance(5)] : chance(010000);

	umask(chance(3) ? chance(01000) : 022);
	switch (chance(9)) {
	case 0:
	case 1:
		print_what("file", path, closed(open(path, O_CREAT | O_EXCL | O_WRONLY, mode)));
		break;
	case 2:
	case 3:
		print_what("directory", path, mkdir(path, mode));
		break;
	case 4:
		print_what("node", path, mknod(path, S_IFREG | mode, 0));
		break;
	case 5:
		print_what("fifo", path, mkfifo(path, mode));
		break;
	case 6:
		print_what("socket", path, bound(path));
		break;
	case 7:
		print_what("link", path, symlink("nowhere", path));
		break;
	case 8:
		print_what("nameless", path, linked(dir, path, mode));
		break;
	}
}

static void change(const char *path)
{
	switch (chance(5)) {
	case 0:
		print_what("chmod", path, chmod(path, chance(010000)));
		break;
	case 1:
		acl_set(path, ACCESS, 3);
		break;
	case 2:
		acl_set(path, DEFAULT, 3);
		break;
	case 3:
		print_what("remove", path, removexattr(path, chance(2) ? DEFAULT : ACCESS));
		break;
	default: /* it stays as it was made */
		break;
	}
}

/* In this directory, and in what is made there, which is as many levels deep. */
static void fill(const char *dir, unsigned depth)
{
	char path[256];
	struct stat st;

	for (unsigned i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		make(dir, path);
		if (lstat(path, &st) < 0 || S_ISLNK(st.st_mode))
			continue;
		change(path);
		if (S_ISDIR(st.st_mode) && depth > 0)
			fill(path, depth - 1);
		if (chance(4) == 0) /* its number may be another's */
			print_what("gone", path, S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path));
	}
}

/* What a user may do with it all. */
static void look(const char *dir, unsigned depth)
{
	char path[256];
	struct stat st;

	printf("%s", dir);
	for (int may = 1; may < 8; may++)
		printf(" %d", faccessat(AT_FDCWD, dir, may, AT_EACCESS) ? errno : 0);
	if (lstat(dir, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		printf(" %d", closed(open(dir, O_RDONLY)) ? errno : 0);
	printf("\n");
	for (unsigned i = 0; i < 6 && depth > 0; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		look(path, lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? depth - 1 : 0);
	}
}

static void as_user(const struct user *user, void (*run)(const char *, unsigned), const char *dir)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (setgroups(1, &user->also) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
		    setresuid(user->uid, user->uid, user->uid) < 0)
			_exit(2);
		run(dir, 3);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		exit(1);
}

static void round_of(unsigned number, int looks)
{
	const struct user *user = &users[chance(4)];
	char dir[32];

	snprintf(dir, sizeof(dir), "d%u", number);
	umask(0);
	print_what("top", dir, mkdir(dir, 0777));
	if (chance(8))
		acl_set(dir, DEFAULT, chance(16) ? 3 : ENTRIES);
	if (chown(dir, 0, chance(2) ? 0 : 2000) < 0 || chmod(dir, 0777 | (chance(2) ? 02000 : 0)) < 0)
		exit(1);
	print_what("top", dir, 0);
	as_user(user, fill, dir);
	chance(1000); /* what the child took of it does not count here */
	for (unsigned i = 0; looks && i < sizeof(users) / sizeof(users[0]); i++)
		as_user(&users[i], look, dir);
}

int main(int argc, char **argv)
{
	if ((argc != 4 && argc != 5) || chdir(argv[1]) < 0)
		return 2;
	state = strtoull(argv[2], NULL, 10);
	for (unsigned i = 0; i < (unsigned)atoi(argv[3]); i++)
		round_of(i, argc == 4);
	return 0;
}
