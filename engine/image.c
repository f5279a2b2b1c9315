/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "engine/image.h"

enum {
	LOOK_BYTES = 64 * 1024 + 4096,
	HOLDER_LOOKS = 20,
	HOLDER_PAUSE_NS = 25000000,
};

/* ---- who has it ---------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The beginning of a file of /proc; all zero where there is none. */
static void proc_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(text, 0, size);
	if (fd < 0)
		return;
	if (read(fd, text, size - 1) < 0)
		text[0] = '\0';
	close(fd);
}

/* By this descriptor it is locked; others may have it open just now to see that they cannot have it. */
static bool descriptor_locks(const char *pid, const char *number)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", pid, number);
	proc_read(path, text, sizeof(text));
	return strstr(text, " FLOCK ");
}

static bool process_has(const char *pid, const struct stat *image)
{
	char path[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !has && (entry = readdir(dir)))
		has = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && same_file(&st, image) &&
		      descriptor_locks(pid, entry->d_name);
	if (dir)
		closedir(dir);
	return has;
}

/* The last word of a service's command line, and of the title of a process that builds a place. */
static bool process_pool(const char *pid, char *ret, size_t size)
{
	static const char service[] = "polytropon-service\0--boot", builder[] = "polytropon builds pool ";
	char path[64], text[512];
	const char *name = NULL;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	proc_read(path, text, sizeof(text));
	if (!memcmp(text, service, sizeof(service)))
		name = text + sizeof(service);
	else if (!strncmp(text, builder, strlen(builder)))
		name = text + strlen(builder);
	if (!name || !*name)
		return false;
	snprintf(ret, size, "%.63s", name);
	return true;
}

static bool holder_find(const struct stat *image, char *ret, size_t size)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir("/proc");

	while (dir && !found && (entry = readdir(dir)))
		found = isdigit((unsigned char)entry->d_name[0]) &&
			process_pool(entry->d_name, ret, size) && process_has(entry->d_name, image);
	if (dir)
		closedir(dir);
	return found;
}

/* While a service is started again nobody can be named. */
static int in_use(const char *path, struct error *error)
{
	const struct timespec pause = {.tv_nsec = HOLDER_PAUSE_NS};
	char pool[128];
	struct stat st;
	bool found = false;

	for (unsigned n = 0; n < HOLDER_LOOKS && !found && stat(path, &st) == 0; n++) {
		if (n)
			nanosleep(&pause, NULL);
		found = holder_find(&st, pool, sizeof(pool));
	}
	if (found)
		return error_set(error, -EBUSY, "image '%s' is in use by pool '%s'", path, pool);
	return error_set(error, -EBUSY, "image '%s' is in use", path);
}

/* ---- opening ------------------------------------------------------------------------------------- */

int image_claim(struct image *image, struct error *error)
{
	/* Whoever reads shares; so a reader refuses, and is refused by, whoever writes. */
	int how = (fcntl(image->fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? LOCK_SH : LOCK_EX;

	if (flock(image->fd, how | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? in_use(image->path, error)
				    : error_errno(error, errno, "lock image '%s'", image->path);
}

static int image_look(struct image *image, struct error *error)
{
	struct stat st;

	if (fstat(image->fd, &st) < 0)
		return error_errno(error, errno, "image '%s'", image->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(error, -EINVAL, "image '%s' is neither a file nor a block device",
				 image->path);
	image->device = S_ISBLK(st.st_mode);
	image->size = st.st_size;
	if (image->device && ioctl(image->fd, BLKGETSIZE64, &image->size) < 0)
		return error_errno(error, errno, "image '%s'", image->path);
	image->empty =
	    !image->device && (st.st_size == 0 || (lseek(image->fd, 0, SEEK_DATA) < 0 && errno == ENXIO));
	return 0;
}

/* Looks first: the mere opening of some files does something. */
static int open_flags(const char *path, unsigned how)
{
	int flags = (how & IMAGE_READ ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT && how & IMAGE_MAKE ? flags | O_CREAT | O_EXCL : flags;
	return S_ISBLK(st.st_mode) ? flags | O_EXCL : flags;
}

int image_open(const char *path, unsigned how, struct image *ret, struct error *error)
{
	int flags = open_flags(path, how), r;
	struct image image = {.fd = open(path, flags | O_DIRECT, 0600), .made = flags & O_CREAT};

	if (image.fd < 0 && errno == EINVAL)
		image.fd =
		    open(path, flags & ~O_EXCL, 0600); /* O_CREAT has made the file before it refused */
	if (image.fd < 0 && errno == EBUSY)
		return in_use(path, error);
	if (image.fd < 0)
		return error_errno(error, errno, "open image '%s'", path);
	image.path = strdup(path);
	r = image.path ? 0 : error_errno(error, ENOMEM, "open image '%s'", path);
	if (r == 0)
		r = image_claim(&image, error);
	if (r == 0)
		r = image_look(&image, error);
	if (r < 0)
		image_fini(&image);
	else
		*ret = image;
	return r;
}

int image_open_nameless(struct image *ret, struct error *error)
{
	const char *dir = getenv("TMPDIR") && *getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[PATH_MAX];

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		snprintf(path, sizeof(path), "%s/polytropon-XXXXXX", dir);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0)
		return error_errno(error, errno, "make an image in '%s'", dir);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT);
	*ret = (struct image){.fd = fd, .empty = true, .made = true, .path = strdup(IMAGE_NAMELESS)};
	return ret->path ? 0 : error_errno(error, ENOMEM, "make an image in '%s'", dir);
}

int image_grow(struct image *image, uint64_t size, struct error *error)
{
	if (image->device || image->size >= size)
		return 0;
	if (ftruncate(image->fd, size) < 0)
		return error_errno(error, errno, "give image '%s' %llu bytes", image->path,
				   (unsigned long long)size);
	image->size = size;
	return 0;
}

void image_fini(struct image *image)
{
	close_p(&image->fd);
	free(image->path);
	image->path = NULL;
}

/* ---- what is on it ------------------------------------------------------------------------------- */

static const struct magic {
	uint32_t offset;
	const char *bytes, *what;
} magics[] = {
    {0, "PLTVOL01", "a volume"},
    {15 * 4096, "PLTVOL01", "a volume"},
    {0, "PLTYMIRR", "a part of a mirror"},
    {1080, "\x53\xef", "an ext2, ext3 or ext4 file system"},
    {65600, "_BHRfS_M", "a btrfs file system"},
    {0, "XFSB", "an xfs file system"},
    {1024, "\x10\x20\xf5\xf2", "an f2fs file system"},
    {3, "NTFS    ", "an ntfs file system"},
    {54, "FAT", "a fat file system"},
    {82, "FAT32", "a fat file system"},
    {0, "hsqs", "a squashfs file system"},
    {0, "LUKS\xba\xbe", "an encrypted device"},
    {512, "LABELONE", "a part of a volume group"},
    {4086, "SWAPSPACE2", "swap space"},
    {512, "EFI PART", "a partition table"},
    {510, "\x55\xaa", "a partition table"},
    {0, "QFI\xfb", "a qcow2 image"},
};

static ssize_t read_start(const struct image *image, uint8_t *buf)
{
	ssize_t n, done = 0;

	while (done < LOOK_BYTES) {
		n = pread(image->fd, buf + done, LOOK_BYTES - done, done);
		if (n <= 0)
			return n < 0 ? -errno : done;
		done += n;
	}
	return done;
}

const char *image_holds(const struct image *image)
{
	uint8_t *buf = aligned_alloc(4096, LOOK_BYTES);
	ssize_t n = buf ? read_start(image, buf) : -ENOMEM;
	const char *what = n < 0 ? "something that cannot be read" : NULL;

	for (size_t i = 0; i < ARRAY_LEN(magics) && !what; i++)
		if (magics[i].offset + strlen(magics[i].bytes) <= (size_t)n &&
		    !memcmp(buf + magics[i].offset, magics[i].bytes, strlen(magics[i].bytes)))
			what = magics[i].what;
	for (ssize_t i = 0; i < n && !what; i++)
		if (buf[i])
			what = "something";
	free(buf);
	return what;
}
