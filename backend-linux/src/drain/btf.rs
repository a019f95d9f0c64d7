//! The type information (BTF) of our programs, written by hand.
//!
//! Purpose: the verifier takes a callback only if BTF says that it is a *static* function, so a program with a
//! callback needs BTF with one `FUNC` a function. Invariant: the blob has a fixed length and no addresses; it is the
//! same for every load. Kernel counterpart: `kernel/bpf/btf.c`, `include/uapi/linux/btf.h`.

const MAGIC: u16 = 0xeb9f;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;

/// Functions that only this program's own code may refer to.
const STATIC: u32 = 0;
const GLOBAL: u32 = 1;

/// The ids of the types that [`write`] defines: they count from 1 in the order of definition; 0 is `void`.
const VOID: u32 = 0;
const INT: u32 = 1;
const POINTER: u32 = 2;
const ONE_POINTER: u32 = 3;
const TWO_POINTERS: u32 = 4;
/// `int run(void *a)`, the program, called with its context.
pub(crate) const RUN: u32 = 5;
/// `static int each(void *a, void *b)`, called with each sample and the context.
pub(crate) const EACH: u32 = 6;
/// `static int again(void *a, void *b)`, the callback of a drain within a drain.
pub(crate) const AGAIN: u32 = 7;
/// `static int tick(void *a, void *b)`, called in a loop to let time pass.
pub(crate) const TICK: u32 = 8;

/// All names, each ended by a zero, the empty name first.
const STRINGS: &[u8; 29] = b"\0int\0a\0b\0run\0each\0again\0tick\0";

/// The header's words, and with those of types and strings.
const HEADER: usize = 6;
const CAPACITY: usize = 48;

/// A BTF blob.
pub(crate) struct Btf {
    words: [u32; CAPACITY],
    /// Words in use.
    used: usize,
}

impl Btf {
    /// The blob's address for the kernel.
    pub(crate) fn as_ptr(&self) -> *const u32 {
        self.words.as_ptr()
    }

    /// The blob's length in bytes; the strings are padded with zeros, which are empty names.
    pub(crate) fn len(&self) -> u32 {
        bytes(self.used)
    }

    fn push<const N: usize>(&mut self, words: [u32; N]) {
        for (to, from) in self.words.iter_mut().skip(self.used).zip(words) {
            *to = from;
        }
        self.used = self.used.saturating_add(N);
    }
}

/// The length in bytes of so many words.
fn bytes(words: usize) -> u32 {
    u32::try_from(words.saturating_mul(4)).unwrap_or(u32::MAX)
}

/// Where a name stands in the strings.
fn name(name: &[u8]) -> u32 {
    let mut at: usize = 0;
    for string in STRINGS.split(|byte| *byte == 0) {
        if string == name {
            break;
        }
        at = at.saturating_add(string.len()).saturating_add(1);
    }
    u32::try_from(at).unwrap_or(0)
}

/// `struct btf_type`'s second word: the kind, and a count or linkage.
const fn info(kind: u32, count: u32) -> u32 {
    kind << 24 | count
}

/// Writes the blob.
pub(crate) fn write() -> Btf {
    let mut btf = Btf { words: [0; CAPACITY], used: HEADER };
    let (a, b) = (name(b"a"), name(b"b"));

    // INT: four bytes; signed, 32 bits.
    btf.push([name(b"int"), info(KIND_INT, 0), 4, 1 << 24 | 32]);
    // POINTER
    btf.push([0, info(KIND_PTR, 0), VOID]);
    // ONE_POINTER, TWO_POINTERS
    btf.push([0, info(KIND_FUNC_PROTO, 1), INT, a, POINTER]);
    btf.push([0, info(KIND_FUNC_PROTO, 2), INT, a, POINTER, b, POINTER]);
    // RUN, EACH, AGAIN, TICK
    btf.push([name(b"run"), info(KIND_FUNC, GLOBAL), ONE_POINTER]);
    for function in [&b"each"[..], b"again", b"tick"] {
        btf.push([name(function), info(KIND_FUNC, STATIC), TWO_POINTERS]);
    }
    let types = bytes(btf.used.saturating_sub(HEADER));

    let strings = btf.used;
    for word in STRINGS.chunks(4) {
        let mut padded = [0; 4];
        for (to, from) in padded.iter_mut().zip(word) {
            *to = *from;
        }
        btf.push([u32::from_ne_bytes(padded)]);
    }
    let strings = bytes(btf.used.saturating_sub(strings));

    // Magic (16 bits), version and flags (8 bits each); then offsets, from the header's end, and lengths.
    let [m0, m1] = MAGIC.to_ne_bytes();
    let header = [u32::from_ne_bytes([m0, m1, 1, 0]), bytes(HEADER), 0, types, types, strings];
    for (to, from) in btf.words.iter_mut().zip(header) {
        *to = from;
    }
    btf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole() {
        for (text, at) in [("int", 1), ("a", 5), ("b", 7), ("run", 9), ("each", 13), ("again", 18), ("tick", 24)] {
            assert_eq!(name(text.as_bytes()), at, "{text}");
        }
    }

    #[test]
    fn the_blob_fits_and_its_sections_follow_each_other() {
        let btf = write();
        assert!(btf.used <= CAPACITY);
        let [_, header, types_at, types, strings_at, strings] = btf.words[..HEADER] else { unreachable!() };
        assert_eq!((header, types_at), (24, 0));
        assert_eq!(strings_at, types);
        assert_eq!(header + types + strings, btf.len());
        let first = usize::try_from((header + strings_at) / 4).unwrap();
        assert_eq!(btf.words[first].to_ne_bytes(), *b"\0int");
    }
}
