// The BPF half of a scheduler in user space (sched_ext, Linux 6.13 and newer): `dispatch` takes out of the user ring buffer
// what the user-space half has decided. Compiled with the others, but not run: few kernels have CONFIG_SCHED_CLASS_EXT.
//
// Load it with libbpf-rs: `attach_struct_ops` of the map "scheduler". The user-space half is dispatches.rs; that tasks
// reach it, by a ring buffer in the other direction, is left out here.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

// What vmlinux.h has, as far as it is used. libbpf adjusts offsets to the running kernel.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct;
struct sched_ext_ops {
	void (*dispatch)(__s32 cpu, struct task_struct *previous);
	__s32 (*init)(void);
	__u32 timeout_ms;
	char name[128];
};
#pragma clang attribute pop

#define SCX_DSQ_GLOBAL (1ULL << 63 | 1)

void scx_bpf_dsq_insert(struct task_struct *task, __u64 queue, __u64 slice, __u64 flags) __ksym;
__u32 scx_bpf_dispatch_nr_slots(void) __ksym;
struct task_struct *bpf_task_from_pid(__s32 pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

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

static long insert(struct bpf_dynptr *sample, void *context)
{
	const struct dispatch *dispatch = bpf_dynptr_data(sample, 0, sizeof(*dispatch));
	struct task_struct *task;

	if (!dispatch)
		return 0;
	// The task may have ended meanwhile.
	task = bpf_task_from_pid(dispatch->pid);
	if (task) {
		scx_bpf_dsq_insert(task, SCX_DSQ_GLOBAL, dispatch->slice_ns, dispatch->flags);
		bpf_task_release(task);
	}
	// Stop when this CPU can take no more; what is left stays in the ring.
	return scx_bpf_dispatch_nr_slots() == 0;
}

SEC("struct_ops/dispatch")
void BPF_PROG(dispatch, __s32 cpu, struct task_struct *previous)
{
	// NO_WAKEUP: a wake-up from here costs more than the dispatch, and the scheduler looks anyway.
	bpf_user_ringbuf_drain(&dispatched, insert, NULL, BPF_RB_NO_WAKEUP);
}

SEC(".struct_ops.link")
struct sched_ext_ops scheduler = {
	.dispatch = (void *)dispatch,
	.timeout_ms = 5000,
	.name = "user_ringbuf",
};

char LICENSE[] SEC("license") = "GPL";
