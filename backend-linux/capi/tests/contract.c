/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* libbpf's contract, call by call, with every wrong value. Compiled twice: with libbpf's names, and with ours. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <user_ringbuf.h>

#include "check.h"

#ifdef PREFIXED
typedef struct uringbuf handle;
#define OPTS uringbuf_opts
#define NEW uringbuf_new
#define RESERVE uringbuf_reserve
#define RESERVE_BLOCKING uringbuf_reserve_blocking
#define SUBMIT uringbuf_submit
#define DISCARD_ uringbuf_discard
#define FREE uringbuf_free
#else
typedef struct user_ring_buffer handle;
#define OPTS user_ring_buffer_opts
#define NEW user_ring_buffer__new
#define RESERVE user_ring_buffer__reserve
#define RESERVE_BLOCKING user_ring_buffer__reserve_blocking
#define SUBMIT user_ring_buffer__submit
#define DISCARD_ user_ring_buffer__discard
#define FREE user_ring_buffer__free
#endif

FIXTURE(handle, NEW, FREE)

static handle *new_handle(int fd, const struct OPTS *opts)
{
	handle *made = NEW(fd, opts);

	CHECK(made != NULL);
	return made;
}

ON_RING(reserve_shows_a_busy_record_and_submit_hands_it_over, SIZE)
{
	void *first = RESERVE(rb, 13), *second = RESERVE(rb, 3);
	CHECK(first != NULL && second != NULL && (uintptr_t)first % 8 == 0);
	CHECK_EQ((char *)second - (char *)first, 24);
	CHECK_EQ(*ring.producer, 40);
	CHECK_EQ(ring_header(&ring, 0), BUSY | 13);
	memcpy(first, "thirteen byte", 13);
	memcpy(second, "two", 3);
	SUBMIT(rb, second);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	SUBMIT(rb, first);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	CHECK(ring_has(&ring, 0, "thirteen byte", 13));
	CHECK(ring_has(&ring, 1, "two", 3));
	/* Still readable. */
	CHECK(memcmp(first, "thirteen byte", 13) == 0);
}

ON_RING(a_sample_may_pass_the_end_of_the_ring, SIZE)
{
	SUBMIT(rb, RESERVE(rb, SIZE - 8 - 16));
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	char *sample = RESERVE(rb, 24);
	memcpy(sample, "eight by|over the end ..", 24);
	SUBMIT(rb, sample);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	CHECK(ring_has(&ring, 0, "eight by|over the end ..", 24));
	/* A header in the last eight bytes has its sample at the ring's beginning. */
	uint64_t to_end = SIZE - *ring.producer % SIZE;
	SUBMIT(rb, RESERVE(rb, (uint32_t)to_end - 16));
	char *start = RESERVE(rb, 8);
	memcpy(start, "straight", 8);
	SUBMIT(rb, start);
	CHECK_EQ(*ring.producer % SIZE, 8);
	CHECK(memcmp(ring.data, "straight", 8) == 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
}

ON_RING(discarding_does_not_make_room, SIZE)
{
	int count = 0;
	void *sample;

	errno = 0;
	while ((sample = RESERVE(rb, 9)) != NULL) {
		DISCARD_(rb, sample);
		count++;
	}
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(count, SIZE / 24);
	CHECK_EQ(ring_header(&ring, 0), DISCARD | 9);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	CHECK(RESERVE(rb, 9) != NULL);
}

ON_RING(sizes_are_judged_as_by_libbpf, SIZE)
{
	CHECK_NULL(RESERVE(rb, SIZE - 7), E2BIG);
	SUBMIT(rb, RESERVE(rb, SIZE - 8));
	CHECK_NULL(RESERVE(rb, 0), ENOSPC);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	SUBMIT(rb, RESERVE(rb, 0));
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
}

ON_RING(sizes_that_jam_the_kernel_are_refused, 1 << 25)
{
	static const uint32_t too_large[] = { 1 << 24, (1 << 25) - 8, (1 << 25) - 7, 1 << 30, (1u << 31), UINT32_MAX };
	for (size_t n = 0; n < LENGTH(too_large); n++) {
		CHECK_NULL(RESERVE(rb, too_large[n]), E2BIG);
		CHECK_NULL(RESERVE_BLOCKING(rb, too_large[n], -1), E2BIG);
	}
	CHECK_EQ(*ring.producer, 0);
	DISCARD_(rb, RESERVE(rb, (1 << 24) - 1));
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	CHECK_EQ(*ring.consumer, (1 << 24) + 8);
}

ON_RING(wrong_positions_are_refused_before_a_byte_is_written, SIZE)
{
	static const uint64_t wrong[] = { 4, SIZE + 8, UINT64_MAX - 7, UINT64_MAX };
	for (size_t n = 0; n < LENGTH(wrong); n++) {
		*ring.producer = wrong[n];
		CHECK_NULL(RESERVE(rb, 8), EUCLEAN);
		CHECK_NULL(RESERVE_BLOCKING(rb, 8, -1), EUCLEAN);
		CHECK_EQ(*ring.producer, wrong[n]);
		CHECK_EQ(ring_header(&ring, 0), 0);
	}
	*ring.producer = 0;
	CHECK(RESERVE(rb, 8) != NULL);
}

ON_RING(what_is_no_sample_is_neither_submitted_nor_discarded, SIZE)
{
	char foreign[64] = { 0 };
	char *sample = RESERVE(rb, 8), *later = RESERVE(rb, 8);
	memset(sample, 0, 8);
	void *wrong[] = { NULL, foreign, sample + 1, sample + 4, sample - SIZE, (char *)sample + 2 * SIZE, (void *)-1 };
	for (size_t n = 0; n < LENGTH(wrong); n++) {
		CHECK_ERRNO(SUBMIT(rb, wrong[n]), EINVAL);
		CHECK_ERRNO(DISCARD_(rb, wrong[n]), EINVAL);
	}
	CHECK_EQ(ring_header(&ring, 0), BUSY | 8);
	SUBMIT(rb, sample);
	CHECK_ERRNO(SUBMIT(rb, sample), EINVAL);
	CHECK_ERRNO(DISCARD_(rb, sample), EINVAL);
	CHECK_EQ(ring_header(&ring, 0), 8);
	DISCARD_(rb, later);
	CHECK_ERRNO(SUBMIT(rb, later), EINVAL);
	CHECK_EQ(ring_header(&ring, 16), DISCARD | 8);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
}

TEST(a_null_handle_is_refused)
{
	char sample[8];

	CHECK_NULL(RESERVE(NULL, 8), EINVAL);
	CHECK_NULL(RESERVE_BLOCKING(NULL, 8, 0), EINVAL);
	CHECK_ERRNO(SUBMIT(NULL, sample), EINVAL);
	CHECK_ERRNO(DISCARD_(NULL, sample), EINVAL);
	FREE(NULL);
}

ON_RING(options_may_be_larger_if_the_rest_is_zero, SIZE)
{
	union {
		struct OPTS opts;
		unsigned char bytes[4096];
	} large;

	static const size_t too_small[] = { 0, 1, sizeof(size_t) - 1 };
	for (size_t n = 0; n < LENGTH(too_small); n++) {
		memset(&large, 0, sizeof(large));
		large.opts.sz = too_small[n];
		CHECK_NULL(NEW(ring.fd, &large.opts), EINVAL);
	}
	static const size_t fits[] = { sizeof(size_t), sizeof(size_t) + 1, 4095, 4096 };
	for (size_t n = 0; n < LENGTH(fits); n++) {
		memset(&large, 0, sizeof(large));
		large.opts.sz = fits[n];
		FREE(new_handle(ring.fd, &large.opts));
		if (fits[n] == 8)
			continue;
		large.bytes[fits[n] - 1] = 1;
		CHECK_NULL(NEW(ring.fd, &large.opts), EINVAL);
	}
}

TEST(wrong_descriptors_are_refused_and_nothing_leaks)
{
	int fds = open_fds(), maps = mappings();

	/* A number that the handle's own descriptor does not take. */
	CHECK_NULL(NEW(500, NULL), EBADFD);
	CHECK_NULL(NEW(-1, NULL), EBADFD);
	CHECK_NULL(NEW(INT_MIN, NULL), EBADFD);
	CHECK_NULL(NEW(INT_MAX, NULL), EBADFD);
	int foreign[] = { eventfd(0, 0), open("/dev/null", O_RDWR), map_make(BPF_MAP_TYPE_HASH, 4, 4, SIZE),
			  map_make(BPF_MAP_TYPE_RINGBUF, 0, 0, SIZE) };
	for (size_t n = 0; n < LENGTH(foreign); n++) {
		CHECK(foreign[n] >= 0);
		CHECK_NULL(NEW(foreign[n], NULL), EINVAL);
		close(foreign[n]);
	}
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
}

ON_RING(a_handle_takes_one_descriptor_and_without_any_left_there_is_none, SIZE)
{
	int fds = open_fds(), maps = mappings();
	handle *other = new_handle(ring.fd, NULL);
	CHECK_EQ(open_fds(), fds + 1);
	FREE(other);
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
	int next = eventfd(0, 0);
	close(next);
	rlim_t before = limit_to(RLIMIT_NOFILE, next);
	CHECK_NULL(NEW(ring.fd, NULL), EMFILE);
	limit_to(RLIMIT_NOFILE, next + 1);
	FREE(new_handle(ring.fd, NULL));
	limit_to(RLIMIT_NOFILE, before);
	CHECK_EQ(mappings(), maps);
}

TEST(without_address_space_there_is_no_handle_and_nothing_leaks)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (getenv("UNDER_VALGRIND") != NULL)
		return;
	begin(1 << 26);
	int fds = open_fds(), maps = mappings();
	long pages_now = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	CHECK(statm != NULL && fscanf(statm, "%ld", &pages_now) == 1);
	fclose(statm);
	rlim_t before = limit_to(RLIMIT_AS, pages_now * sysconf(_SC_PAGESIZE) + (1 << 26));
	CHECK_NULL(NEW(ring.fd, NULL), ENOMEM);
	limit_to(RLIMIT_AS, before);
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
	end();
#endif
}

ON_RING(the_map_may_be_closed_and_a_handle_freed_with_samples_reserved, SIZE)
{
	int again = map_again(ring.fd);
	handle *other = new_handle(again, NULL);
	close(again);
	void *held = RESERVE(other, 8);
	SUBMIT(other, RESERVE(other, SIZE - 24));
	CHECK_EQ(ring_drain(&ring, 0), 0);
	CHECK_NULL(RESERVE_BLOCKING(other, 8, 30), ENOSPC);
	/* Through whatever handle. */
	CHECK(RESERVE(rb, 8) == NULL);
	SUBMIT(other, held);
	struct kick *kick = ring_kick(&ring, 50, 0);
	double start = now_ms();
	CHECK(RESERVE_BLOCKING(other, 8, -1) != NULL);
	CHECK(now_ms() - start >= 40);
	kick_wait(kick);
	FREE(other);
	CHECK_EQ(ring_header(&ring, 0), BUSY | 8);
}

ON_RING(several_handles_share_a_ring, SIZE)
{
	handle *handles[] = { rb, new_handle(ring.fd, NULL), new_handle(ring.fd, NULL) };
	for (int n = 0; n < 30; n++) {
		int *sample = RESERVE(handles[n % 3], sizeof(int));
		*sample = n;
		SUBMIT(handles[n % 3], sample);
	}
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 30);
	for (int n = 0; n < 30; n++)
		CHECK(ring_has(&ring, n, &n, sizeof(n)));
	FREE(handles[1]);
	FREE(handles[2]);
}

ON_RING(a_forked_child_goes_on_with_its_parents_handle, SIZE)
{
	int status;

	int *mine = RESERVE(rb, sizeof(int));
	*mine = 1;
	int child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		int *sample = RESERVE(rb, sizeof(int));
		if (sample == NULL)
			_exit(1);
		*sample = 2;
		SUBMIT(rb, sample);
		FREE(rb);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	SUBMIT(rb, mine);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	CHECK(ring_has(&ring, 1, &(int){ 2 }, sizeof(int)));
}

ON_RING(timeouts_below_minus_one_are_refused_first, SIZE)
{
	CHECK_NULL(RESERVE_BLOCKING(rb, 8, -2), EINVAL);
	CHECK_NULL(RESERVE_BLOCKING(rb, UINT32_MAX, INT_MIN), EINVAL);
	CHECK_EQ(*ring.producer, 0);
	CHECK(RESERVE_BLOCKING(rb, 8, INT_MAX) != NULL);
	CHECK(RESERVE_BLOCKING(rb, 8, -1) != NULL);
	CHECK(RESERVE_BLOCKING(rb, 8, 0) != NULL);
}

/* Leaves 16 bytes free. */
static void fill_partly(void)
{
	SUBMIT(rb, RESERVE(rb, SIZE - 24));
}

ON_RING(a_timeout_is_kept_and_burns_nothing, SIZE)
{
	fill_partly();
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 0), ENOSPC);
	double start = now_ms(), cpu = cpu_ms();
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 300), ENOSPC);
	double took = now_ms() - start, used = cpu_ms() - cpu;
	CHECK(took >= 299 && took < 1500);
	/* libbpf uses all 300. */
	CHECK(used < 100);
}

TEST(a_wait_without_limit_ends_when_there_is_room)
{
	for (uint32_t flags = 0; flags <= NO_WAKEUP; flags++) {
		begin(SIZE);
		fill_partly();
		double start = now_ms();
		struct kick *kick = ring_kick(&ring, 100, flags);
		CHECK(RESERVE_BLOCKING(rb, 64, -1) != NULL);
		double took = now_ms() - start;
		CHECK(took >= 90 && took < 1500);
		kick_wait(kick);
		end();
	}
}

static void on_signal(int number)
{
	(void)number;
}

ON_RING(a_signal_ends_the_wait, SIZE)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	/* Again and again: the first may come before the wait. */
	struct itimerval often = { { .tv_usec = 50 * 1000 }, { .tv_usec = 50 * 1000 } }, never = { 0 };

	fill_partly();
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, -1), EINTR);
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 5000), EINTR);
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	CHECK(RESERVE(rb, 64) != NULL);
}

ON_RING(errno_is_left_alone_where_nothing_fails, SIZE)
{
	errno = 77;
	SUBMIT(rb, RESERVE(rb, 8));
	DISCARD_(rb, RESERVE_BLOCKING(rb, 8, 10));
	CHECK_EQ(errno, 77);
	FREE(NULL);
	CHECK_EQ(errno, 77);
}
