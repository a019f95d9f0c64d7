// Four ways to make the kernel drain. Each drains the same ring, and counts what it took.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CLOCK_MONOTONIC 1

struct policy {
	__u32 user;
	__u32 limit;
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 64 * 1024);
} policies SEC(".maps");

// What each program took.
__u64 by_syscall, by_exec, by_getpgid, by_timer;

// The process whose getpgid drains. The loader sets it.
const volatile __u32 agent;

static long apply(struct bpf_dynptr *sample, void *counter)
{
	struct policy policy;

	if (!bpf_dynptr_read(&policy, sizeof(policy), sample, 0, 0))
		*(__u64 *)counter += 1;
	return 0;
}

// A counter on the stack, since the callback's context must be there. One drain runs at a time: another gets -EBUSY,
// and leaves what is in the ring to it.
static long drain(__u64 *taken)
{
	__u64 counter = 0;
	long drained = bpf_user_ringbuf_drain(&policies, apply, &counter, 0);

	__sync_fetch_and_add(taken, counter);
	return drained;
}

// 1. User space says when: BPF_PROG_TEST_RUN runs it once. Returns the number of samples, or an error.
SEC("syscall")
int on_demand(void *context)
{
	return drain(&by_syscall);
}

// 2. A tracepoint: policies are up to date at each exec. ("tp/sched/sched_process_exec" does the same, and needs a
// mounted tracefs.)
SEC("raw_tp/sched_process_exec")
int on_exec(void *context)
{
	drain(&by_exec);
	return 0;
}

// 3. A system call: the agent's getpgid costs it one call, as on_demand does, but needs no rights, and no other system call
// is slowed down. The "?" leaves the program out unless the loader asks for it: some kernels refuse fentry.
#ifdef __TARGET_ARCH_aarch64
SEC("?fentry/__arm64_sys_getpgid")
#else
SEC("?fentry/__x64_sys_getpgid")
#endif
int on_getpgid(void *context)
{
	if (bpf_get_current_pid_tgid() >> 32 == agent)
		drain(&by_getpgid);
	return 0;
}

// 4. A timer, every 5 ms: no user space needed. It runs until its map is gone, so keep the map open or pinned.
#define PERIOD (5 * 1000 * 1000)

struct clock {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} clocks SEC(".maps");

static int on_tick(void *map, __u32 *key, struct clock *clock)
{
	drain(&by_timer);
	bpf_timer_start(&clock->timer, PERIOD, 0);
	return 0;
}

SEC("syscall")
int start_timer(void *context)
{
	__u32 key = 0;
	struct clock *clock = bpf_map_lookup_elem(&clocks, &key);
	long error;

	if (!clock)
		return -1;
	error = bpf_timer_init(&clock->timer, &clocks, CLOCK_MONOTONIC);
	if (!error)
		error = bpf_timer_set_callback(&clock->timer, on_tick);
	if (!error)
		error = bpf_timer_start(&clock->timer, PERIOD, 0);
	return error;
}

char LICENSE[] SEC("license") = "GPL";
