/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* libbpf's contract, call by call, with every wrong value. Compiled twice: with libbpf's names, and with ours. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

static struct ring ring;
static struct pages pages;
static handle *rb;

static void begin(uint32_t size)
{
	ring_make(&ring, size);
	pages_map(&pages, &ring);
	rb = NEW(ring.fd, NULL);
	CHECK(rb != NULL);
}

static void end(void)
{
	FREE(rb);
	pages_unmap(&pages);
	ring_end(&ring);
}

static void reserve_shows_a_busy_record_and_submit_hands_it_over(void)
{
	uint32_t len;

	begin(SIZE);
	void *first = RESERVE(rb, 13), *second = RESERVE(rb, 3);
	CHECK(first != NULL && second != NULL && (uintptr_t)first % 8 == 0);
	CHECK_EQ((char *)second - (char *)first, 24);
	CHECK_EQ(*pages.producer, 40);
	CHECK_EQ(pages_header(&pages, 0), BUSY | 13);
	memcpy(first, "thirteen byte", 13);
	memcpy(second, "two", 3);
	SUBMIT(rb, second);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	SUBMIT(rb, first);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	CHECK(memcmp(ring_sample(&ring, 0, &len), "thirteen byte", 13) == 0 && len == 13);
	CHECK(memcmp(ring_sample(&ring, 1, &len), "two", 3) == 0 && len == 3);
	/* Still readable. */
	CHECK(memcmp(first, "thirteen byte", 13) == 0);
	end();
}

static void a_sample_may_pass_the_end_of_the_ring(void)
{
	uint32_t len;

	begin(SIZE);
	SUBMIT(rb, RESERVE(rb, SIZE - 8 - 16));
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	char *sample = RESERVE(rb, 24);
	memcpy(sample, "eight by|over the end ..", 24);
	SUBMIT(rb, sample);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	CHECK(memcmp(ring_sample(&ring, 0, &len), "eight by|over the end ..", 24) == 0 && len == 24);
	/* A header in the last eight bytes has its sample at the ring's beginning. */
	uint64_t to_end = SIZE - *pages.producer % SIZE;
	SUBMIT(rb, RESERVE(rb, (uint32_t)to_end - 16));
	char *start = RESERVE(rb, 8);
	memcpy(start, "straight", 8);
	SUBMIT(rb, start);
	CHECK_EQ(*pages.producer % SIZE, 8);
	CHECK(memcmp(pages.data, "straight", 8) == 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	end();
}

static void discarding_does_not_make_room(void)
{
	int count = 0;
	void *sample;

	begin(SIZE);
	errno = 0;
	while ((sample = RESERVE(rb, 9)) != NULL) {
		DISCARD_(rb, sample);
		count++;
	}
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(count, SIZE / 24);
	CHECK_EQ(pages_header(&pages, 0), DISCARD | 9);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	CHECK(RESERVE(rb, 9) != NULL);
	end();
}

static void sizes_are_judged_as_by_libbpf_but_for_what_jams_the_kernel(void)
{
	begin(1 << 25);
	static const uint32_t too_large[] = { 1 << 24, (1 << 25) - 8, (1 << 25) - 7, 1 << 30, (1u << 31), UINT32_MAX };
	for (size_t n = 0; n < sizeof(too_large) / sizeof(*too_large); n++) {
		CHECK_NULL(RESERVE(rb, too_large[n]), E2BIG);
		CHECK_NULL(RESERVE_BLOCKING(rb, too_large[n], -1), E2BIG);
	}
	CHECK_EQ(*pages.producer, 0);
	DISCARD_(rb, RESERVE(rb, (1 << 24) - 1));
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	CHECK_EQ(*pages.consumer, (1 << 24) + 8);
	end();
	begin(SIZE);
	CHECK_NULL(RESERVE(rb, SIZE - 7), E2BIG);
	void *whole = RESERVE(rb, SIZE - 8);
	CHECK(whole != NULL);
	CHECK_NULL(RESERVE(rb, 0), ENOSPC);
	memset(whole, 7, SIZE - 8);
	SUBMIT(rb, whole);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	void *empty = RESERVE(rb, 0);
	CHECK(empty != NULL);
	SUBMIT(rb, empty);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	end();
}

static void wrong_positions_are_refused_before_a_byte_is_written(void)
{
	begin(SIZE);
	static const uint64_t wrong[] = { 4, SIZE + 8, UINT64_MAX - 7, UINT64_MAX };
	for (size_t n = 0; n < sizeof(wrong) / sizeof(*wrong); n++) {
		*pages.producer = wrong[n];
		CHECK_NULL(RESERVE(rb, 8), EUCLEAN);
		CHECK_NULL(RESERVE_BLOCKING(rb, 8, -1), EUCLEAN);
		CHECK_EQ(*pages.producer, wrong[n]);
		CHECK_EQ(pages_header(&pages, 0), 0);
	}
	*pages.producer = 0;
	CHECK(RESERVE(rb, 8) != NULL);
	end();
}

static void what_is_no_sample_is_neither_submitted_nor_discarded(void)
{
	char foreign[64] = { 0 };

	begin(SIZE);
	char *sample = RESERVE(rb, 8), *later = RESERVE(rb, 8);
	memset(sample, 0, 8);
	void *wrong[] = { NULL, foreign, sample + 1, sample + 4, sample - SIZE, (char *)sample + 2 * SIZE, (void *)-1 };
	for (size_t n = 0; n < sizeof(wrong) / sizeof(*wrong); n++) {
		errno = 0;
		SUBMIT(rb, wrong[n]);
		CHECK_EQ(errno, EINVAL);
		errno = 0;
		DISCARD_(rb, wrong[n]);
		CHECK_EQ(errno, EINVAL);
	}
	CHECK_EQ(pages_header(&pages, 0), BUSY | 8);
	SUBMIT(rb, sample);
	errno = 0;
	SUBMIT(rb, sample);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	DISCARD_(rb, sample);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(pages_header(&pages, 0), 8);
	DISCARD_(rb, later);
	errno = 0;
	SUBMIT(rb, later);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(pages_header(&pages, 16), DISCARD | 8);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	end();
}

static void a_null_handle_is_refused(void)
{
	char sample[8];

	CHECK_NULL(RESERVE(NULL, 8), EINVAL);
	CHECK_NULL(RESERVE_BLOCKING(NULL, 8, 0), EINVAL);
	errno = 0;
	SUBMIT(NULL, sample);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	DISCARD_(NULL, sample);
	CHECK_EQ(errno, EINVAL);
	FREE(NULL);
}

static void options_may_be_larger_if_the_rest_is_zero(void)
{
	union {
		struct OPTS opts;
		unsigned char bytes[4096];
	} large;

	begin(SIZE);
	static const size_t too_small[] = { 0, 1, sizeof(size_t) - 1 };
	for (size_t n = 0; n < sizeof(too_small) / sizeof(*too_small); n++) {
		memset(&large, 0, sizeof(large));
		large.opts.sz = too_small[n];
		CHECK_NULL(NEW(ring.fd, &large.opts), EINVAL);
	}
	static const size_t fits[] = { sizeof(size_t), sizeof(size_t) + 1, 4095, 4096 };
	for (size_t n = 0; n < sizeof(fits) / sizeof(*fits); n++) {
		memset(&large, 0, sizeof(large));
		large.opts.sz = fits[n];
		handle *other = NEW(ring.fd, &large.opts);
		CHECK(other != NULL);
		FREE(other);
		if (fits[n] == 8)
			continue;
		large.bytes[fits[n] - 1] = 1;
		CHECK_NULL(NEW(ring.fd, &large.opts), EINVAL);
	}
	end();
}

static int other_map(int type, int key, int value)
{
	union bpf_attr attr = { .map_type = type, .key_size = key, .value_size = value, .max_entries = 4096 };
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	CHECK(fd >= 0);
	return fd;
}

static void wrong_descriptors_are_refused_and_nothing_leaks(void)
{
	int fds = open_fds(), maps = mappings();

	/* A number that the handle's own descriptor does not take. */
	CHECK_NULL(NEW(500, NULL), EBADFD);
	CHECK_NULL(NEW(-1, NULL), EBADFD);
	CHECK_NULL(NEW(INT_MIN, NULL), EBADFD);
	CHECK_NULL(NEW(INT_MAX, NULL), EBADFD);
	int foreign[] = { eventfd(0, 0), open("/dev/null", O_RDWR), other_map(BPF_MAP_TYPE_HASH, 4, 4),
			  other_map(BPF_MAP_TYPE_RINGBUF, 0, 0) };
	for (size_t n = 0; n < sizeof(foreign) / sizeof(*foreign); n++) {
		CHECK(foreign[n] >= 0);
		CHECK_NULL(NEW(foreign[n], NULL), EINVAL);
		close(foreign[n]);
	}
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
}

static void a_handle_takes_one_descriptor_and_without_any_left_there_is_none(void)
{
	struct rlimit before, tight;

	begin(SIZE);
	int fds = open_fds(), maps = mappings();
	handle *other = NEW(ring.fd, NULL);
	CHECK(other != NULL);
	CHECK_EQ(open_fds(), fds + 1);
	FREE(other);
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
	int next = eventfd(0, 0);
	close(next);
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	tight = (struct rlimit){ .rlim_cur = next, .rlim_max = before.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &tight) == 0);
	CHECK_NULL(NEW(ring.fd, NULL), EMFILE);
	tight.rlim_cur = next + 1;
	CHECK(setrlimit(RLIMIT_NOFILE, &tight) == 0);
	other = NEW(ring.fd, NULL);
	CHECK(other != NULL);
	FREE(other);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK_EQ(mappings(), maps);
	end();
}

static void without_address_space_there_is_no_handle_and_nothing_leaks(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rlimit before, tight;

	if (getenv("UNDER_VALGRIND") != NULL)
		return;
	begin(1 << 26);
	int fds = open_fds(), maps = mappings();
	long pages_now = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	CHECK(statm != NULL && fscanf(statm, "%ld", &pages_now) == 1);
	fclose(statm);
	CHECK(getrlimit(RLIMIT_AS, &before) == 0);
	tight = (struct rlimit){ .rlim_cur = pages_now * sysconf(_SC_PAGESIZE) + (1 << 26), .rlim_max = before.rlim_max };
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	CHECK_NULL(NEW(ring.fd, NULL), ENOMEM);
	CHECK(setrlimit(RLIMIT_AS, &before) == 0);
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(mappings(), maps);
	end();
#endif
}

/* The map once more, by a file of its own. */
static int map_again(int fd)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr attr = { .info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info } };
	union bpf_attr by_id = { 0 };

	CHECK(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0);
	by_id.map_id = info.id;
	int again = (int)syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &by_id, sizeof(by_id));
	CHECK(again >= 0);
	return again;
}

static void the_map_may_be_closed_and_a_handle_freed_with_samples_reserved(void)
{
	begin(SIZE);
	int again = map_again(ring.fd);
	handle *other = NEW(again, NULL);
	CHECK(other != NULL);
	close(again);
	void *held = RESERVE(other, 8);
	SUBMIT(other, RESERVE(other, SIZE - 24));
	CHECK_EQ(ring_drain(&ring, 0), 0);
	CHECK_NULL(RESERVE_BLOCKING(other, 8, 30), ENOSPC);
	/* Through whatever handle. */
	char *mine = (char *)RESERVE(rb, 8);
	CHECK(mine == NULL);
	SUBMIT(other, held);
	struct kick *kick = ring_kick(&ring, 50, 0);
	double start = now_ms();
	CHECK(RESERVE_BLOCKING(other, 8, -1) != NULL);
	CHECK(now_ms() - start >= 40);
	kick_wait(kick);
	FREE(other);
	CHECK_EQ(pages_header(&pages, 0), BUSY | 8);
	end();
}

static void several_handles_share_a_ring(void)
{
	uint32_t len;

	begin(SIZE);
	handle *handles[] = { rb, NEW(ring.fd, NULL), NEW(ring.fd, NULL) };
	for (int n = 0; n < 30; n++) {
		int *sample = RESERVE(handles[n % 3], sizeof(int));
		*sample = n;
		SUBMIT(handles[n % 3], sample);
	}
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 30);
	for (int n = 0; n < 30; n++)
		CHECK_EQ(*(const int *)ring_sample(&ring, n, &len), n);
	FREE(handles[1]);
	FREE(handles[2]);
	end();
}

static void a_forked_child_goes_on_with_its_parents_handle(void)
{
	uint32_t len;
	int status;

	begin(SIZE);
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
	CHECK_EQ(*(const int *)ring_sample(&ring, 1, &len), 2);
	end();
}

static void timeouts_below_minus_one_are_refused_first(void)
{
	begin(SIZE);
	CHECK_NULL(RESERVE_BLOCKING(rb, 8, -2), EINVAL);
	CHECK_NULL(RESERVE_BLOCKING(rb, UINT32_MAX, INT_MIN), EINVAL);
	CHECK_EQ(*pages.producer, 0);
	CHECK(RESERVE_BLOCKING(rb, 8, INT_MAX) != NULL);
	CHECK(RESERVE_BLOCKING(rb, 8, -1) != NULL);
	CHECK(RESERVE_BLOCKING(rb, 8, 0) != NULL);
	end();
}

/* Leaves 16 bytes free. */
static void fill_partly(void)
{
	SUBMIT(rb, RESERVE(rb, SIZE - 24));
}

static void a_timeout_is_kept_and_burns_nothing(void)
{
	begin(SIZE);
	fill_partly();
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 0), ENOSPC);
	double start = now_ms(), cpu = cpu_ms();
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 300), ENOSPC);
	double took = now_ms() - start, used = cpu_ms() - cpu;
	CHECK(took >= 299 && took < 1500);
	/* libbpf uses all 300. */
	CHECK(used < 100);
	end();
}

static void a_wait_without_limit_ends_when_there_is_room(void)
{
	for (uint32_t flags = 0; flags <= NO_WAKEUP; flags++) {
		begin(SIZE);
		fill_partly();
		double start = now_ms();
		struct kick *kick = ring_kick(&ring, 100, flags);
		void *sample = RESERVE_BLOCKING(rb, 64, -1);
		double took = now_ms() - start;
		CHECK(sample != NULL);
		CHECK(took >= 90 && took < 1500);
		kick_wait(kick);
		end();
	}
}

static void on_signal(int number)
{
	(void)number;
}

struct signals {
	pthread_t to;
	volatile bool done;
};

static void *send_signals(void *arg)
{
	struct signals *signals = arg;

	/* Again and again: the first may come before the wait. */
	while (!signals->done) {
		usleep(50 * 1000);
		pthread_kill(signals->to, SIGUSR1);
	}
	return NULL;
}

static void a_signal_ends_the_wait(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct signals signals = { .to = pthread_self() };
	pthread_t thread;

	begin(SIZE);
	fill_partly();
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, send_signals, &signals) == 0);
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, -1), EINTR);
	CHECK_NULL(RESERVE_BLOCKING(rb, 64, 5000), EINTR);
	signals.done = true;
	pthread_join(thread, NULL);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	CHECK(RESERVE(rb, 64) != NULL);
	end();
}

static void errno_is_left_alone_where_nothing_fails(void)
{
	begin(SIZE);
	errno = 77;
	SUBMIT(rb, RESERVE(rb, 8));
	DISCARD_(rb, RESERVE_BLOCKING(rb, 8, 10));
	CHECK_EQ(errno, 77);
	FREE(NULL);
	CHECK_EQ(errno, 77);
	end();
}

static const struct test tests[] = {
	TEST(reserve_shows_a_busy_record_and_submit_hands_it_over),
	TEST(a_sample_may_pass_the_end_of_the_ring),
	TEST(discarding_does_not_make_room),
	TEST(sizes_are_judged_as_by_libbpf_but_for_what_jams_the_kernel),
	TEST(wrong_positions_are_refused_before_a_byte_is_written),
	TEST(what_is_no_sample_is_neither_submitted_nor_discarded),
	TEST(a_null_handle_is_refused),
	TEST(options_may_be_larger_if_the_rest_is_zero),
	TEST(wrong_descriptors_are_refused_and_nothing_leaks),
	TEST(a_handle_takes_one_descriptor_and_without_any_left_there_is_none),
	TEST(without_address_space_there_is_no_handle_and_nothing_leaks),
	TEST(the_map_may_be_closed_and_a_handle_freed_with_samples_reserved),
	TEST(several_handles_share_a_ring),
	TEST(a_forked_child_goes_on_with_its_parents_handle),
	TEST(timeouts_below_minus_one_are_refused_first),
	TEST(a_timeout_is_kept_and_burns_nothing),
	TEST(a_wait_without_limit_ends_when_there_is_room),
	TEST(a_signal_ends_the_wait),
	TEST(errno_is_left_alone_where_nothing_fails),
};

int main(int argc, char **argv)
{
	(void)argc;
	return run_tests(argv[0], tests, sizeof(tests) / sizeof(*tests));
}
