// SPDX-License-Identifier: Apache-2.0
// Exceptions, and the unwinding of a cancelled thread, through functions whose system calls are redirected.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <pthread.h>
#include <stdexcept>
#include <unistd.h>

static int ends[2], destroyed, caught;

struct guard {
	~guard()
	{
		__atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
	}
};

static void *blocked(void *)
{
	guard outer;
	try {
		guard inner;
		char byte;

		for (;;)
			if (read(ends[0], &byte, 1) < 0)
				abort();
	} catch (...) { // of a cancellation: it must go on
		__atomic_fetch_add(&caught, 1, __ATOMIC_RELAXED);
		throw;
	}
	return nullptr;
}

static int compare(const void *, const void *)
{
	if (write(ends[1], "x", 1) == 1)
		throw std::runtime_error("from inside qsort");
	return 0;
}

static void expect(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

int main()
{
	enum { ROUNDS = 50 };
	int numbers[] = {3, 1, 2}, thrown = 0;
	char byte;

	expect(pipe(ends) == 0, "pipe");
	for (int n = 0; n < ROUNDS; n++) {
		pthread_t thread;
		void *result;

		expect(pthread_create(&thread, nullptr, blocked, nullptr) == 0, "create");
		usleep(n * 40);
		expect(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0, "cancel");
		expect(result == PTHREAD_CANCELED, "not cancelled");
	}
	// a thread that is cancelled before it runs has nothing to destroy
	expect(caught > ROUNDS / 2 && destroyed == 2 * caught, "destructors");
	try {
		qsort(numbers, 3, sizeof(*numbers), compare);
	} catch (const std::runtime_error &) {
		thrown++;
	}
	expect(thrown == 1 && read(ends[0], &byte, 1) == 1, "exception");
	return 0;
}
