/* Runs one operation of the static library again and again, for a tool that counts its instructions.
 * It embeds the library as a C program does: it makes room, and links the C library and nothing else. */
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sizes {
	size_t producer, borrowing_producer, mapping, shared, detached, lane;
};

void ring_sizes(struct sizes *);
int mapping_open(void *place, uint64_t size);
int producer_open(void *place, uint64_t size);
bool borrowing_producer_open(void *place, const void *mapping);
bool shared_open(void *place, const void *mapping);
void producer_close(void *producer);

bool hot_reserve_submit(void *producer, size_t len, uint64_t word);
bool hot_push(void *producer, const uint8_t *bytes, size_t len);
bool hot_push_40(void *producer, const uint8_t (*sample)[40]);
bool hot_batch_32(void *producer, const uint8_t (*sample)[40]);
bool hot_detached(void *producer, size_t len, uint64_t word);
bool hot_lane_32(void *producer, const uint8_t (*sample)[40]);
bool hot_shared(const void *shared, size_t len, uint64_t word);

/* Never called: they are here to be linked. */
bool every_map(uint32_t, uint64_t);
uint64_t every_ring(const void *, size_t, uint64_t);
uint64_t every_look(const void *);
uint64_t every_drain(const void *, size_t);
static const void *volatile linked[] = { every_map, every_ring, every_look, every_drain, hot_push, producer_close };

enum { RING = 1 << 20, PLACE = 512 };

static alignas(64) unsigned char producer[PLACE], mapping[PLACE], other[PLACE];
static const uint8_t sample[40] = { 1, 2, 3 };

static void give_up(const char *what, int step)
{
	fprintf(stderr, "%s failed at step %d (making a map needs CAP_BPF)\n", what, step);
	exit(1);
}

static bool run(const char *operation, unsigned long number)
{
	if (!strcmp(operation, "hot_reserve_submit") || !strcmp(operation, "full"))
		return hot_reserve_submit(producer, 40, number);
	if (!strcmp(operation, "hot_push"))
		return hot_push(producer, sample, sizeof sample);
	if (!strcmp(operation, "hot_push_40"))
		return hot_push_40(producer, &sample);
	if (!strcmp(operation, "hot_batch_32"))
		return hot_batch_32(producer, &sample);
	if (!strcmp(operation, "hot_detached"))
		return hot_detached(other, 40, number);
	if (!strcmp(operation, "hot_lane_32"))
		return hot_lane_32(other, &sample);
	return hot_shared(other, 40, number);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sizes")) {
		struct sizes sizes;
		ring_sizes(&sizes);
		printf("producer %zu\nborrowing_producer %zu\nmapping %zu\nshared %zu\ndetached %zu\nlane %zu\n",
		       sizes.producer, sizes.borrowing_producer, sizes.mapping, sizes.shared, sizes.detached, sizes.lane);
		return sizes.producer > PLACE || sizes.mapping > PLACE;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: %s sizes | OPERATION COUNT\n", argv[0]);
		return linked[argc % 6] == NULL ? 3 : 2;
	}
	const char *operation = argv[1];
	unsigned long count = strtoul(argv[2], NULL, 10);
	bool full = !strcmp(operation, "full");
	int step = producer_open(producer, RING);
	if (step)
		give_up("making a ring", step);
	step = mapping_open(mapping, RING);
	if (step)
		give_up("making another ring", step);
	if (strcmp(operation, "hot_shared") ? !borrowing_producer_open(other, mapping) : !shared_open(other, mapping))
		give_up("attaching", 0);
	while (full && hot_push_40(producer, &sample))
		;
	for (unsigned long number = 0; number < count; number++) {
		if (run(operation, number) == full) {
			fprintf(stderr, "%s: operation %lu %s\n", operation, number, full ? "found room" : "found none");
			return 1;
		}
	}
	return 0;
}
