// What a scheduler's BPF half does with the dispatches of its user-space half: one at a time, without waking anybody.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct dispatch {
	__s32 pid;
	__s32 cpu;
	__u64 flags;
	__u64 slice_ns;
	__u64 vtime;
	__u64 cpumask_cnt;
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 256 * 1024);
} dispatched SEC(".maps");

// The user-space scheduler's process, and the number of the system call at which to drain. The loader sets them.
const volatile __u32 scheduler, trigger;

struct counters {
	__u64 taken;
	__u64 wrong;
	__u64 drains;
	__u64 failed;
	__u64 others;
};

// The scheduler zeroes it when it begins.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters_map SEC(".maps");

static long dispatch(struct bpf_dynptr *sample, void *context)
{
	struct counters *counters = *(struct counters **)context;
	const struct dispatch *task = bpf_dynptr_data(sample, 0, sizeof(*task));

	// A scheduler calls scx_bpf_dsq_insert here: see scheduler.bpf.c.
	if (!task || task->vtime != counters->taken)
		counters->wrong++;
	counters->taken++;
	// 1: stop, the CPU has its next task.
	return 1;
}

// A sched_ext scheduler drains in its `dispatch`, when a CPU looks for a task. Here a system call of the scheduler stands
// for that. Its other system calls are counted.
SEC("raw_tp/sys_enter")
int on_system_call(struct bpf_raw_tracepoint_args *call)
{
	__u32 key = 0;
	struct counters *counters;

	if (bpf_get_current_pid_tgid() >> 32 != scheduler)
		return 0;
	counters = bpf_map_lookup_elem(&counters_map, &key);
	if (!counters)
		return 0;
	// args[1]: the system call's number.
	if (call->args[1] != trigger) {
		counters->others++;
		return 0;
	}
	counters->drains++;
	if (bpf_user_ringbuf_drain(&dispatched, dispatch, &counters, BPF_RB_NO_WAKEUP) < 0)
		counters->failed++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
