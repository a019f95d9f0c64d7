//! Samples as standard output has them.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::report::print;

/// How much to collect before it is written.
const CHUNK: usize = 1 << 16;

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Each sample and a newline.
    Lines,
    /// The sample's length as a little-endian u32, then its bytes.
    U32,
    /// The sample's bytes as hexadecimal digits, one sample per line.
    Hex,
}

/// A sample as an object: as text if it is text, else as hexadecimal digits.
#[derive(Serialize)]
struct Sample<'a> {
    /// Its number, from 1.
    sample: u64,
    len: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Writes samples, and counts them.
#[derive(Debug)]
pub(super) struct Writer {
    format: Format,
    json: bool,
    pub(super) samples: u64,
    pub(super) bytes: u64,
}

impl Writer {
    pub(super) fn new(format: Format, json: bool) -> Self {
        Self { format, json, samples: 0, bytes: 0 }
    }

    /// Writes samples to standard output.
    pub(super) fn write<'s>(&mut self, samples: impl Iterator<Item = &'s [u8]>) -> anyhow::Result<()> {
        let mut text = Vec::new();
        for sample in samples {
            self.samples += 1;
            self.bytes += u64::try_from(sample.len())?;
            self.append(sample, &mut text)?;
            if text.len() >= CHUNK {
                print(&text)?;
                text.clear();
            }
        }
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    fn append(&self, sample: &[u8], text: &mut Vec<u8>) -> anyhow::Result<()> {
        if self.json {
            let as_text = std::str::from_utf8(sample).ok();
            let hex = as_text.is_none().then(|| hex(sample));
            serde_json::to_writer(&mut *text, &Sample { sample: self.samples, len: sample.len(), text: as_text, hex })?;
            text.push(b'\n');
            return Ok(());
        }
        match self.format {
            Format::Lines => text.extend_from_slice(sample),
            Format::U32 => {
                text.extend_from_slice(&u32::try_from(sample.len())?.to_le_bytes());
                text.extend_from_slice(sample);
                return Ok(());
            }
            Format::Hex => text.extend_from_slice(hex(sample).as_bytes()),
        }
        text.push(b'\n');
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_writes_a_sample_in_its_way() {
        let written = |format, json, sample: &[u8]| {
            let mut text = Vec::new();
            Writer { samples: 7, ..Writer::new(format, json) }.append(sample, &mut text).unwrap();
            text
        };
        assert_eq!(written(Format::Lines, false, b"bb"), b"bb\n");
        assert_eq!(written(Format::U32, false, b"bb"), b"\x02\0\0\0bb");
        assert_eq!(written(Format::Hex, false, b"\x00\xffb"), b"00ff62\n");
        assert_eq!(written(Format::Hex, false, b""), b"\n");
        assert_eq!(written(Format::Lines, true, b"b\n"), b"{\"sample\":7,\"len\":2,\"text\":\"b\\n\"}\n");
        assert_eq!(written(Format::Lines, true, b"\xff"), b"{\"sample\":7,\"len\":1,\"hex\":\"ff\"}\n");
    }
}
