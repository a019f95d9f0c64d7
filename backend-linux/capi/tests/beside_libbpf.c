/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program that links libbpf.a, uses its ring buffers, and this library under its own prefix: no name is there twice,
 * if libbpf.a stands first on the linker's command line, or if the program does not use libbpf's user_ring_buffer (ONLY_OURS).
 */
#include <bpf/libbpf.h>
#include <user_ringbuf.h>

#include "check.h"

static int each(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	return 0;
}

TEST(both_libraries_work_on_one_ring)
{
	struct ring ring;

	ring_make(&ring, SIZE);
	struct uringbuf *ours = uringbuf_new(ring.fd, NULL);
	CHECK(ours != NULL);
#ifdef ONLY_OURS
	struct uringbuf *theirs = uringbuf_new(ring.fd, NULL);
	CHECK(theirs != NULL);
#define user_ring_buffer__reserve uringbuf_reserve
#define user_ring_buffer__submit uringbuf_submit
#define user_ring_buffer__free uringbuf_free
#else
	struct user_ring_buffer *theirs = user_ring_buffer__new(ring.fd, NULL);
	CHECK(theirs != NULL);
#endif
	for (int n = 0; n < 20; n += 2) {
		int *sample = user_ring_buffer__reserve(theirs, sizeof(int));
		*sample = n;
		user_ring_buffer__submit(theirs, sample);
		sample = uringbuf_reserve(ours, sizeof(int));
		*sample = n + 1;
		CHECK_EQ(uringbuf_submit(ours, sample), 0);
	}
	CHECK_EQ(ring_drain(&ring, 0), 20);
	for (int n = 0; n < 20; n++)
		CHECK(ring_has(&ring, n, &n, sizeof(n)));
	/* From the object file of libbpf's that has the other names as well. */
	libbpf_set_print(NULL);
	CHECK(ring_buffer__new(ring.fd, each, NULL, NULL) == NULL);
	user_ring_buffer__free(theirs);
	uringbuf_free(ours);
	ring_end(&ring);
#ifndef ONLY_OURS
	/* It is libbpf's that does this. */
	ring_make(&ring, 1 << 25);
	theirs = user_ring_buffer__new(ring.fd, NULL);
	CHECK(user_ring_buffer__reserve(theirs, 1 << 24) != NULL);
	user_ring_buffer__free(theirs);
	ring_end(&ring);
#endif
}
