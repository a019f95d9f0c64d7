/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Publishes its arguments into a pinned ring: the first in place, the rest as a batch.
 *
 *     cc publish.c $(pkg-config --cflags --libs user-ringbuf) -o publish
 *     ./publish /sys/fs/bpf/ring hello from C
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <user_ringbuf.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s PIN SAMPLE...\n", argv[0]);
		return 2;
	}
	int map = uringbuf_map_open(argv[1]);
	if (map < 0)
		return fail(argv[1]);
	struct uringbuf *rb = uringbuf_new(map, NULL);
	if (rb == NULL)
		return fail("uringbuf_new");

	/* In place, waiting up to a second for room. */
	size_t len = strlen(argv[2]);
	void *sample = uringbuf_reserve_blocking(rb, (uint32_t)len, 1000);
	if (sample == NULL)
		return fail("uringbuf_reserve_blocking");
	memcpy(sample, argv[2], len);
	uringbuf_submit(rb, sample);

	/* The kernel sees all of the rest at once, or none of it. */
	size_t count = (size_t)argc - 3;
	struct iovec *rest = calloc(count + 1, sizeof(*rest));
	if (rest == NULL)
		return fail("calloc");
	for (size_t n = 0; n < count; n++)
		rest[n] = (struct iovec){ argv[n + 3], strlen(argv[n + 3]) };
	if (uringbuf_push_batch(rb, rest, count) != 0)
		return fail("uringbuf_push_batch");
	free(rest);

	struct uringbuf_state state = { .sz = sizeof(state) };
	if (uringbuf_inspect(map, &state) != 0)
		return fail("uringbuf_inspect");
	printf("%llu samples are in the ring\n", (unsigned long long)state.submitted);
	uringbuf_free(rb);
	close(map);
	return 0;
}
