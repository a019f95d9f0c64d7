/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Shared by the C tests: checks that end a test, a ring with a drainer, and the ring's raw pages. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The size of the tests' rings: as small as a ring may be where pages are largest. */
enum { SIZE = 65536 };

/* Ends the program: later tests can't rely on the state that a failed one leaves. */
#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s: not so: %s (errno %d, %s)\n", __FILE__, __LINE__,        \
				__func__, #condition, errno, strerror(errno));                               \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

#define CHECK_EQ(got, want)                                                                                  \
	do {                                                                                                 \
		long long got_ = (long long)(got), want_ = (long long)(want);                                \
		if (got_ != want_) {                                                                         \
			fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__,   \
				#got, got_, want_);                                                          \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

/* A call that returns NULL, or -1, with this errno. */
#define CHECK_NULL(call, error)                                                                              \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		CHECK((call) == NULL);                                                                       \
		CHECK_EQ(errno, error);                                                                      \
	} while (0)
#define CHECK_FAILS(call, error)                                                                             \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		CHECK_EQ(call, -1);                                                                          \
		CHECK_EQ(errno, error);                                                                      \
	} while (0)

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(function) { #function, function }

/* Runs the tests and prints "ok NAME" for each. Returns 0. */
int run_tests(const char *program, const struct test *tests, size_t count);

/* A map, and a process that drains it: a program in the kernel hands its samples over. */
struct ring {
	int fd;
	uint32_t size;
	int ask, answer;
	int child;
	/* The samples of the last drain, each after eight bytes that begin with its length. */
	unsigned char *samples;
	size_t bytes, capacity;
	uint32_t logged;
};

/* Makes a ring of size bytes. */
void ring_make(struct ring *ring, uint32_t size);
void ring_end(struct ring *ring);

enum { NO_WAKEUP = 1, FORCE_WAKEUP = 2 };

/* Drains. Returns what bpf_user_ringbuf_drain returns: the number of samples, or a negative error number. */
int ring_drain(struct ring *ring, uint32_t flags);
/* Like ring_drain, but stops after so many samples. */
int ring_drain_some(struct ring *ring, uint32_t flags, uint32_t stop_after);
/* The sample number n of the last drain, and its length. */
const void *ring_sample(const struct ring *ring, uint32_t n, uint32_t *len);

/* A thread that drains after so many milliseconds. */
struct kick;
struct kick *ring_kick(struct ring *ring, int after_ms, uint32_t flags);
void kick_wait(struct kick *kick);

/* The ring's pages, mapped once more by hand. */
struct pages {
	const uint64_t *consumer;
	uint64_t *producer;
	unsigned char *data;
	size_t len;
};

void pages_map(struct pages *pages, const struct ring *ring);
void pages_unmap(struct pages *pages);
uint32_t pages_header(const struct pages *pages, uint64_t offset);

#define BUSY 0x80000000u
#define DISCARD 0x40000000u

/* Milliseconds on the monotonic clock, and of CPU that this process has used. */
double now_ms(void);
double cpu_ms(void);

/* Open descriptors and mappings of this process. */
int open_fds(void);
int mappings(void);

#endif
