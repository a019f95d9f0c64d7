/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *name;
	void (*run)(void);
} tests[64];
static size_t count;

void add_test(const char *name, void (*run)(void))
{
	CHECK(count < LENGTH(tests));
	tests[count].name = name;
	tests[count++].run = run;
}

/* Weak, because preload.c has a main of its own. */
__attribute__((weak)) int main(int argc, char **argv)
{
	(void)argc;
	for (size_t n = 0; n < count; n++) {
		tests[n].run();
		printf("ok %s: %s\n", argv[0], tests[n].name);
		fflush(stdout);
	}
	return 0;
}

int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

int map_make(int type, int key_size, int value_size, uint32_t entries)
{
	union bpf_attr attr = { .map_type = type, .key_size = key_size, .value_size = value_size, .max_entries = entries };
	int fd = bpf(BPF_MAP_CREATE, &attr);

	CHECK(fd >= 0);
	return fd;
}

int map_again(int fd)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr attr = { .info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info } };
	union bpf_attr by_id = { 0 };

	CHECK(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0);
	by_id.map_id = info.id;
	int again = bpf(BPF_MAP_GET_FD_BY_ID, &by_id);
	CHECK(again >= 0);
	return again;
}

rlim_t limit_to(int resource, rlim_t soft)
{
	struct rlimit limit;

	CHECK(getrlimit(resource, &limit) == 0);
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = soft;
	CHECK(setrlimit(resource, &limit) == 0);
	return before;
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

static void map_pages(struct ring *ring)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, ring->fd, 0);
	void *rest = mmap(NULL, page + 2 * (size_t)ring->size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, page);

	CHECK(consumer != MAP_FAILED && rest != MAP_FAILED);
	ring->consumer = consumer;
	ring->producer = rest;
	ring->data = (unsigned char *)rest + page;
}

void ring_make(struct ring *ring, uint32_t size)
{
	const char *server = getenv("DRAIN_SERVER");
	int ask[2], answer[2];
	char log[16];

	memset(ring, 0, sizeof(*ring));
	ring->fd = map_make(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, size);
	ring->size = size;
	map_pages(ring);
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
	munmap((void *)ring->consumer, sysconf(_SC_PAGESIZE));
	munmap(ring->producer, ring->data - (unsigned char *)ring->producer + 2 * (size_t)ring->size);
	close(ring->fd);
	free(ring->samples);
}

/* Like in the ring itself, so that samples are aligned. */
static size_t extent(uint32_t len)
{
	return (8 + (size_t)len + 7) / 8 * 8;
}

int ring_drain(struct ring *ring, uint32_t flags)
{
	/* And the number of samples after which to stop: none. */
	uint32_t question[2] = { flags, 0 }, len;
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

const void *ring_sample(const struct ring *ring, uint32_t n, uint32_t *len)
{
	const unsigned char *at = ring->samples;
	uint32_t its_len;

	CHECK(n < ring->logged);
	for (;; n--) {
		memcpy(&its_len, at, sizeof(its_len));
		if (n == 0)
			break;
		at += extent(its_len);
	}
	if (len != NULL)
		*len = its_len;
	return at + 8;
}

bool ring_has(const struct ring *ring, uint32_t n, const void *bytes, uint32_t len)
{
	uint32_t its_len;
	const void *sample = ring_sample(ring, n, &its_len);

	return its_len == len && memcmp(sample, bytes, len) == 0;
}

uint32_t ring_header(const struct ring *ring, uint64_t offset)
{
	return __atomic_load_n((uint32_t *)(ring->data + offset), __ATOMIC_ACQUIRE);
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
