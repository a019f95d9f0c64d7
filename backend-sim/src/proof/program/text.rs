//! The text form, for people: a line for the ring, then one line per operation.

use std::fmt;
use std::str::FromStr;

use user_ringbuf_core::RingSize;

use super::{Finish, Operation, PLACES, Program, Tampering};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ring {} from {}", self.size.bytes(), self.start)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "{operation}"))
    }
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit => f.write_str("submit"),
            Self::SubmitLen(len) => write!(f, "len={len}"),
            Self::Discard => f.write_str("discard"),
        }
    }
}

/// A number, or a word where there is none.
struct OrElse<T>(Option<T>, &'static str);

impl<T: fmt::Display> fmt::Display for OrElse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(self.1),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push { len } => write!(f, "push {len}"),
            Self::Sample { len, at, count, finish } => write!(f, "sample {len} write {at} {count} {finish}"),
            Self::Batch { lens, submit } => {
                f.write_str("batch")?;
                lens.iter().try_for_each(|len| write!(f, " {len}"))?;
                f.write_str(if *submit { " submit" } else { " discard" })
            }
            Self::Detach { place, len } => write!(f, "detach {place} {len}"),
            Self::Finish { place, finish } => write!(f, "finish {place} {finish}"),
            Self::Lane { place, len } => write!(f, "lane {place} {len}"),
            Self::LaneSample { place, len, finish } => write!(f, "lane-sample {place} {len} {finish}"),
            Self::Close { place } => write!(f, "close {place}"),
            Self::Wait { len, timeout_ms, drain_after_ms } => {
                write!(f, "wait {len} timeout={timeout_ms} drain={}", OrElse(*drain_after_ms, "never"))
            }
            Self::Drain { flags, stop_after } => write!(f, "drain flags={flags} stop={}", OrElse(*stop_after, "none")),
            Self::Attach { shared } => f.write_str(if *shared { "attach shared" } else { "attach exclusive" }),
            Self::Resume => f.write_str("resume"),
            Self::Ask => f.write_str("ask"),
            Self::Crash { after } => write!(f, "crash {after}"),
            Self::Repair => f.write_str("repair"),
            Self::Tamper(Tampering::Producer(by)) => write!(f, "damage producer {by:+}"),
            Self::Tamper(Tampering::Consumer(by)) => write!(f, "damage consumer {by:+}"),
            Self::Tamper(Tampering::Header { offset, word }) => write!(f, "damage header {offset} {word:#010x}"),
        }
    }
}

/// A line that is not part of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text } = self;
        write!(
            f,
            "line {line}: {text:?} is not {}",
            if *line == 1 { "\"ring SIZE from START\"" } else { "an operation" }
        )
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Program {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().zip(1..).map(|(text, line)| (text.trim(), line));
        let error = |(text, line): (&str, usize)| ParseError { line, text: text.to_owned() };
        let first = lines.next().unwrap_or(("", 1));
        let (size, start) = ring(first.0).ok_or_else(|| error(first))?;
        let operations = lines.map(|line| operation(line.0).ok_or_else(|| error(line)));
        Ok(Self { size, start, operations: operations.collect::<Result<_, _>>()? })
    }
}

fn ring(line: &str) -> Option<(RingSize, u64)> {
    let [size, start] = line.strip_prefix("ring ")?.split(" from ").collect::<Vec<_>>().try_into().ok()?;
    let start: u64 = number(start)?;
    if start % 8 == 0 { Some((RingSize::new(number(size)?).ok()?, start)) } else { None }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

fn place(word: &str) -> Option<u8> {
    number(word).filter(|place| *place < PLACES)
}

/// The value of `name=value`, or none if it is `none`.
fn named<T: FromStr>(word: &str, name: &str, none: &str) -> Option<Option<T>> {
    let value = word.strip_prefix(name)?.strip_prefix('=')?;
    if value == none { Some(None) } else { number(value).map(Some) }
}

fn finish(word: &str) -> Option<Finish> {
    match word {
        "submit" => Some(Finish::Submit),
        "discard" => Some(Finish::Discard),
        other => named(other, "len", "")?.map(Finish::SubmitLen),
    }
}

fn operation(line: &str) -> Option<Operation> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Some(match words[..] {
        ["push", len] => Operation::Push { len: number(len)? },
        ["sample", len, "write", at, count, end] => {
            Operation::Sample { len: number(len)?, at: number(at)?, count: number(count)?, finish: finish(end)? }
        }
        ["batch", ref lens @ .., end @ ("submit" | "discard")] => Operation::Batch {
            lens: lens.iter().map(|len| number(len)).collect::<Option<_>>()?,
            submit: end == "submit",
        },
        ["detach", at, len] => Operation::Detach { place: place(at)?, len: number(len)? },
        ["finish", at, end] => Operation::Finish { place: place(at)?, finish: finish(end)? },
        ["lane", at, len] => Operation::Lane { place: place(at)?, len: number(len)? },
        ["lane-sample", at, len, end] => {
            Operation::LaneSample { place: place(at)?, len: number(len)?, finish: finish(end)? }
        }
        ["close", at] => Operation::Close { place: place(at)? },
        ["wait", len, timeout, drain] => Operation::Wait {
            len: number(len)?,
            timeout_ms: named(timeout, "timeout", "")??,
            drain_after_ms: named(drain, "drain", "never")?,
        },
        ["drain", flags, stop] => {
            Operation::Drain { flags: named(flags, "flags", "")??, stop_after: named(stop, "stop", "none")? }
        }
        ["attach", kind @ ("shared" | "exclusive")] => Operation::Attach { shared: kind == "shared" },
        ["resume"] => Operation::Resume,
        ["ask"] => Operation::Ask,
        ["crash", after] => Operation::Crash { after: number(after)? },
        ["repair"] => Operation::Repair,
        ["damage", "producer", by] => Operation::Tamper(Tampering::Producer(number(by)?)),
        ["damage", "consumer", by] => Operation::Tamper(Tampering::Consumer(number(by)?)),
        ["damage", "header", offset, word] => {
            let word = u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
            Operation::Tamper(Tampering::Header { offset: number(offset)?, word })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_reads_back_as_it_was_written() {
        let text = "ring 4096 from 18446744073709547520\n\
            push 13\n\
            sample 24 write 3 5 submit\n\
            sample 24 write 0 0 len=25\n\
            batch 5 0 4294967295 submit\n\
            batch discard\n\
            detach 3 16\n\
            finish 3 discard\n\
            lane 0 80\n\
            lane-sample 0 13 len=2\n\
            close 1\n\
            wait 24 timeout=5 drain=never\n\
            wait 24 timeout=0 drain=3\n\
            drain flags=18446744073709551615 stop=none\n\
            drain flags=1 stop=3\n\
            attach shared\n\
            attach exclusive\n\
            resume\n\
            ask\n\
            crash 255\n\
            repair\n\
            damage producer +8\n\
            damage consumer -9223372036854775808\n\
            damage header 16 0x80000005\n";
        let program: Program = text.parse().unwrap();
        assert_eq!(program.to_string(), text);
    }

    #[test]
    fn what_is_not_a_program_is_an_error_that_names_the_line() {
        for (text, line) in [
            ("", 1),
            ("push 1", 1),
            ("ring 12 from 0", 1),
            ("ring 64 from 4", 1),
            ("ring 64 from", 1),
            ("ring 64 from 0\npush", 2),
            ("ring 64 from 0\n\npush 1", 2),
            ("ring 64 from 0\npush 1\npush -1", 3),
            ("ring 64 from 0\npush 4294967296", 2),
            ("ring 64 from 0\npush 1 2", 2),
            ("ring 64 from 0\njump 1", 2),
            ("ring 64 from 0\ndetach 4 1", 2),
            ("ring 64 from 0\nfinish 0 maybe", 2),
            ("ring 64 from 0\nbatch 1 2", 2),
            ("ring 64 from 0\ndrain stop=1 flags=0", 2),
            ("ring 64 from 0\ndrain flags=x stop=1", 2),
            ("ring 64 from 0\nwait 1 timeout= drain=never", 2),
            ("ring 64 from 0\nattach", 2),
            ("ring 64 from 0\ndamage header 0 5", 2),
            ("ring 64 from 0\ndamage pad 0", 2),
        ] {
            let error = text.parse::<Program>().unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
        }
    }
}
