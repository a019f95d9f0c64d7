use super::*;

/// What an input was cut into, without places: those have tests of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Sample(Vec<u8>),
    TooLong(u64, u64),
    Cut(FramingError),
}

/// Feeds `pieces` as reads would return them: what is left stays in front of the next piece.
fn feed(framing: Framing, max: usize, pieces: &[&[u8]]) -> Vec<Got> {
    let mut parser = Parser::new(framing, max);
    let mut window = Vec::new();
    let mut got = Vec::new();
    for (index, piece) in pieces.iter().copied().chain([&b""[..]]).enumerate() {
        let ended = index == pieces.len();
        window.extend_from_slice(piece);
        loop {
            let (taken, step) = match parser.next(&window, ended) {
                Ok(next) => next,
                Err(error) => {
                    got.push(Got::Cut(error));
                    return got;
                }
            };
            match step {
                Step::Sample { bytes, .. } => got.push(Got::Sample(bytes.to_vec())),
                Step::TooLong { place, len } => got.push(Got::TooLong(place.number, len)),
                Step::NeedsInput => {
                    assert!(!ended, "more input wanted behind the end");
                    window.drain(..taken);
                    assert!(window.len() <= parser.max_rest(), "{} bytes to keep", window.len());
                    break;
                }
                Step::End => {
                    assert!(ended && taken == 0);
                    break;
                }
            }
            window.drain(..taken);
        }
    }
    assert!(window.is_empty());
    got
}

/// Feeds `input` whole, split in two and in three at every byte, and byte by byte: the answer must be one.
fn cut(framing: Framing, max: usize, input: &[u8]) -> Vec<Got> {
    let whole = feed(framing, max, &[input]);
    for first in 0..=input.len() {
        let (head, tail) = input.split_at(first);
        assert_eq!(feed(framing, max, &[head, tail]), whole, "split at {first}");
        for second in 0..=tail.len() {
            let (middle, end) = tail.split_at(second);
            assert_eq!(feed(framing, max, &[head, middle, end]), whole, "split at {first} and {second} more");
        }
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(feed(framing, max, &bytes), whole, "byte by byte");
    whole
}

fn samples(bytes: &[&[u8]]) -> Vec<Got> {
    bytes.iter().map(|bytes| Got::Sample(bytes.to_vec())).collect()
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

#[test]
fn lines_end_at_newlines_and_the_last_needs_none() {
    assert_eq!(cut(Framing::Lines, 8, b"a\nbb\n"), samples(&[b"a", b"bb"]));
    assert_eq!(cut(Framing::Lines, 8, b"a\nbb"), samples(&[b"a", b"bb"]));
    assert_eq!(cut(Framing::Lines, 8, b"\n\n\nx\r\n"), samples(&[b"", b"", b"", b"x\r"]));
    assert_eq!(cut(Framing::Lines, 8, b"\0\xff\n\n"), samples(&[b"\0\xff", b""]));
    assert_eq!(cut(Framing::Lines, 8, b""), []);
}

#[test]
fn a_line_as_long_as_allowed_passes_and_a_longer_one_is_named_with_its_whole_length() {
    assert_eq!(
        cut(Framing::Lines, 4, b"1234\n12345\nok"),
        [Got::Sample(b"1234".to_vec()), Got::TooLong(2, 5), Got::Sample(b"ok".to_vec())]
    );
    assert_eq!(cut(Framing::Lines, 4, b"ok\n123456789"), [Got::Sample(b"ok".to_vec()), Got::TooLong(2, 9)]);
    assert_eq!(cut(Framing::Lines, 0, b"\nx\n"), [Got::Sample(vec![]), Got::TooLong(2, 1)]);
}

#[test]
fn frames_carry_any_bytes_and_any_length_up_to_the_limit() {
    let input = [frame(b"a\nb"), frame(b""), frame(b"12345678")].concat();
    assert_eq!(cut(Framing::U32, 8, &input), samples(&[b"a\nb", b"", b"12345678"]));
    assert_eq!(cut(Framing::U32, 8, b""), []);
}

#[test]
fn a_frame_that_is_too_long_is_named_and_skipped_without_being_kept() {
    let input = [frame(b"ok"), frame(b"123456789"), frame(b"again")].concat();
    assert_eq!(
        cut(Framing::U32, 8, &input),
        [Got::Sample(b"ok".to_vec()), Got::TooLong(2, 9), Got::Sample(b"again".to_vec())]
    );
}

#[test]
fn input_that_ends_within_a_frame_says_which_and_how_much_is_there() {
    let mut input = frame(b"ok");
    input.extend_from_slice(&[5, 0]);
    let place = Place { number: 2, at: 6 };
    let cut_off = Got::Cut(FramingError::LengthCut { place, got: 2 });
    assert_eq!(cut(Framing::U32, 8, &input), [Got::Sample(b"ok".to_vec()), cut_off]);

    input.extend_from_slice(&[0, 0, b'x']);
    let cut_off = Got::Cut(FramingError::FrameCut { place, announced: 5, got: 1 });
    assert_eq!(cut(Framing::U32, 8, &input), [Got::Sample(b"ok".to_vec()), cut_off]);
}

#[test]
fn a_skipped_frame_that_is_cut_off_is_both_too_long_and_an_error() {
    let mut input = u32::MAX.to_le_bytes().to_vec();
    input.extend_from_slice(b"xyz");
    let place = Place { number: 1, at: 0 };
    assert_eq!(
        cut(Framing::U32, 8, &input),
        [Got::TooLong(1, u64::from(u32::MAX)), Got::Cut(FramingError::FrameCut { place, announced: u32::MAX, got: 3 })]
    );
}

#[test]
fn places_count_from_one_and_from_the_first_byte() {
    for (framing, input, want) in [
        (Framing::Lines, &b"ab\ncdefgh\n\nx"[..], [(1, 0), (2, 3), (3, 10), (4, 11)]),
        (Framing::U32, b"\x01\0\0\0a\x05\0\0\0bbbbb\0\0\0\0\x02\0\0\0cc", [(1, 0), (2, 5), (3, 14), (4, 18)]),
    ] {
        let mut parser = Parser::new(framing, 4);
        let mut at = 0;
        for (number, start) in want {
            let (taken, step) = parser.next(&input[at..], true).unwrap();
            at += taken;
            let (Step::Sample { place, .. } | Step::TooLong { place, .. }) = step else { panic!("{step:?}") };
            assert_eq!(place, Place { number, at: start }, "{framing:?}");
        }
        assert_eq!(parser.next(&input[at..], true), Ok((0, Step::End)));
        assert_eq!(parser.next(b"", true), Ok((0, Step::End)), "the end stays the end");
    }
}

#[test]
fn a_caller_that_loses_bytes_gets_wrong_samples_and_no_panic() {
    for framing in [Framing::Lines, Framing::U32] {
        let mut parser = Parser::new(framing, 100);
        assert!(matches!(parser.next(b"\x63\0\0\0 no newline", false), Ok((0, Step::NeedsInput))));
        assert!(parser.next(b"", false).is_ok());
        let _ = parser.next(b"a\n", true);
        let _ = parser.next(b"", true);
    }
}
