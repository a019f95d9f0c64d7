//! The listing in Prometheus' text exposition format: one family after the other, each with its help and type.

use std::io::{self, Write};

use super::listing::{Listed, Listing};
use crate::producer::Producing;

/// A family of metrics: name, type, help, and its value for a ring. A ring without one is left out.
type Family = (&'static str, &'static str, &'static str, fn(&Listed<'_>) -> Option<u64>);

const FAMILIES: [Family; 7] = [
    ("size_bytes", "gauge", "Size of the ring's data area.", |ring| Some(ring.size.into())),
    ("used_bytes", "gauge", "Bytes between the positions; absent if these are wrong.", |ring| ring.used.map(u64::from)),
    ("produced_bytes_total", "counter", "The producer position: bytes published since the ring was created.", |ring| {
        Some(ring.producer_pos)
    }),
    ("drained_bytes_total", "counter", "The consumer position: bytes drained since the ring was created.", |ring| {
        Some(ring.consumer_pos)
    }),
    ("stuck", "gauge", "Whether only a repair can free the ring.", |ring| Some(ring.stuck.into())),
    ("claimed", "gauge", "Whether a process claims the ring; absent if unknown.", |ring| match ring.producer {
        Producing::Alive { .. } => Some(1),
        Producing::Gone | Producing::None => Some(0),
        Producing::Unknown { .. } => None,
    }),
    ("holders", "gauge", "Processes that hold the ring open; absent if unknown.", |ring| {
        ring.holders.and_then(|holders| u64::try_from(holders.len()).ok())
    }),
];

pub(super) fn write(listing: &Listing<'_>, out: &mut dyn Write) -> io::Result<()> {
    for (name, kind, help, value) in FAMILIES {
        head(name, kind, help, out)?;
        for ring in &listing.rings {
            if let Some(value) = value(ring) {
                writeln!(out, "user_ringbuf_{name}{{{}}} {value}", labels(ring))?;
            }
        }
    }
    head("verdict", "gauge", "1 for the ring's verdict.", out)?;
    for ring in &listing.rings {
        writeln!(out, "user_ringbuf_verdict{{{},verdict=\"{}\"}} 1", labels(ring), ring.verdict)?;
    }
    head("unreadable_rings", "gauge", "Rings that could not be looked at.", out)?;
    writeln!(out, "user_ringbuf_unreadable_rings {}", listing.unreadable.len())
}

fn head(name: &str, kind: &str, help: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# HELP user_ringbuf_{name} {help}")?;
    writeln!(out, "# TYPE user_ringbuf_{name} {kind}")
}

fn labels(ring: &Listed<'_>) -> String {
    let pin = ring.pins.first().map_or("", String::as_str);
    format!("id=\"{}\",name=\"{}\",pin=\"{}\"", ring.id, escaped(ring.name), escaped(pin))
}

/// A label's value: a backslash, a quotation mark and a newline are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
