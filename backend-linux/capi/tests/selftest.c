/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the kernel's own selftest of user ring buffers expects of the map and of libbpf, over this library's header. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <user_ringbuf.h>

#include "check.h"

enum { SAMPLE = 40 };

static struct ring ring;
static struct user_ring_buffer *rb;

static void begin(uint32_t size)
{
	ring_make(&ring, size);
	rb = user_ring_buffer__new(ring.fd, NULL);
	CHECK(rb != NULL);
}

static void end(void)
{
	user_ring_buffer__free(rb);
	ring_end(&ring);
}

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

static void the_kernel_protects_the_consumer_page_and_lends_the_rest(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	begin(4 * SIZE);
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
	end();
}

/* A header and a producer position by hand, beside an open handle. */
static void by_hand(uint32_t len, uint64_t position, int error)
{
	struct pages pages;

	begin(SIZE);
	pages_map(&pages, &ring);
	memcpy(pages.data, &len, sizeof(len));
	__atomic_store_n(pages.producer, position + 8, __ATOMIC_RELEASE);
	CHECK_EQ(ring_drain(&ring, 0), error);
	CHECK_EQ(ring.logged, 0);
	CHECK_EQ(*pages.consumer, 0);
	pages_unmap(&pages);
	end();
}

static void misaligned_wrong_and_overlong_records_are_refused_by_the_kernel(void)
{
	by_hand((1 << 5) + 7, (1 << 5) + 7, -EINVAL);
	by_hand(1 << 5, (1 << 5) - 8, -EINVAL);
	by_hand(SIZE, SIZE, -E2BIG);
}

static void samples_that_are_written_are_drained(void)
{
	begin(SIZE);
	CHECK_EQ(ring_drain(&ring, 0), 0);
	CHECK_EQ(write_sample(SAMPLE, 1), 0);
	CHECK_EQ(write_sample(SAMPLE, 2), 0);
	CHECK_EQ(ring_drain(&ring, 0), 2);
	end();
}

static void one_sample_may_fill_the_ring(void)
{
	begin(SIZE);
	CHECK_EQ(write_sample(SIZE - 8, 3), 0);
	CHECK_EQ(ring_drain(&ring, 0), 1);
	CHECK_EQ(write_sample(SIZE - 7, 3), -E2BIG);
	end();
}

static void odd_sizes_are_aligned(void)
{
	uint32_t len;

	begin(SIZE);
	for (uint32_t size = 0; size < 32; size++)
		CHECK_EQ(write_sample(size, (int)size), 0);
	CHECK_EQ(ring_drain(&ring, 0), 32);
	for (uint32_t size = 0; size < 32; size++) {
		const unsigned char *sample = ring_sample(&ring, size, &len);
		CHECK_EQ(len, size);
		CHECK(len == 0 || (sample[0] == size && sample[len - 1] == size));
	}
	end();
}

static void a_full_ring_says_so_and_keeps_what_it_has(void)
{
	int count = 0, error;

	begin(SIZE);
	while ((error = write_sample(SAMPLE, count)) == 0)
		count++;
	CHECK_EQ(error, -ENOSPC);
	CHECK_EQ(count, SIZE / (SAMPLE + 8));
	CHECK_EQ(ring_drain(&ring, 0), count);
	CHECK_EQ(write_sample(SAMPLE, 0), 0);
	end();
}

static void discarded_samples_are_skipped_and_their_room_comes_back(void)
{
	int discarded = 0, written = 0;
	void *sample;

	begin(SIZE);
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
	end();
}

static void many_laps_lose_nothing(void)
{
	uint64_t number = 0, next = 0;
	uint32_t len;

	begin(SIZE);
	for (int lap = 0; lap < 200; lap++) {
		uint64_t *sample;
		while ((sample = user_ring_buffer__reserve(rb, SAMPLE)) != NULL) {
			*sample = number++;
			user_ring_buffer__submit(rb, sample);
		}
		int drained = ring_drain(&ring, 0);
		for (int n = 0; n < drained; n++)
			CHECK_EQ(*(const uint64_t *)ring_sample(&ring, n, &len), next++);
	}
	CHECK_EQ(next, number);
	CHECK(number > 10000);
	end();
}

static void a_blocked_reservation_ends_with_a_kick(void)
{
	begin(SIZE);
	while (write_sample(SAMPLE, 1) == 0)
		;
	CHECK_EQ(errno, ENOSPC);
	struct kick *kick = ring_kick(&ring, 50, 0);
	void *sample = user_ring_buffer__reserve_blocking(rb, SAMPLE, -1);
	CHECK(sample != NULL);
	kick_wait(kick);
	user_ring_buffer__discard(rb, sample);
	end();
}

static const struct test tests[] = {
	TEST(the_kernel_protects_the_consumer_page_and_lends_the_rest),
	TEST(misaligned_wrong_and_overlong_records_are_refused_by_the_kernel),
	TEST(samples_that_are_written_are_drained),
	TEST(one_sample_may_fill_the_ring),
	TEST(odd_sizes_are_aligned),
	TEST(a_full_ring_says_so_and_keeps_what_it_has),
	TEST(discarded_samples_are_skipped_and_their_room_comes_back),
	TEST(many_laps_lose_nothing),
	TEST(a_blocked_reservation_ends_with_a_kick),
};

int main(int argc, char **argv)
{
	(void)argc;
	return run_tests(argv[0], tests, sizeof(tests) / sizeof(*tests));
}
