//! The command's input framings: any bytes, in pieces of any size, are cut as a plain split of the whole cuts them.

use user_ringbuf_cli::framing::{Framing, FramingError, Parser, Place, Step};

use user_ringbuf_sim::proof::input::Source;

/// What one input does: a framing, the longest sample, the sizes of the pieces, and the input itself.
///
/// # Panics
/// Where the parser cuts otherwise than the split, or asks its caller to keep more than it said.
pub fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let code = source.byte();
    let framing = if code & 1 == 0 { Framing::Lines } else { Framing::U32 };
    let max = [0, 1, 7, 8, 24, 100, 255, 4088][usize::from(code >> 1) % 8];
    let pieces: Vec<usize> = (0..=source.byte() % 4).map(|_| source.byte().into()).collect();
    let input = source.rest();
    let whole = match framing {
        Framing::Lines => lines(input, max),
        Framing::U32 => frames(input, max),
    };
    assert_eq!(cut(framing, input, max, &pieces), whole);
}

/// What a sample of the input came to.
#[derive(Debug, PartialEq)]
enum Found<'i> {
    Sample(Place, &'i [u8]),
    TooLong(Place, u64),
    Cut(FramingError),
}

/// As the parser has it, which sees a piece more each time that it asks.
fn cut<'i>(framing: Framing, input: &'i [u8], max: usize, pieces: &[usize]) -> Vec<Found<'i>> {
    let mut parser = Parser::new(framing, max);
    let mut pieces = pieces.iter().cycle();
    let (mut from, mut to) = (0, 0);
    let mut found = Vec::new();
    loop {
        match parser.next(&input[from..to], to == input.len()) {
            Ok((taken, step)) => {
                from += taken;
                match step {
                    Step::Sample { place, bytes } => found.push(Found::Sample(place, bytes)),
                    Step::TooLong { place, len } => found.push(Found::TooLong(place, len)),
                    Step::NeedsInput => {
                        assert!(to < input.len(), "asks for more than there is");
                        assert!(to - from <= parser.max_rest(), "{} bytes are kept", to - from);
                        // A piece is never empty, or it would ask forever.
                        to = input.len().min(to + pieces.next().map_or(1, |piece| piece + 1));
                    }
                    Step::End => {
                        assert_eq!(from, input.len(), "the end comes too early");
                        return found;
                    }
                }
            }
            Err(error) => {
                found.push(Found::Cut(error));
                return found;
            }
        }
    }
}

fn lines(input: &[u8], max: usize) -> Vec<Found<'_>> {
    let mut at = 0;
    let each = input.split_inclusive(|byte| *byte == b'\n').zip(1..).map(|(line, number)| {
        let place = Place { number, at };
        at += count(line);
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > max { Found::TooLong(place, count(line)) } else { Found::Sample(place, line) }
    });
    each.collect()
}

fn frames(input: &[u8], max: usize) -> Vec<Found<'_>> {
    let (mut found, mut rest) = (Vec::new(), input);
    for number in 1.. {
        let place = Place { number, at: count(input) - count(rest) };
        let Some((len, behind)) = rest.split_first_chunk() else {
            if !rest.is_empty() {
                found.push(Found::Cut(FramingError::LengthCut { place, got: rest.len() }));
            }
            break;
        };
        let announced = u32::from_le_bytes(*len);
        let too_long = u64::from(announced) > u64::try_from(max).unwrap_or(u64::MAX);
        if too_long {
            found.push(Found::TooLong(place, announced.into()));
        }
        let sample = usize::try_from(announced).ok().and_then(|len| behind.split_at_checked(len));
        let Some((sample, next)) = sample else {
            let got = u32::try_from(behind.len()).unwrap_or(u32::MAX);
            found.push(Found::Cut(FramingError::FrameCut { place, announced, got }));
            break;
        };
        if !too_long {
            found.push(Found::Sample(place, sample));
        }
        rest = next;
    }
    found
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
