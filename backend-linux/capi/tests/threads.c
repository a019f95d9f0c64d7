/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One thread reserves, several submit and discard what it reserved, in whatever order, and the kernel drains. For
 * ThreadSanitizer besides, which can't see the kernel: the ring's bytes are used again only after a lap in which all
 * samples were submitted, so what it knows of is ordered by the lap's lock.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <user_ringbuf.h>

#include "check.h"

enum { SUBMITTERS = 4, LAPS = 100, PER_LAP = 64, BYTES = 40, QUEUE = PER_LAP };

#ifdef __SANITIZE_THREAD__
/* What LLVM's instrumentation calls and GCC's runtime lacks: these are seen by the runtime as well. */
void *__tsan_memcpy(void *to, const void *from, size_t len);
void *__tsan_memset(void *to, int byte, size_t len);

void *__tsan_memcpy(void *to, const void *from, size_t len)
{
	return memcpy(to, from, len);
}

void *__tsan_memset(void *to, int byte, size_t len)
{
	return memset(to, byte, len);
}
#endif

FIXTURE(struct uringbuf, uringbuf_new, uringbuf_free)

/* Samples on their way from the thread that reserves to those that submit. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct {
		uint64_t *sample;
		uint64_t number;
	} waiting[QUEUE];
	int count, done;
	bool over;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool is_discarded(uint64_t number)
{
	return number % 7 == 3;
}

static void *submit(void *arg)
{
	unsigned int random = (unsigned int)(uintptr_t)arg;

	for (;;) {
		pthread_mutex_lock(&queue.lock);
		while (queue.count == 0 && !queue.over)
			pthread_cond_wait(&queue.changed, &queue.lock);
		if (queue.count == 0) {
			pthread_mutex_unlock(&queue.lock);
			return NULL;
		}
		int at = rand_r(&random) % queue.count;
		uint64_t *sample = queue.waiting[at].sample, number = queue.waiting[at].number;
		queue.waiting[at] = queue.waiting[--queue.count];
		pthread_mutex_unlock(&queue.lock);
		for (int word = 0; word < BYTES / 8; word++)
			sample[word] = number + (uint64_t)word;
		CHECK_EQ(is_discarded(number) ? uringbuf_discard(rb, sample) : uringbuf_submit(rb, sample), 0);
		pthread_mutex_lock(&queue.lock);
		queue.done++;
		pthread_cond_broadcast(&queue.changed);
		pthread_mutex_unlock(&queue.lock);
	}
}

ON_RING(threads_submit_in_any_order_beside_reservations, SIZE)
{
	pthread_t threads[SUBMITTERS];
	uint64_t next = 0;

	for (int n = 0; n < SUBMITTERS; n++)
		CHECK(pthread_create(&threads[n], NULL, submit, (void *)(uintptr_t)(n + 1)) == 0);
	for (uint64_t lap = 0; lap < LAPS; lap++) {
		for (uint64_t n = 0; n < PER_LAP; n++) {
			uint64_t *sample = uringbuf_reserve(rb, BYTES);
			CHECK(sample != NULL);
			pthread_mutex_lock(&queue.lock);
			queue.waiting[queue.count].sample = sample;
			queue.waiting[queue.count++].number = lap * PER_LAP + n;
			pthread_cond_broadcast(&queue.changed);
			pthread_mutex_unlock(&queue.lock);
#ifdef PLANT_A_RACE
			*sample = 0;
#endif
		}
		pthread_mutex_lock(&queue.lock);
		while (queue.done < PER_LAP)
			pthread_cond_wait(&queue.changed, &queue.lock);
		queue.done = 0;
		pthread_mutex_unlock(&queue.lock);
		int drained = ring_drain(&ring, NO_WAKEUP);
		for (int n = 0; n < drained; n++, next++) {
			uint32_t len;
			const uint64_t *sample = ring_sample(&ring, (uint32_t)n, &len);
			next += is_discarded(next);
			CHECK_EQ(len, BYTES);
			uint64_t words[BYTES / 8];
			memcpy(words, sample, BYTES);
			for (int word = 0; word < BYTES / 8; word++)
				CHECK_EQ(words[word], next + (uint64_t)word);
		}
	}
	CHECK(next >= LAPS * PER_LAP - 1);
	pthread_mutex_lock(&queue.lock);
	queue.over = true;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
	for (int n = 0; n < SUBMITTERS; n++)
		pthread_join(threads[n], NULL);
}
