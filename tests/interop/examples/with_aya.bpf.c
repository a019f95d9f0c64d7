// Takes requests out of a user ring buffer, and answers each through an ordinary ring buffer.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct request {
	__u64 id;
	__u32 first;
	__u32 second;
};

struct response {
	__u64 id;
	__u64 product;
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	// A power-of-two multiple of the page size, which aya does not round up to. Here the loader sets another one.
	__uint(max_entries, 64 * 1024);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} responses SEC(".maps");

// Called for each sample. Returns 0 to go on; 1 would stop the drain behind this sample.
static long answer(struct bpf_dynptr *sample, void *context)
{
	struct request request;
	struct response response;

	// Copies, and checks the length: a sample that is too short is not a request.
	if (bpf_dynptr_read(&request, sizeof(request), sample, 0, 0))
		return 0;
	response.id = request.id;
	response.product = (__u64)request.first * request.second;
	bpf_ringbuf_output(&responses, &response, sizeof(response), 0);
	return 0;
}

// Attach it to the tracepoint that should drain, or run it as the example does. Returns the number of requests, or an error.
SEC("raw_tp")
int drain(void *context)
{
	return bpf_user_ringbuf_drain(&requests, answer, NULL, 0);
}

char LICENSE[] SEC("license") = "GPL";
