/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program that knows of libbpf only. It exercises the six functions and prints what they do; run with this library
 * preloaded it prints the same, but for the lines marked (*), where libbpf is wrong.
 */
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <stdarg.h>

#include "check.h"

static const char *name_of(int error)
{
	return error == 0 ? "no error" : strerrorname_np(error);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int main(void)
{
	struct user_ring_buffer_opts opts = { .sz = 7 };
	struct user_ring_buffer *rb;
	struct ring ring;
	char *first, *second;
	int count = 0;

	libbpf_set_print(quiet);
	ring_make(&ring, SIZE);

	errno = 0;
	rb = user_ring_buffer__new(ring.fd, &opts);
	printf("    new, sz 7:                  %s, %s\n", rb ? "a handle" : "NULL", name_of(errno));
	errno = 0;
	rb = user_ring_buffer__new(500, NULL);
	printf("    new, closed descriptor:     %s, %s\n", rb ? "a handle" : "NULL", name_of(errno));
	rb = user_ring_buffer__new(ring.fd, NULL);
	printf("    new:                        %s\n", rb ? "a handle" : "NULL");
	CHECK(rb != NULL);

	first = user_ring_buffer__reserve(rb, 13);
	second = user_ring_buffer__reserve(rb, 5);
	printf("    reserve 13, then 5:         %td bytes apart, headers %08x %08x\n", second - first, ring_header(&ring, 0),
	       ring_header(&ring, 24));
	memcpy(first, "thirteen byte", 13);
	memcpy(second, "five!", 5);
	user_ring_buffer__submit(rb, second);
	printf("    submit the second:          headers %08x %08x, drained %d\n", ring_header(&ring, 0),
	       ring_header(&ring, 24), ring_drain(&ring, 0));
	user_ring_buffer__submit(rb, first);
	printf("    submit the first:           drained %d", ring_drain(&ring, 0));
	printf(": %.13s", (const char *)ring_sample(&ring, 0, NULL));
	printf(", %.5s\n", (const char *)ring_sample(&ring, 1, NULL));

	for (char *sample; (sample = user_ring_buffer__reserve(rb, 40)) != NULL; count++)
		user_ring_buffer__discard(rb, sample);
	printf("    discard until full:         %d times, then %s\n", count, name_of(errno));
	printf("    drain what was discarded:   %d\n", ring_drain(&ring, 0));
	errno = 0;
	CHECK(user_ring_buffer__reserve(rb, SIZE - 7) == NULL);
	printf("    reserve too much:           %s\n", name_of(errno));
	errno = 0;
	CHECK(user_ring_buffer__reserve_blocking(rb, 8, -2) == NULL);
	printf("    reserve_blocking, -2:       %s\n", name_of(errno));

	user_ring_buffer__free(rb);
	ring_end(&ring);

	/* A ring with 16 bytes free. */
	ring_make(&ring, SIZE);
	rb = user_ring_buffer__new(ring.fd, NULL);
	CHECK(rb != NULL);
	user_ring_buffer__submit(rb, user_ring_buffer__reserve(rb, SIZE - 24));
	double start = now_ms(), cpu = cpu_ms();
	errno = 0;
	CHECK(user_ring_buffer__reserve_blocking(rb, 64, 300) == NULL);
	printf("    reserve_blocking, 300 ms:   %s after %s\n", name_of(errno), now_ms() - start >= 299 ? "300 ms" : "less");
	printf("(*) CPU used meanwhile:         %s\n", cpu_ms() - cpu > 60 ? "all there was" : "next to none");
	struct kick *kick = ring_kick(&ring, 100, 0);
	start = now_ms();
	errno = 0;
	void *sample = user_ring_buffer__reserve_blocking(rb, 64, -1);
	int error = errno;
	printf("(*) reserve_blocking, -1:       %s\n", sample ? "a sample, when there was room" : name_of(error));
	kick_wait(kick);
	if (sample != NULL)
		user_ring_buffer__discard(rb, sample);
	user_ring_buffer__free(rb);
	ring_end(&ring);

	ring_make(&ring, 1 << 25);
	rb = user_ring_buffer__new(ring.fd, NULL);
	CHECK(rb != NULL);
	errno = 0;
	sample = user_ring_buffer__reserve(rb, 1 << 24);
	error = errno;
	printf("(*) reserve 16 MiB:             %s\n", sample ? "a sample" : name_of(error));
	if (sample != NULL)
		user_ring_buffer__discard(rb, sample);
	printf("(*) and drain:                  %s\n", name_of(-ring_drain(&ring, 0)));
	user_ring_buffer__free(rb);
	user_ring_buffer__free(NULL);
	ring_end(&ring);
	return 0;
}
