//! The bytes: headers, sizes and positions. Pure arithmetic, no memory and no unsafe code.
//!
//! Kernel counterpart: `struct bpf_ringbuf_hdr`, and the checks of `__bpf_user_ringbuf_peek`.

pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod position;
