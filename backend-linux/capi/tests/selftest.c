/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the kernel's own selftest of user ring buffers expects of the map and of libbpf, over this library's header. That
 * samples are drained, that one may fill the ring, and that a drain ends a blocked reservation is shown in contract.c.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include <user_ringbuf.h>

#include "check.h"

enum { SAMPLE = 40 };

FIXTURE(struct user_ring_buffer, user_ring_buffer__new, user_ring_buffer__free)

/* Writes one sample of size bytes, each of them `with`. Returns 0 or a negative error number. */
static int write_sample(uint32_t size, int with)
{
	void *sample = user_ring_buffer__reserve(rb, size);

	if (sample == NULL)
		return -errno;
	memset(sample, with, size);
	user_ring_buffer__submit(rb, sample);
	return 0;
}

ON_RING(the_kernel_protects_the_consumer_page_and_lends_the_rest, 4 * SIZE)
{
	size_t page = sysconf(_SC_PAGESIZE);

	CHECK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EPERM);
	void *consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, ring.fd, 0);
	CHECK(consumer != MAP_FAILED);
	CHECK_FAILS(mprotect(consumer, page, PROT_READ | PROT_WRITE), EACCES);
	CHECK(mremap(consumer, 0, 4 * page, MREMAP_MAYMOVE) == MAP_FAILED);
	munmap(consumer, page);
	void *producer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, page);
	void *data = mmap(NULL, page, PROT_WRITE, MAP_SHARED, ring.fd, 2 * page);
	CHECK(producer != MAP_FAILED && data != MAP_FAILED);
	munmap(producer, page);
	munmap(data, page);
}

/* A header and a producer position by hand, beside an open handle. */
static void by_hand(uint32_t len, uint64_t position, int error)
{
	begin(SIZE);
	memcpy(ring.data, &len, sizeof(len));
	__atomic_store_n(ring.producer, position + 8, __ATOMIC_RELEASE);
	CHECK_EQ(ring_drain(&ring, 0), error);
	CHECK_EQ(ring.logged, 0);
	CHECK_EQ(*ring.consumer, 0);
	end();
}

TEST(misaligned_wrong_and_overlong_records_are_refused_by_the_kernel)
{
	by_hand((1 << 5) + 7, (1 << 5) + 7, -EINVAL);
	by_hand(1 << 5, (1 << 5) - 8, -EINVAL);
	by_hand(SIZE, SIZE, -E2BIG);
}

ON_RING(odd_sizes_are_aligned, SIZE)
{
	uint32_t len;

	for (uint32_t size = 0; size < 32; size++)
		CHECK_EQ(write_sample(size, (int)size), 0);
	CHECK_EQ(ring_drain(&ring, 0), 32);
	for (uint32_t size = 0; size < 32; size++) {
		const unsigned char *sample = ring_sample(&ring, size, &len);
		CHECK_EQ(len, size);
		CHECK(len == 0 || (sample[0] == size && sample[len - 1] == size));
	}
}

ON_RING(a_full_ring_says_so_and_keeps_what_it_has, SIZE)
{
	int count = 0, error;

	while ((error = write_sample(SAMPLE, count)) == 0)
		count++;
	CHECK_EQ(error, -ENOSPC);
	CHECK_EQ(count, SIZE / (SAMPLE + 8));
	CHECK_EQ(ring_drain(&ring, 0), count);
	CHECK_EQ(write_sample(SAMPLE, 0), 0);
}

ON_RING(discarded_samples_are_skipped_and_their_room_comes_back, SIZE)
{
	int discarded = 0, written = 0;
	void *sample;

	while ((sample = user_ring_buffer__reserve(rb, SAMPLE)) != NULL) {
		user_ring_buffer__discard(rb, sample);
		discarded++;
	}
	CHECK_EQ(errno, ENOSPC);
	CHECK(discarded > 0);
	CHECK_EQ(ring_drain(&ring, 0), 0);
	CHECK_EQ(ring.logged, 0);
	while (written < discarded && write_sample(SAMPLE, written) == 0)
		written++;
	CHECK_EQ(written, discarded);
	CHECK_EQ(ring_drain(&ring, 0), written);
}

ON_RING(many_laps_lose_nothing, SIZE)
{
	uint64_t number = 0, next = 0;

	for (int lap = 0; lap < 200; lap++) {
		uint64_t *sample;
		while ((sample = user_ring_buffer__reserve(rb, SAMPLE)) != NULL) {
			*sample = number++;
			user_ring_buffer__submit(rb, sample);
		}
		int drained = ring_drain(&ring, 0);
		for (int n = 0; n < drained; n++)
			CHECK_EQ(*(const uint64_t *)ring_sample(&ring, n, NULL), next++);
	}
	CHECK_EQ(next, number);
	CHECK(number > 10000);
}
