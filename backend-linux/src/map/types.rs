//! The kernel's names of the map types, so that an error can say what a map is instead.
//!
//! Kernel counterpart: `enum bpf_map_type` in `include/uapi/linux/bpf.h`.

/// `BPF_MAP_TYPE_USER_RINGBUF`.
pub(crate) const USER_RINGBUF: u32 = 31;

const NAMES: [&str; 35] = [
    "BPF_MAP_TYPE_UNSPEC",
    "BPF_MAP_TYPE_HASH",
    "BPF_MAP_TYPE_ARRAY",
    "BPF_MAP_TYPE_PROG_ARRAY",
    "BPF_MAP_TYPE_PERF_EVENT_ARRAY",
    "BPF_MAP_TYPE_PERCPU_HASH",
    "BPF_MAP_TYPE_PERCPU_ARRAY",
    "BPF_MAP_TYPE_STACK_TRACE",
    "BPF_MAP_TYPE_CGROUP_ARRAY",
    "BPF_MAP_TYPE_LRU_HASH",
    "BPF_MAP_TYPE_LRU_PERCPU_HASH",
    "BPF_MAP_TYPE_LPM_TRIE",
    "BPF_MAP_TYPE_ARRAY_OF_MAPS",
    "BPF_MAP_TYPE_HASH_OF_MAPS",
    "BPF_MAP_TYPE_DEVMAP",
    "BPF_MAP_TYPE_SOCKMAP",
    "BPF_MAP_TYPE_CPUMAP",
    "BPF_MAP_TYPE_XSKMAP",
    "BPF_MAP_TYPE_SOCKHASH",
    "BPF_MAP_TYPE_CGROUP_STORAGE",
    "BPF_MAP_TYPE_REUSEPORT_SOCKARRAY",
    "BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE",
    "BPF_MAP_TYPE_QUEUE",
    "BPF_MAP_TYPE_STACK",
    "BPF_MAP_TYPE_SK_STORAGE",
    "BPF_MAP_TYPE_DEVMAP_HASH",
    "BPF_MAP_TYPE_STRUCT_OPS",
    "BPF_MAP_TYPE_RINGBUF",
    "BPF_MAP_TYPE_INODE_STORAGE",
    "BPF_MAP_TYPE_TASK_STORAGE",
    "BPF_MAP_TYPE_BLOOM_FILTER",
    "BPF_MAP_TYPE_USER_RINGBUF",
    "BPF_MAP_TYPE_CGRP_STORAGE",
    "BPF_MAP_TYPE_ARENA",
    "BPF_MAP_TYPE_INSN_ARRAY",
];

/// The kernel's name of a map type's number, such as `"BPF_MAP_TYPE_HASH"` for 1.
///
/// `None` for a type that is newer than this crate.
#[must_use]
pub fn map_type_name(map_type: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(map_type).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(map_type_name(USER_RINGBUF), Some("BPF_MAP_TYPE_USER_RINGBUF"));
        assert_eq!(map_type_name(2), Some("BPF_MAP_TYPE_ARRAY"));
        assert_eq!(map_type_name(27), Some("BPF_MAP_TYPE_RINGBUF"));
        assert_eq!(map_type_name(0), Some("BPF_MAP_TYPE_UNSPEC"));
        assert_eq!(map_type_name(33), Some("BPF_MAP_TYPE_ARENA"));
        assert_eq!(map_type_name(u32::MAX), None);
    }
}
