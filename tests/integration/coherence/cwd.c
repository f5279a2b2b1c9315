/* SPDX-License-Identifier: Apache-2.0 */
/* Asks where it is, again and again: cwd DIR FILE goes to DIR and ends when FILE is there; 1 if it was not told once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long asked = 0, failed = 0;
	char buf[4096];

	if (argc != 3 || chdir(argv[1]) < 0) {
		fprintf(stderr, "cwd DIR FILE: %s\n", strerror(errno));
		return 2;
	}
	for (; access(argv[2], F_OK) < 0; asked++)
		if (!getcwd(buf, sizeof(buf)) || strcmp(buf, argv[1]))
			failed++;
	printf("asked %ld times, %ld in vain\n", asked, failed);
	return failed != 0 || asked == 0;
}
