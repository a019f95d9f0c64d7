/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What libbpf does not offer: push, batches, shorter submits, waiting until consumed, cancelling, claims, maps, inspecting. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <user_ringbuf.h>

#include "check.h"

FIXTURE(struct uringbuf, uringbuf_new, uringbuf_free)

ON_RING(a_push_is_published_in_one_step, SIZE)
{
	uint32_t len;

	CHECK_EQ(uringbuf_push(rb, "pushed", 6), 0);
	CHECK_EQ(uringbuf_push(rb, NULL, 0), 0);
	CHECK_EQ(*ring.producer, 24);
	CHECK_EQ(uringbuf_position(rb), 24);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	CHECK(ring_has(&ring, 0, "pushed", 6));
	ring_sample(&ring, 1, &len);
	CHECK_EQ(len, 0);
	CHECK_FAILS(uringbuf_push(rb, NULL, 1), EINVAL);
	CHECK_FAILS(uringbuf_push(NULL, "x", 1), EINVAL);
	CHECK_FAILS(uringbuf_push(rb, "x", SIZE - 7), E2BIG);
	CHECK_FAILS(uringbuf_push(rb, "x", SIZE_MAX), E2BIG);
	while (uringbuf_push(rb, "fill it up", 10) == 0)
		;
	CHECK_EQ(errno, ENOSPC);
	*ring.producer += 4;
	CHECK_FAILS(uringbuf_push(rb, "x", 1), EUCLEAN);
}

ON_RING(a_batch_is_published_at_once_or_not_at_all, SIZE)
{
	char bytes[SIZE] = { 0 };
	struct iovec three[] = { { "one", 3 }, { NULL, 0 }, { "three", 5 } };
	struct iovec large[] = { { bytes, SIZE / 2 - 48 }, { bytes, SIZE / 2 + 52 } };
	struct iovec wrong[] = { { "one", 3 }, { NULL, 1 } };
	CHECK_EQ(uringbuf_push_batch(rb, three, 3), 0);
	CHECK_EQ(*ring.producer, 16 + 8 + 16);
	CHECK_EQ(uringbuf_push_batch(rb, NULL, 0), 0);
	CHECK_FAILS(uringbuf_push_batch(rb, NULL, 1), EINVAL);
	CHECK_FAILS(uringbuf_push_batch(rb, three, SIZE_MAX), EINVAL);
	CHECK_FAILS(uringbuf_push_batch(rb, wrong, 2), EINVAL);
	CHECK_FAILS(uringbuf_push_batch(rb, large, 2), E2BIG);
	large[0].iov_len = SIZE / 2 + 24;
	large[1].iov_len = SIZE / 2 - 48;
	/* It fits an empty ring, and this one is not. */
	CHECK_FAILS(uringbuf_push_batch(rb, large, 2), ENOSPC);
	CHECK_EQ(*ring.producer, 40);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 3);
	CHECK(ring_has(&ring, 2, "three", 5));
	CHECK_EQ(uringbuf_push_batch(rb, large, 2), 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
}

ON_RING(a_push_goes_behind_a_reserved_sample, SIZE)
{
	char *sample = uringbuf_reserve(rb, 5);
	CHECK_EQ(uringbuf_push(rb, "later", 5), 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 0);
	memcpy(sample, "first", 5);
	CHECK_EQ(uringbuf_submit(rb, sample), 0);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 2);
	CHECK(ring_has(&ring, 1, "later", 5));
}

ON_RING(a_shorter_submit_leaves_a_rest_that_is_skipped, SIZE)
{
	char *sample = uringbuf_reserve(rb, 100);
	memcpy(sample, "short", 5);
	CHECK_FAILS(uringbuf_submit_len(rb, sample, 101), EINVAL);
	CHECK_FAILS(uringbuf_submit_len(rb, sample + 1, 5), EINVAL);
	CHECK_FAILS(uringbuf_submit_len(NULL, sample, 5), EINVAL);
	CHECK_EQ(ring_header(&ring, 0), BUSY | 100);
	CHECK_EQ(uringbuf_submit_len(rb, sample, 5), 0);
	CHECK_EQ(ring_header(&ring, 0), 5);
	CHECK_EQ(ring_header(&ring, 16), DISCARD | 88);
	CHECK_FAILS(uringbuf_submit_len(rb, sample, 5), EINVAL);
	CHECK_FAILS(uringbuf_discard(rb, sample), EINVAL);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), 1);
	CHECK(ring_has(&ring, 0, "short", 5));
	CHECK_EQ(*ring.consumer, 112);
}

ON_RING(waiting_until_consumed_ends_with_the_drain, SIZE)
{
	CHECK_EQ(uringbuf_wait_consumed(rb, 0, -1), 0);
	CHECK_EQ(uringbuf_push(rb, "one", 3), 0);
	uint64_t position = uringbuf_position(rb);
	CHECK_EQ(uringbuf_push(rb, "two", 3), 0);
	CHECK_FAILS(uringbuf_wait_consumed(rb, position, 0), ETIMEDOUT);
	CHECK_FAILS(uringbuf_wait_consumed(rb, position, 30), ETIMEDOUT);
	CHECK_FAILS(uringbuf_wait_consumed(rb, position, -2), EINVAL);
	CHECK_FAILS(uringbuf_wait_consumed(rb, position + 64, -1), EINVAL);
	CHECK_FAILS(uringbuf_wait_consumed(NULL, position, 0), EINVAL);
	double start = now_ms();
	struct kick *kick = ring_kick(&ring, 50, 0);
	CHECK_EQ(uringbuf_wait_consumed(rb, uringbuf_position(rb), -1), 0);
	CHECK(now_ms() - start >= 40);
	kick_wait(kick);
}

static void *cancel_soon(void *arg)
{
	usleep(50 * 1000);
	uringbuf_cancel(arg);
	return NULL;
}

/* Cancels a wait without limit. Returns how long it took to notice, in milliseconds. */
static double cancelled_after(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, cancel_soon, rb) == 0);
	double start = now_ms();
	CHECK_NULL(uringbuf_reserve_blocking(rb, 64, -1), ECANCELED);
	double took = now_ms() - start;
	pthread_join(thread, NULL);
	return took - 50;
}

TEST(a_wait_is_cancelled_and_resumed)
{
	begin(SIZE);
	CHECK_EQ(uringbuf_submit(rb, uringbuf_reserve(rb, SIZE - 24)), 0);
	/* Without a descriptor for it at the next look. */
	rlim_t before = limit_to(RLIMIT_NOFILE, 3);
	CHECK(cancelled_after() < 1000);
	limit_to(RLIMIT_NOFILE, before);
	CHECK_NULL(uringbuf_reserve_blocking(rb, 64, 1000), ECANCELED);
	CHECK_FAILS(uringbuf_wait_consumed(rb, uringbuf_position(rb), -1), ECANCELED);
	/* Room that is there is given all the same. */
	CHECK(uringbuf_reserve_blocking(rb, 0, -1) != NULL);
	uringbuf_resume(rb);
	CHECK_NULL(uringbuf_reserve_blocking(rb, 64, 30), ENOSPC);
	int fds = open_fds();
	errno = 77;
	CHECK(cancelled_after() < 1000);
	uringbuf_resume(rb);
	CHECK(cancelled_after() < 1000);
	CHECK_EQ(open_fds(), fds + 1);
	uringbuf_resume(rb);
	double start = now_ms(), cpu = cpu_ms();
	CHECK_NULL(uringbuf_reserve_blocking(rb, 64, 200), ENOSPC);
	CHECK(now_ms() - start >= 199 && cpu_ms() - cpu < 100);
	uringbuf_cancel(NULL);
	uringbuf_resume(NULL);
	end();
	CHECK_EQ(open_fds(), fds - 4);
}

ON_RING(a_claim_keeps_out_only_those_who_ask, SIZE)
{
	int status, tell[2];
	char byte;

	CHECK_EQ(uringbuf_claim(rb, ring.fd), 0);
	CHECK_FAILS(uringbuf_claim(rb, ring.fd), EBUSY);
	/* No handle is refused, with the claim or without. */
	struct uringbuf *other = uringbuf_new(ring.fd, NULL);
	CHECK(other != NULL);
	CHECK_FAILS(uringbuf_claim(other, ring.fd), EBUSY);
	CHECK_EQ(uringbuf_push(other, "beside", 6), 0);
	CHECK_FAILS(uringbuf_claim(other, -1), EBADFD);
	CHECK_FAILS(uringbuf_claim(NULL, ring.fd), EINVAL);
	uringbuf_free(rb);
	CHECK_EQ(uringbuf_claim(other, ring.fd), 0);
	uringbuf_free(other);
	/* Another process has it, until it is killed. */
	CHECK(pipe(tell) == 0);
	int child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		struct uringbuf *theirs = uringbuf_new(ring.fd, NULL);
		byte = theirs != NULL && uringbuf_claim(theirs, ring.fd) == 0 ? 'y' : 'n';
		if (write(tell[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	CHECK(read(tell[0], &byte, 1) == 1 && byte == 'y');
	rb = uringbuf_new(ring.fd, NULL);
	CHECK(rb != NULL);
	CHECK_FAILS(uringbuf_claim(rb, ring.fd), EBUSY);
	kill(child, SIGKILL);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(uringbuf_claim(rb, ring.fd), 0);
	close(tell[0]);
	close(tell[1]);
}

TEST(maps_are_made_and_opened_by_their_pins)
{
	char dir[] = "/tmp/capi-XXXXXX", path[64], plain[64];
	union bpf_attr pin = { 0 };

	int fd = uringbuf_map_create("from_c", SIZE - 1000);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(mkdtemp(dir) != NULL && mount("bpf", dir, "bpf", 0, NULL) == 0);
	snprintf(path, sizeof(path), "%s/ring", dir);
	pin.pathname = (uintptr_t)path;
	pin.bpf_fd = (uint32_t)fd;
	CHECK(bpf(BPF_OBJ_PIN, &pin) == 0);
	int again = uringbuf_map_open(path);
	CHECK(again >= 0);
	struct uringbuf *one = uringbuf_new(fd, NULL), *other = uringbuf_new(again, NULL);
	CHECK(one != NULL && other != NULL);
	CHECK_EQ(uringbuf_push(one, "x", 1), 0);
	CHECK_EQ(uringbuf_position(other), 16);
	struct uringbuf_state state = { .sz = sizeof(state) };
	CHECK_EQ(uringbuf_inspect(again, &state), 0);
	CHECK_EQ(state.ring_size, SIZE);
	uringbuf_free(one);
	uringbuf_free(other);
	close(fd);
	close(again);
	snprintf(plain, sizeof(plain), "%s/none", dir);
	CHECK_FAILS(uringbuf_map_open(plain), ENOENT);
	CHECK_FAILS(uringbuf_map_open("/etc/passwd"), EACCES);
	CHECK_FAILS(uringbuf_map_open(""), ENOENT);
	CHECK_FAILS(uringbuf_map_open(NULL), EINVAL);
	CHECK(umount(dir) == 0 && rmdir(dir) == 0);
	fd = uringbuf_map_create(NULL, 1);
	CHECK(fd >= 0);
	close(fd);
	CHECK_FAILS(uringbuf_map_create("zero", 0), EINVAL);
	CHECK_FAILS(uringbuf_map_create("large", (1ull << 31) + 1), E2BIG);
	CHECK_FAILS(uringbuf_map_create("sixteen letters_", 4096), ENAMETOOLONG);
	CHECK_FAILS(uringbuf_map_create("a-b", 4096), EINVAL);
	CHECK_FAILS(uringbuf_map_create("\xff", 4096), EINVAL);
}

static struct uringbuf_state inspect(void)
{
	struct uringbuf_state state = { .sz = sizeof(state) };

	CHECK_EQ(uringbuf_inspect(ring.fd, &state), 0);
	CHECK_EQ(state.ring_size, SIZE);
	return state;
}

ON_RING(inspecting_tells_how_a_ring_stands, SIZE)
{
	struct uringbuf_state state;
	uint32_t word = (1 << 24) + 1;

	CHECK_EQ(inspect().verdict, URINGBUF_EMPTY);
	CHECK_EQ(uringbuf_push(rb, "one", 3), 0);
	CHECK_EQ(uringbuf_discard(rb, uringbuf_reserve(rb, 8)), 0);
	state = inspect();
	CHECK_EQ(state.verdict, URINGBUF_FLOWING);
	CHECK(state.submitted == 1 && state.discarded == 1 && state.ready == 2 && state.producer == 32);
	void *sample = uringbuf_reserve(rb, 8);
	state = inspect();
	CHECK_EQ(state.verdict, URINGBUF_HELD);
	CHECK(state.busy == 1 && state.obstacle == 32 && state.ready == 2 && state.kernel_errno == 0);
	memcpy(ring.data + 32, &word, sizeof(word));
	state = inspect();
	CHECK_EQ(state.verdict, URINGBUF_JAMMED);
	CHECK_EQ(state.kernel_errno, EINVAL);
	CHECK_EQ(ring_drain(&ring, NO_WAKEUP), -state.kernel_errno);
	CHECK_FAILS(uringbuf_submit(rb, sample), EINVAL);
	*ring.producer = 4;
	state = inspect();
	CHECK_EQ(state.verdict, URINGBUF_MISPLACED);
	CHECK_EQ(state.kernel_errno, EINVAL);
	/* A caller that knows less. */
	const size_t less = offsetof(struct uringbuf_state, ring_size);
	struct uringbuf_state old = { .sz = less, .ring_size = 77 };
	CHECK_EQ(uringbuf_inspect(ring.fd, &old), 0);
	CHECK(old.sz == less && old.verdict == URINGBUF_MISPLACED && old.ring_size == 77);
	old.sz = sizeof(size_t) - 1;
	CHECK_FAILS(uringbuf_inspect(ring.fd, &old), EINVAL);
	CHECK_FAILS(uringbuf_inspect(ring.fd, NULL), EINVAL);
	CHECK_FAILS(uringbuf_inspect(-1, &state), EBADFD);
}
