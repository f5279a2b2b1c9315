# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Under valgrind a program's calls are the kernel's, so that they are looked at, and nothing is said of our own.
cat >program.c <<'C'
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *data = argc > 1 ? malloc(8) : calloc(8, 1);
	int fd = open("/data/f", O_RDWR | O_CREAT, 0644);
	struct stat s;

	return !(write(fd, data, 8) == 8 && pread(fd, data, 8, 0) == 8 && stat("/data/f", &s) == 0 && s.st_size == 8);
}
C
cc -O1 -o program program.c
mem valgrind -q --error-exitcode=9 ./program >out 2>&1 || fail "status $?: $(cat out)"
[ ! -s out ] || fail "it said: $(cat out)"
expect 9 mem valgrind -q --error-exitcode=9 ./program unwritten >out 2>&1
grep -q 'write(buf) points to uninitialised' out || fail "$(cat out)"
