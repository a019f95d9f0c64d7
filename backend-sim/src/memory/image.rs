//! A ring as plain values: what a snapshot returns, and what tests make up.

use std::fmt;

use user_ringbuf_core::{HEADER_LEN, Header, Position, RingSize, record_extent};

/// Positions and data area of a ring, legal or not.
#[derive(Clone, PartialEq, Eq)]
pub struct RingImage {
    size: RingSize,
    data: Vec<u8>,
    /// `consumer_pos`: any value.
    pub consumer: u64,
    /// `producer_pos`: any value.
    pub producer: u64,
}

impl RingImage {
    /// An empty ring of zero bytes, both positions at `start`.
    pub fn empty(size: RingSize, start: u64) -> Self {
        Self { size, data: vec![0; size.bytes() as usize], consumer: start, producer: start }
    }

    /// A ring with this data area, which repeats `bytes` from its beginning on as often as need be.
    pub fn from_bytes(size: RingSize, consumer: u64, producer: u64, bytes: &[u8]) -> Self {
        let len = size.bytes() as usize;
        let mut data = Vec::with_capacity(len);
        data.extend_from_slice(&bytes[..bytes.len().min(len)]);
        while !data.is_empty() && data.len() < len {
            // What stands there ends with whole repetitions, so that copying from its beginning goes on with them.
            let whole = data.len() - data.len() % bytes.len();
            data.extend_from_within(..whole.min(len - data.len()));
        }
        data.resize(len, 0);
        Self { size, data, consumer, producer }
    }

    /// Size of the data area.
    pub fn size(&self) -> RingSize {
        self.size
    }

    /// The data area.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Writes `bytes` from `offset` on, across the end of the area if need be.
    ///
    /// # Errors
    /// [`BeyondRing`] if `offset` is not below the ring's size, or `bytes` are more than that size.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), BeyondRing> {
        let first = BeyondRing::check(self.size, offset, bytes.len())?;
        let (front, wrapped) = bytes.split_at(first);
        let offset = offset as usize;
        self.data[offset..offset + front.len()].copy_from_slice(front);
        self.data[..wrapped.len()].copy_from_slice(wrapped);
        Ok(())
    }

    /// The bytes from `offset` on, across the end of the area if need be.
    ///
    /// # Errors
    /// [`BeyondRing`] if `offset` is not below the ring's size, or `len` is more than that size.
    pub fn read(&self, offset: u32, len: usize) -> Result<Vec<u8>, BeyondRing> {
        let first = BeyondRing::check(self.size, offset, len)?;
        let offset = offset as usize;
        let mut bytes = self.data[offset..offset + first].to_vec();
        bytes.extend_from_slice(&self.data[..len - first]);
        Ok(bytes)
    }

    /// The length word at `position`, rounded down to where a record may begin.
    pub fn header_at(&self, position: u64) -> Header {
        let at = (Position::new(position).offset(self.size) & !7) as usize;
        Header::from_word(u32::from_ne_bytes([self.data[at], self.data[at + 1], self.data[at + 2], self.data[at + 3]]))
    }

    /// Puts a record at the producer position and moves that behind it: `header` as it is, then as much of `sample` as
    /// its length and the ring's size allow. Checks nothing else: the record may be larger than the room there is, or
    /// than the ring, or overwrite others. `producer` is rounded down to a multiple of 8 first.
    pub fn append(&mut self, header: Header, sample: &[u8]) {
        let at = Position::new(self.producer & !7);
        let offset = at.offset(self.size) as usize;
        self.data[offset..offset + HEADER_LEN as usize].copy_from_slice(&header.with_pad().to_ne_bytes());
        let len = sample.len().min(header.len() as usize).min((self.size.bytes() - HEADER_LEN) as usize);
        let behind = at.advance(u64::from(HEADER_LEN)).offset(self.size);
        // Cut to the ring's size just now, and an offset is below it.
        let _ = self.write(behind, &sample[..len]);
        self.producer = at.advance(u64::from(record_extent(header.len()))).get();
    }
}

impl fmt::Debug for RingImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut image = f.debug_struct("RingImage");
        image.field("size", &self.size.bytes()).field("consumer", &self.consumer).field("producer", &self.producer);
        if self.data.len() <= 256 { image.field("data", &self.data).finish() } else { image.finish_non_exhaustive() }
    }
}

/// A range that does not lie within the data area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondRing {
    /// First byte of the range.
    pub offset: u32,
    /// Bytes in the range.
    pub len: usize,
    /// Bytes in the data area.
    pub size: u32,
}

impl BeyondRing {
    /// Bytes of the range in front of the area's end; the rest continue at its beginning.
    pub(super) fn check(size: RingSize, offset: u32, len: usize) -> Result<usize, Self> {
        if offset >= size.bytes() || len > size.bytes() as usize {
            return Err(Self { offset, len, size: size.bytes() });
        }
        Ok(len.min((size.bytes() - offset) as usize))
    }
}

impl fmt::Display for BeyondRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {} do not lie within the ring's {} bytes", self.len, self.offset, self.size)
    }
}

impl std::error::Error for BeyondRing {}

/// An image of a ring of another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongSize {
    /// Bytes in the image's data area.
    pub image: u32,
    /// Bytes in the ring's.
    pub ring: u32,
}

impl WrongSize {
    pub(super) fn check(image: &RingImage, ring: RingSize) -> Result<(), Self> {
        let (image, ring) = (image.size.bytes(), ring.bytes());
        if image == ring { Ok(()) } else { Err(Self { image, ring }) }
    }
}

impl fmt::Display for WrongSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an image of {} bytes for a ring of {} bytes", self.image, self.ring)
    }
}

impl std::error::Error for WrongSize {}
