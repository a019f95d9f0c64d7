//! What aya says of an object with a user ring buffer where something was forgotten, and what this library says.

use aya::maps::MapError as AyaMapError;
use aya::{EbpfError, EbpfLoader};
use user_ringbuf_kit::needs_bpf;
use user_ringbuf_linux::{Map, MapError, rounded_size};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/with_aya.bpf.o"));

#[test]
fn without_allow_unsupported_maps_aya_names_the_method_that_is_missing() {
    needs_bpf!();
    let error = EbpfLoader::new().load(OBJECT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map error: type of requests (BPF_MAP_TYPE_USER_RINGBUF) is unsupported; \
         see `EbpfLoader::allow_unsupported_maps`"
    );
}

#[test]
fn a_size_that_was_not_rounded_is_einval_to_aya_and_we_name_the_next_valid_one() {
    needs_bpf!();
    let load = |size| EbpfLoader::new().allow_unsupported_maps().map_max_entries("requests", size).load(OBJECT);

    let error = load(100_000).unwrap_err();
    assert_eq!(error.to_string(), "map error: failed to create map `requests`");
    let EbpfError::MapError(AyaMapError::CreateError { io_error, .. }) = error else { panic!("{error}") };
    assert_eq!(io_error.raw_os_error(), Some(libc::EINVAL));

    let next = rounded_size(100_000).unwrap();
    let error = Map::create_exact("requests", 100_000).unwrap_err();
    assert_eq!(error, MapError::SizeNotRounded { size: 100_000, next });
    assert!(error.to_string().contains("100000 bytes"), "{error}");
    assert!(error.to_string().contains(&next.to_string()), "{error}");

    assert!(load(next).is_ok());
}

#[test]
fn aya_refuses_an_object_with_a_program_to_run_on_demand() {
    needs_bpf!();
    let object = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/with_libbpf_rs.bpf.o"));
    let error = EbpfLoader::new().allow_unsupported_maps().load(object).unwrap_err();
    assert!(error.to_string().contains("invalid program section `syscall`"), "{error}");
}

#[test]
fn another_map_of_the_object_is_refused_by_its_type() {
    needs_bpf!();
    let mut ebpf = EbpfLoader::new().allow_unsupported_maps().load(OBJECT).unwrap();
    let Some(aya::maps::Map::RingBuf(responses)) = ebpf.take_map("responses") else { panic!("a ring buffer") };
    assert_eq!(
        Map::from_borrowed(responses.fd()).unwrap_err().to_string(),
        "a map of type BPF_MAP_TYPE_RINGBUF (27), not BPF_MAP_TYPE_USER_RINGBUF (31)"
    );
}
