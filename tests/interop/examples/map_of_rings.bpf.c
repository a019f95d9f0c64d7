// Drains the ring of one connection, which it looks up in a hash of rings.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct ring {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096); // Inner rings may have any size.
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 1024);
	__array(values, struct ring);
} connections SEC(".maps");

static long add(struct bpf_dynptr *sample, void *context)
{
	__u64 *sum = context;
	__u32 value;

	if (!bpf_dynptr_read(&value, sizeof(value), sample, 0, 0))
		*sum += value;
	return 0;
}

// Run by BPF_PROG_TEST_RUN, with the connection as its context. Returns the sum of what it took, or a negative error.
SEC("syscall")
int drain(__u32 *connection)
{
	__u32 key = *connection;
	void *ring = bpf_map_lookup_elem(&connections, &key);
	__u64 sum = 0;
	long drained;

	if (!ring)
		return -2; // ENOENT
	drained = bpf_user_ringbuf_drain(ring, add, &sum, 0);
	return drained < 0 ? drained : sum;
}

char LICENSE[] SEC("license") = "GPL";
