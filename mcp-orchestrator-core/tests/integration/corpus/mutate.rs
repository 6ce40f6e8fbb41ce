//! Deterministic mutations of inputs, similar to those of libFuzzer.

use fastrand::Rng;

/// Values that parsers often mishandle: control characters, a byte-order mark, numbers at their limits, deep nesting.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\\ud800",
    b"\\u0000",
    b"-0",
    b"1e400",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"null",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\"id\":",
    b"${HOME}",
    b"&a [*a,*a]",
    b"{+a}{b}{/c*}",
    b"%2f",
    b"data:",
    b"Content-Length: 18446744073709551615\r\n",
    b"ffffffffffffffff\r\n",
];
/// Maximum length in bytes of a mutated input. Cubic running time shows at shorter lengths.
const MAX_INPUT: usize = 64 * 1024;

pub(crate) struct Mutator<'a> {
    rng: Rng,
    inputs: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    /// Creates a mutator. The same target and inputs yield the same mutations.
    pub(crate) fn new(target: &str, inputs: &'a [&'a [u8]]) -> Self {
        let seed = target
            .bytes()
            .fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self {
            rng: Rng::with_seed(seed),
            inputs,
        }
    }

    pub(crate) fn mutate(&mut self, input: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..self.rng.usize(1..=4) {
            self.step(&mut bytes);
        }
        bytes.truncate(MAX_INPUT);
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>) {
        let at = self.rng.usize(0..=bytes.len());
        match self.rng.u8(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.rng.u8(0..8),
            1 if at < bytes.len() => bytes[at] = self.rng.u8(..),
            2 => bytes.truncate(at),
            3 => {
                let end = self.rng.usize(at..=bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                // Repeat a piece many times, to expose cost that grows with repetition.
                let end = self.rng.usize(at..=bytes.len().min(at + 64));
                let piece = bytes[at..end].repeat(self.rng.usize(1..200));
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = self.inputs[self.rng.usize(0..self.inputs.len())];
                let cut = self.rng.usize(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[cut..]);
            }
            _ => {
                let token = TOKENS[self.rng.usize(0..TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
        }
    }
}
