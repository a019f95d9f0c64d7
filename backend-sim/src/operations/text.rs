//! The text form, for people: a line for the ring, then a line an operation.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

use user_ringbuf_core::RingSize;

use super::{Finish, MAX_OPERATIONS, Operation, PLACES, Program, Tampering};

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
            Self::Crash { after } => write!(f, "crash {after}"),
            Self::Repair => f.write_str("repair"),
            Self::Tamper(Tampering::Producer(by)) => write!(f, "damage producer {by:+}"),
            Self::Tamper(Tampering::Consumer(by)) => write!(f, "damage consumer {by:+}"),
            Self::Tamper(Tampering::Header { offset, word }) => write!(f, "damage header {offset} {word:#010x}"),
        }
    }
}

/// A line that is no part of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}: {}", self.line, self.text, self.why)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Program {
    type Err = ParseError;

    /// Empty lines, and lines that begin with `#`, mean nothing.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut program: Option<Self> = None;
        for (index, text) in text.lines().enumerate() {
            let error = |why| ParseError { line: index + 1, text: text.trim().to_owned(), why };
            if text.trim().is_empty() || text.trim().starts_with('#') {
                continue;
            }
            let mut words = Words(text.split_whitespace());
            match &mut program {
                None => program = Some(words.ring().map_err(error)?),
                Some(program) if program.operations.len() == MAX_OPERATIONS => {
                    return Err(error("more operations than a program may have"));
                }
                Some(program) => program.operations.push(words.operation().map_err(error)?),
            }
            if words.0.next().is_some() {
                return Err(error("more words than belong there"));
            }
        }
        program.ok_or(ParseError { line: 1, text: String::new(), why: "there is no line for the ring" })
    }
}

struct Words<'t>(SplitWhitespace<'t>);

impl Words<'_> {
    fn word(&mut self) -> Result<&str, &'static str> {
        self.0.next().ok_or("a word is missing")
    }

    fn number<T: FromStr>(&mut self) -> Result<T, &'static str> {
        self.word()?.parse().map_err(|_| "a word is no number, or none of this size")
    }

    fn expect(&mut self, expected: &str) -> Result<(), &'static str> {
        if self.word()? == expected { Ok(()) } else { Err("a word is not the one that belongs there") }
    }

    fn place(&mut self) -> Result<u8, &'static str> {
        let place = self.number()?;
        if place < PLACES { Ok(place) } else { Err("there are four places, 0 to 3") }
    }

    /// The value of `name=value`, or `None` if it is `none`.
    fn named<T: FromStr>(&mut self, name: &str, none: &str) -> Result<Option<T>, &'static str> {
        let value = self.word()?.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        match value.ok_or("a word is not name=value, or not the name that belongs there")? {
            value if value == none => Ok(None),
            value => value.parse().map(Some).map_err(|_| "a value is no number, or none of this size"),
        }
    }

    fn finish(&mut self) -> Result<Finish, &'static str> {
        match self.word()? {
            "submit" => Ok(Finish::Submit),
            "discard" => Ok(Finish::Discard),
            other => match other.strip_prefix("len=").map(str::parse) {
                Some(Ok(len)) => Ok(Finish::SubmitLen(len)),
                _ => Err("a sample ends with submit, len=N or discard"),
            },
        }
    }

    fn ring(&mut self) -> Result<Program, &'static str> {
        self.expect("ring")?;
        let size = RingSize::new(self.number()?).map_err(|_| "no ring has this size")?;
        self.expect("from")?;
        let start: u64 = self.number()?;
        if start % 8 != 0 {
            return Err("positions are multiples of 8");
        }
        Ok(Program { size, start, operations: Vec::new() })
    }

    fn batch(&mut self) -> Result<Operation, &'static str> {
        let mut lens = Vec::new();
        loop {
            match self.word()? {
                "submit" => return Ok(Operation::Batch { lens, submit: true }),
                "discard" => return Ok(Operation::Batch { lens, submit: false }),
                _ if lens.len() == usize::from(u8::MAX) => return Err("a batch has at most 255 samples"),
                len => lens.push(len.parse().map_err(|_| "a batch ends with submit or discard")?),
            }
        }
    }

    fn damage(&mut self) -> Result<Tampering, &'static str> {
        match self.word()? {
            "producer" => Ok(Tampering::Producer(self.number()?)),
            "consumer" => Ok(Tampering::Consumer(self.number()?)),
            "header" => {
                let offset = self.number()?;
                let hex = self.word()?.strip_prefix("0x").ok_or("a length word begins with 0x")?;
                let word = u32::from_str_radix(hex, 16).map_err(|_| "a length word has up to eight hex digits")?;
                Ok(Tampering::Header { offset, word })
            }
            _ => Err("what is damaged is producer, consumer or header"),
        }
    }

    fn operation(&mut self) -> Result<Operation, &'static str> {
        Ok(match self.word()? {
            "push" => Operation::Push { len: self.number()? },
            "sample" => {
                let len = self.number()?;
                self.expect("write")?;
                let (at, count) = (self.number()?, self.number()?);
                Operation::Sample { len, at, count, finish: self.finish()? }
            }
            "batch" => self.batch()?,
            "detach" => Operation::Detach { place: self.place()?, len: self.number()? },
            "finish" => Operation::Finish { place: self.place()?, finish: self.finish()? },
            "lane" => Operation::Lane { place: self.place()?, len: self.number()? },
            "lane-sample" => {
                Operation::LaneSample { place: self.place()?, len: self.number()?, finish: self.finish()? }
            }
            "close" => Operation::Close { place: self.place()? },
            "wait" => {
                let len = self.number()?;
                let timeout_ms = self.named("timeout", "")?.ok_or("a wait has a timeout")?;
                Operation::Wait { len, timeout_ms, drain_after_ms: self.named("drain", "never")? }
            }
            "drain" => {
                let flags = self.named("flags", "")?.ok_or("a drain has flags")?;
                Operation::Drain { flags, stop_after: self.named("stop", "none")? }
            }
            "attach" => match self.word()? {
                "shared" => Operation::Attach { shared: true },
                "exclusive" => Operation::Attach { shared: false },
                _ => return Err("a producer is shared or exclusive"),
            },
            "crash" => Operation::Crash { after: self.number()? },
            "repair" => Operation::Repair,
            "damage" => Operation::Tamper(self.damage()?),
            _ => return Err("no operation is called that"),
        })
    }
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
            crash 255\n\
            repair\n\
            damage producer +8\n\
            damage consumer -9223372036854775808\n\
            damage header 16 0x80000005\n";
        let program: Program = text.parse().unwrap();
        assert_eq!(program.to_string(), text);
        assert_eq!(Program::decode(&program.encode()), Ok(program));
    }

    #[test]
    fn comments_and_empty_lines_mean_nothing() {
        let program: Program = "# found by hand\n\n  ring 8 from 0\n # the smallest\n push 0\n".parse().unwrap();
        assert_eq!(program.to_string(), "ring 8 from 0\npush 0\n");
    }

    #[test]
    fn what_is_no_program_is_an_error_that_names_the_line() {
        for (text, line) in [
            ("", 1),
            ("push 1", 1),
            ("ring 12 from 0", 1),
            ("ring 64 from 4", 1),
            ("ring 64 from", 1),
            ("ring 64 from 0\npush", 2),
            ("ring 64 from 0\n\npush -1", 3),
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
