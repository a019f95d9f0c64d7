/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int run_tests(const char *program, const struct test *tests, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		tests[n].run();
		printf("ok %s: %s\n", program, tests[n].name);
		fflush(stdout);
	}
	return 0;
}

static void read_all(int fd, void *to, size_t len)
{
	for (unsigned char *at = to; len > 0;) {
		ssize_t got = read(fd, at, len);
		if (got < 0 && errno == EINTR)
			continue;
		CHECK(got > 0);
		at += got;
		len -= got;
	}
}

void ring_make(struct ring *ring, uint32_t size)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_USER_RINGBUF, .max_entries = size };
	const char *server = getenv("DRAIN_SERVER");
	int ask[2], answer[2];
	char log[16];

	memset(ring, 0, sizeof(*ring));
	/* By hand, independent of the library under test. */
	ring->fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	CHECK(ring->fd >= 0);
	ring->size = size;
	CHECK(server != NULL);
	CHECK(pipe2(ask, O_CLOEXEC) == 0 && pipe2(answer, O_CLOEXEC) == 0);
	snprintf(log, sizeof(log), "%u", size < 1u << 20 ? 1u << 20 : 4 * size);
	ring->child = fork();
	CHECK(ring->child >= 0);
	if (ring->child == 0) {
		/* Move the pipes first: one of them may be number 3. */
		int map = fcntl(ring->fd, F_DUPFD, 100);
		dup2(ask[0], 0);
		dup2(answer[1], 1);
		dup2(map, 3);
		close(map);
		execl(server, server, "--fd", "3", "--log", log, (char *)NULL);
		_exit(127);
	}
	close(ask[0]);
	close(answer[1]);
	ring->ask = ask[1];
	ring->answer = answer[0];
	/* An empty drain: from here on the program is loaded. */
	CHECK_EQ(ring_drain(ring, NO_WAKEUP), 0);
}

void ring_end(struct ring *ring)
{
	int status;

	close(ring->ask);
	close(ring->answer);
	CHECK(waitpid(ring->child, &status, 0) == ring->child && status == 0);
	close(ring->fd);
	free(ring->samples);
}

/* Like in the ring itself, so that samples are aligned. */
static size_t extent(uint32_t len)
{
	return (8 + (size_t)len + 7) / 8 * 8;
}

int ring_drain_some(struct ring *ring, uint32_t flags, uint32_t stop_after)
{
	uint32_t question[2] = { flags, stop_after }, len;
	int32_t returned;

	CHECK(write(ring->ask, question, sizeof(question)) == sizeof(question));
	read_all(ring->answer, &returned, sizeof(returned));
	read_all(ring->answer, &ring->logged, sizeof(ring->logged));
	ring->bytes = 0;
	for (uint32_t n = 0; n < ring->logged; n++) {
		read_all(ring->answer, &len, sizeof(len));
		if (ring->bytes + extent(len) > ring->capacity) {
			ring->capacity = 2 * (ring->bytes + extent(len));
			ring->samples = realloc(ring->samples, ring->capacity);
			CHECK(ring->samples != NULL);
		}
		memcpy(ring->samples + ring->bytes, &len, sizeof(len));
		read_all(ring->answer, ring->samples + ring->bytes + 8, len);
		ring->bytes += extent(len);
	}
	return returned;
}

int ring_drain(struct ring *ring, uint32_t flags)
{
	return ring_drain_some(ring, flags, 0);
}

const void *ring_sample(const struct ring *ring, uint32_t n, uint32_t *len)
{
	const unsigned char *at = ring->samples;

	CHECK(n < ring->logged);
	for (;; n--) {
		memcpy(len, at, sizeof(*len));
		if (n == 0)
			return at + 8;
		at += extent(*len);
	}
}

struct kick {
	struct ring *ring;
	pthread_t thread;
	int after_ms;
	uint32_t flags;
};

static void *kick_run(void *arg)
{
	struct kick *kick = arg;

	usleep(kick->after_ms * 1000);
	ring_drain(kick->ring, kick->flags);
	return NULL;
}

struct kick *ring_kick(struct ring *ring, int after_ms, uint32_t flags)
{
	struct kick *kick = malloc(sizeof(*kick));

	CHECK(kick != NULL);
	*kick = (struct kick){ .ring = ring, .after_ms = after_ms, .flags = flags };
	CHECK(pthread_create(&kick->thread, NULL, kick_run, kick) == 0);
	return kick;
}

void kick_wait(struct kick *kick)
{
	CHECK(pthread_join(kick->thread, NULL) == 0);
	free(kick);
}

void pages_map(struct pages *pages, const struct ring *ring)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *consumer, *rest;

	pages->len = page + 2 * (size_t)ring->size;
	consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, ring->fd, 0);
	rest = mmap(NULL, pages->len, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, page);
	CHECK(consumer != MAP_FAILED && rest != MAP_FAILED);
	pages->consumer = consumer;
	pages->producer = rest;
	pages->data = (unsigned char *)rest + page;
}

void pages_unmap(struct pages *pages)
{
	munmap((void *)pages->consumer, sysconf(_SC_PAGESIZE));
	munmap(pages->producer, pages->len);
}

uint32_t pages_header(const struct pages *pages, uint64_t offset)
{
	return __atomic_load_n((uint32_t *)(pages->data + offset), __ATOMIC_ACQUIRE);
}

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

double cpu_ms(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096];
	int count = 0;

	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "bpf-map") != NULL;
	fclose(maps);
	return count;
}
