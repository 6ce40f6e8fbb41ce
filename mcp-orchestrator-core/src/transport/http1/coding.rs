//! Decodes the content codings `gzip` and `deflate` in pieces of bounded size.

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use super::{Broken, Coding};
use crate::limits::MAX_GZIP_HEADER;

/// Maximum number of bytes that one step returns, whatever the compression ratio.
const PIECE: usize = 32 << 10;

/// Decodes a content coding.
pub(crate) struct Decoder {
    inflate: Decompress,
    is_gzip: bool,
    state: State,
    input: BytesMut,
    /// `true` once the input is complete.
    complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    GzipHeader,
    /// A `deflate` body, with or without a zlib header: servers differ.
    Deflate,
    Body,
    /// After a gzip member. Another one may follow (RFC 1952).
    GzipTrailer,
    End,
}

/// Result of one decoding step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Data(Bytes),
    /// More input is needed.
    Hungry,
    End,
}

impl Decoder {
    /// Returns a decoder for this coding, or `None` if the coding needs no decoder or is not supported.
    pub(crate) fn new(coding: Coding) -> Option<Self> {
        let state = match coding {
            Coding::Gzip => State::GzipHeader,
            Coding::Deflate => State::Deflate,
            Coding::Identity | Coding::Other => return None,
        };
        Some(Self {
            inflate: Decompress::new(false),
            is_gzip: coding == Coding::Gzip,
            state,
            input: BytesMut::new(),
            complete: false,
        })
    }

    /// Adds the next part of the body; `None` marks its end.
    pub(crate) fn push(&mut self, part: Option<Bytes>) {
        match part {
            Some(part) => self.input.extend_from_slice(&part),
            None => self.complete = true,
        }
    }

    /// Decodes the next piece of the input received so far.
    ///
    /// # Errors
    /// [`Broken::Invalid`] if the input is malformed or ends early.
    pub(crate) fn next(&mut self) -> Result<Decoded, Broken> {
        let begun = match self.state {
            State::GzipHeader => self.gzip_header()?,
            State::Deflate => self.zlib_header(),
            State::Body => true,
            State::GzipTrailer => self.gzip_trailer() && self.gzip_header()?,
            State::End => return Ok(Decoded::End),
        };
        if begun {
            self.state = State::Body;
            let mut out = Vec::with_capacity(PIECE);
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(&self.input, &mut out, FlushDecompress::None)
                .map_err(|_| Broken::Invalid("its compressed body is malformed"))?;
            let used = self.inflate.total_in() - before;
            self.input.advance(
                usize::try_from(used)
                    .unwrap_or(usize::MAX)
                    .min(self.input.len()),
            );
            if status == Status::StreamEnd {
                // The checksum that may follow is not verified: the compressed stream marks its own end.
                self.state = match self.is_gzip {
                    true => State::GzipTrailer,
                    false => State::End,
                };
            }
            if !out.is_empty() {
                return Ok(Decoded::Data(out.into()));
            }
            if self.state == State::End {
                return Ok(Decoded::End);
            }
            if self.state == State::GzipTrailer {
                return self.next();
            }
        }
        if self.state == State::End {
            return Ok(Decoded::End);
        }
        if self.complete {
            return Err(Broken::Invalid("its compressed body ends early"));
        }
        Ok(Decoded::Hungry)
    }

    /// Skips the checksum and length after a gzip member. Returns `true` if another member begins; otherwise the body ends,
    /// or more input is needed.
    fn gzip_trailer(&mut self) -> bool {
        const TRAILER: usize = 8;
        match self.input.get(TRAILER..TRAILER + 2) {
            Some(begin) if begin == [0x1f, 0x8b] => {
                self.input.advance(TRAILER);
                self.inflate.reset(false);
                self.state = State::GzipHeader;
                true
            }
            Some(_) => {
                self.state = State::End;
                false
            }
            None => {
                if self.complete {
                    self.state = State::End;
                }
                false
            }
        }
    }

    /// Skips the gzip header (RFC 1952). Returns `false` if the header is incomplete.
    fn gzip_header(&mut self) -> Result<bool, Broken> {
        const FIXED: usize = 10;
        let input = &self.input[..];
        if input.len() < FIXED {
            return Ok(false);
        }
        if input[..3] != [0x1f, 0x8b, 8] {
            return Err(Broken::Invalid("its body is not gzip, as its head says"));
        }
        let (flags, mut at) = (input[3], FIXED);
        if flags & 4 != 0 {
            let Some(length) = input.get(at..at + 2) else {
                return Ok(false);
            };
            at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
        }
        for text in [8, 16] {
            if flags & text != 0 {
                let rest = input.get(at..).unwrap_or_default();
                match memchr::memchr(0, rest) {
                    Some(end) => at += end + 1,
                    None => at = input.len() + 1,
                }
            }
        }
        if flags & 2 != 0 {
            at += 2;
        }
        if at > MAX_GZIP_HEADER {
            return Err(Broken::Invalid("the header of its gzip body is too long"));
        }
        if at > input.len() {
            return Ok(false);
        }
        self.input.advance(at);
        Ok(true)
    }

    /// Skips the zlib header (RFC 1950) if there is one. Returns `false` if more input is needed to decide.
    fn zlib_header(&mut self) -> bool {
        let Some(&[method, flags]) = self.input.first_chunk::<2>() else {
            return false;
        };
        if method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31) {
            self.input.advance(2);
        }
        true
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn decoded(coding: Coding, input: &[u8], piece: usize) -> Result<Vec<u8>, Broken> {
        let mut decoder = Decoder::new(coding).unwrap();
        let (mut out, mut parts) = (Vec::new(), input.chunks(piece));
        loop {
            match decoder.next()? {
                Decoded::Data(data) => {
                    assert!(data.len() <= PIECE);
                    out.extend_from_slice(&data);
                }
                Decoded::Hungry => decoder.push(parts.next().map(Bytes::copy_from_slice)),
                Decoded::End => return Ok(out),
            }
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_decoded_regardless_of_chunk_boundaries() {
        let text: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| (n % 977).to_string().into_bytes())
            .collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(&text).unwrap();
        let mut named = gzip(&text);
        named[3] = 4 | 8 | 16;
        named.splice(10..10, *b"\x03\x00xyzname\0comment\0");
        for (coding, input) in [
            (Coding::Gzip, gzip(&text)),
            (Coding::Gzip, named),
            (
                Coding::Gzip,
                [gzip(&text[..1000]), gzip(&text[1000..])].concat(),
            ),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, raw.finish().unwrap()),
        ] {
            for piece in [1, 100, 1 << 20] {
                assert!(
                    decoded(coding, &input, piece).unwrap() == text,
                    "{coding:?} {piece}"
                );
            }
            assert!(decoded(coding, &input[..input.len() / 2], 100).is_err());
        }
    }

    #[test]
    fn malformed_encoded_bodies_are_rejected() {
        assert!(decoded(Coding::Gzip, b"{\"jsonrpc\":\"2.0\"}", 100).is_err());
        assert!(decoded(Coding::Gzip, b"", 1).is_err());
        let mut endless = gzip(b"x");
        endless[3] = 8;
        endless.splice(10..10, std::iter::repeat_n(b'n', 1 << 20));
        assert!(decoded(Coding::Gzip, &endless, 100).is_err());
        assert_eq!(
            decoded(Coding::Gzip, &[gzip(b"a"), b"junk".to_vec()].concat(), 7).unwrap(),
            b"a"
        );
    }

    #[test]
    fn flushed_data_is_returned_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"data: 1\n\n").unwrap();
        encoder.flush().unwrap();
        let mut decoder = Decoder::new(Coding::Gzip).unwrap();
        decoder.push(Some(encoder.get_ref().clone().into()));
        assert_eq!(
            decoder.next().unwrap(),
            Decoded::Data(Bytes::from_static(b"data: 1\n\n"))
        );
        assert_eq!(decoder.next().unwrap(), Decoded::Hungry);
    }
}
