// Adds up what it takes out of a user ring buffer.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct reading {
	__u64 number;
	__u32 sensor;
	__u32 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 100 * 1000); // libbpf rounds it up to a power of two of pages.
} readings SEC(".maps");

static long add(struct bpf_dynptr *sample, void *context)
{
	// In place, without a copy. NULL if the sample is shorter.
	const struct reading *reading = bpf_dynptr_data(sample, 0, sizeof(*reading));
	__u64 *sum = context;

	if (reading)
		*sum += reading->value;
	return 0;
}

// Run by BPF_PROG_TEST_RUN. Returns the sum.
SEC("syscall")
int drain(void *context)
{
	__u64 sum = 0;
	long drained = bpf_user_ringbuf_drain(&readings, add, &sum, 0);

	return drained < 0 ? drained : sum;
}

char LICENSE[] SEC("license") = "GPL";
