/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without a fuzzer: on the files named, or with a number, on so many random inputs.
 * With one: clang -fsanitize=fuzzer,address -I. tests/fuzz/ipc-queue.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1024 };

static int run_file(const char *path)
{
	static uint8_t data[65536];
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	return LLVMFuzzerTestOneInput(data, size);
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

		if (count > 0)
			run_random(count);
		else
			failed |= run_file(argv[i]);
	}
	return failed;
}
