//! The attribute structures of `bpf(2)`, written down by hand.
//!
//! Purpose: one `#[repr(C)]` structure a command, as long as we need it; the kernel takes any prefix of
//! `union bpf_attr` and reads the rest as zero. Invariant: no implicit padding, shown by a size check of each.
//! Kernel counterpart: `union bpf_attr` in `include/uapi/linux/bpf.h`.

/// A prefix of `union bpf_attr`.
///
/// # Safety
///
/// The type is `#[repr(C)]`, has no padding, and its fields lie where those of the kernel's union lie.
pub(crate) unsafe trait Attr {}

/// Declares attribute structures and checks their sizes, which shows that there is no padding.
macro_rules! attrs {
    ($($(#[$doc:meta])* $name:ident = $size:literal { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!(0 $(+ size_of::<$type>())* == $size, "no padding");
        };

        // SAFETY: `repr(C)`, no padding (asserted above), fields in the order of the kernel's union.
        unsafe impl Attr for $name {}
    )*};
}

attrs! {
    /// `BPF_MAP_CREATE`.
    MapCreate = 48 {
        map_type: u32, key_size: u32, value_size: u32, max_entries: u32, map_flags: u32,
        inner_map_fd: u32, numa_node: u32, map_name: [u8; 16], map_ifindex: u32,
    }
    /// `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`, `BPF_MAP_DELETE_ELEM` and `BPF_MAP_GET_NEXT_KEY`; `BPF_MAP_FREEZE` reads
    /// only `map_fd`.
    MapElem = 32 { map_fd: u32, zero: u32, key: u64, value: u64, flags: u64 }
    /// `BPF_PROG_LOAD`.
    ProgLoad = 120 {
        prog_type: u32, insn_cnt: u32, insns: u64, license: u64,
        log_level: u32, log_size: u32, log_buf: u64,
        kern_version: u32, prog_flags: u32, prog_name: [u8; 16], prog_ifindex: u32,
        expected_attach_type: u32, prog_btf_fd: u32, func_info_rec_size: u32, func_info: u64,
        func_info_cnt: u32, line_info_rec_size: u32, line_info: u64, line_info_cnt: u32,
        attach_btf_id: u32, attach_prog_fd: u32, core_relo_cnt: u32,
    }
    /// `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
    ObjPath = 16 { pathname: u64, bpf_fd: u32, file_flags: u32 }
    /// `BPF_PROG_TEST_RUN`.
    TestRun = 80 {
        prog_fd: u32, retval: u32, data_size_in: u32, data_size_out: u32, data_in: u64, data_out: u64,
        repeat: u32, duration: u32, ctx_size_in: u32, ctx_size_out: u32, ctx_in: u64, ctx_out: u64,
        flags: u32, cpu: u32, batch_size: u32, zero: u32,
    }
    /// `BPF_MAP_GET_FD_BY_ID` and `BPF_MAP_GET_NEXT_ID`, which finds the next id after `id`.
    GetId = 12 { id: u32, next_id: u32, open_flags: u32 }
    /// `BPF_OBJ_GET_INFO_BY_FD`.
    InfoByFd = 16 { bpf_fd: u32, info_len: u32, info: u64 }
    /// `BPF_BTF_LOAD`.
    BtfLoad = 32 { btf: u64, btf_log_buf: u64, btf_size: u32, btf_log_size: u32, btf_log_level: u32, btf_log_true_size: u32 }
}

/// `struct bpf_map_info`, as far as we read it; the kernel writes at most this much.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct MapInfo {
    pub(crate) map_type: u32,
    pub(crate) id: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) map_flags: u32,
    pub(crate) name: [u8; 16],
}
