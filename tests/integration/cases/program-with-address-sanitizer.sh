# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086
# Programs with AddressSanitizer, whose shared runtime bears no library before it, run, by the fast door, and say what is wrong.
cat >program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	char *text = malloc(8), got[8] = "";
	FILE *f = fopen("/data/f", "w+");

	strcpy(text, "written");
	if (!f || fwrite(text, 1, 8 + argc - 1, f) < 8 || fseek(f, 0, SEEK_SET) || fread(got, 1, 8, f) != 8)
		return 1;
	free(text);
	puts(got);
	return fclose(f);
}
C
cc -g -fsanitize=address -o gcc program.c
clang -g -fsanitize=address -o clang program.c
clang -g -fsanitize=address -shared-libasan -Wl,-rpath,"$(clang -print-resource-dir)/lib/linux" -o clang-shared program.c
cc -g -fsanitize=thread -o thread program.c
for program in gcc clang clang-shared thread; do
  same written mem ./$program
  same written host env POLYTROPON_MODE=off ./$program
done
for program in gcc clang clang-shared; do
  expect 1 mem ./$program beyond >out 2>&1
  grep -q 'heap-buffer-overflow' out || fail "$program: $(cat out)"
done
