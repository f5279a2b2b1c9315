/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without a fuzzer: on the files named, on those in the directories named, or with a number, on so
 * many random inputs. With a fuzzer: tests/fuzz/run.sh.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1024 };

/* In memory of just that size, so that a sanitizer sees what reads on. */
static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;
	int failed;

	if (file && fstat(fileno(file), &st) == 0)
		data = malloc((size_t)st.st_size + 1);
	if (!data || fread(data, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	data = realloc(data, st.st_size ? (size_t)st.st_size : 1);
	failed = LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	return failed;
}

static int run_directory(const char *path, DIR *dir)
{
	struct dirent *d;
	int failed = 0, count = 0;
	char name[4096];

	for (; (d = readdir(dir)); count += d->d_name[0] != '.') {
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		if (d->d_name[0] != '.')
			failed |= run_file(name);
	}
	closedir(dir);
	if (count == 0)
		fprintf(stderr, "%s: nothing there\n", path);
	return failed || count == 0;
}

static void run_random(long count)
{
	uint8_t data[INPUT_MAX];
	unsigned seed = 1;

	for (; count > 0; count--) {
		size_t size = (size_t)rand_r(&seed) % INPUT_MAX;

		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)(rand_r(&seed) >> 8);
		LLVMFuzzerTestOneInput(data, size);
	}
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		long count = strtol(argv[i], NULL, 10);
		DIR *dir = count > 0 ? NULL : opendir(argv[i]);

		if (count > 0)
			run_random(count);
		else
			failed |= dir ? run_directory(argv[i], dir) : run_file(argv[i]);
	}
	return failed;
}
