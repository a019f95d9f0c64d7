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
#include <sys/resource.h>

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

/* A call that leaves this errno, and returns nothing, NULL, or -1. */
#define CHECK_ERRNO(call, error)                                                                             \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		call;                                                                                        \
		CHECK_EQ(errno, error);                                                                      \
	} while (0)
#define CHECK_NULL(call, error) CHECK_ERRNO(CHECK((call) == NULL), error)
#define CHECK_FAILS(call, error) CHECK_ERRNO(CHECK_EQ(call, -1), error)

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* TEST(what_it_shows) { ... } is a test. main runs them in the order of the file, and prints "ok NAME" for each. */
#define TEST(name)                                                                                           \
	static void name(void);                                                                              \
	__attribute__((constructor)) static void add_##name(void)                                            \
	{                                                                                                    \
		add_test(#name, name);                                                                       \
	}                                                                                                    \
	static void name(void)

void add_test(const char *name, void (*run)(void));

/* The ring of the tests, and a handle of it: begin makes both anew, and end frees them. */
#define FIXTURE(handle, new_handle, free_handle)                                                             \
	static struct ring ring;                                                                             \
	static handle *rb;                                                                                   \
	static void begin(uint32_t size)                                                                     \
	{                                                                                                    \
		ring_make(&ring, size);                                                                      \
		rb = new_handle(ring.fd, NULL);                                                              \
		CHECK(rb != NULL);                                                                           \
	}                                                                                                    \
	static void end(void)                                                                                \
	{                                                                                                    \
		free_handle(rb);                                                                             \
		ring_end(&ring);                                                                             \
	}

/* A test on a ring of so many bytes, between begin and end. */
#define ON_RING(name, size)                                                                                  \
	static void name##_on_ring(void);                                                                    \
	TEST(name)                                                                                           \
	{                                                                                                    \
		begin(size);                                                                                 \
		name##_on_ring();                                                                            \
		end();                                                                                       \
	}                                                                                                    \
	static void name##_on_ring(void)

/* A map, its pages, mapped by hand, and a process that drains it: a program in the kernel hands its samples over. */
struct ring {
	int fd;
	uint32_t size;
	const uint64_t *consumer;
	uint64_t *producer;
	unsigned char *data;
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

enum { NO_WAKEUP = 1 };

/* Drains. Returns what bpf_user_ringbuf_drain returns: the number of samples, or a negative error number. */
int ring_drain(struct ring *ring, uint32_t flags);
/* The sample number n of the last drain, and its length, unless len is NULL. */
const void *ring_sample(const struct ring *ring, uint32_t n, uint32_t *len);
/* Whether the sample number n of the last drain consists of these bytes. */
bool ring_has(const struct ring *ring, uint32_t n, const void *bytes, uint32_t len);
/* The length word of the header at this offset. */
uint32_t ring_header(const struct ring *ring, uint64_t offset);

/* A thread that drains after so many milliseconds. */
struct kick;
struct kick *ring_kick(struct ring *ring, int after_ms, uint32_t flags);
void kick_wait(struct kick *kick);

#define BUSY 0x80000000u
#define DISCARD 0x40000000u

/* bpf(2) without the library under test: any command, a new map, and a map once more, by a file of its own. */
union bpf_attr;
int bpf(int command, union bpf_attr *attr);
int map_make(int type, int key_size, int value_size, uint32_t entries);
int map_again(int fd);

/* Sets a soft limit of this process. Returns what it was. */
rlim_t limit_to(int resource, rlim_t soft);

/* Milliseconds on the monotonic clock, and of CPU that this process has used. */
double now_ms(void);
double cpu_ms(void);

/* Open descriptors and mappings of this process. */
int open_fds(void);
int mappings(void);

#endif
