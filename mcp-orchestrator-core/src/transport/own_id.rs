//! Ids that the orchestrator gives to requests.

use std::fmt;
use std::ops::Deref;

/// Number of digits of the largest `u64`.
const DIGITS: usize = 20;

/// The id of a request of ours: a number, as JSON. It is copied without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnId {
    digits: [u8; DIGITS],
    len: u8,
}

impl OwnId {
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self).unwrap_or_default()
    }
}

impl From<u64> for OwnId {
    fn from(number: u64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(number).as_bytes();
        let mut digits = [0; DIGITS];
        digits[..text.len()].copy_from_slice(text);
        Self {
            digits,
            #[expect(clippy::cast_possible_truncation, reason = "at most 20")]
            len: text.len() as u8,
        }
    }
}

impl Deref for OwnId {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.digits[..usize::from(self.len)]
    }
}

impl fmt::Debug for OwnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_completely() {
        for number in [0, 7, 4_294_967_296, u64::MAX] {
            let id = OwnId::from(number);
            assert_eq!(id.as_str(), number.to_string());
            assert_eq!(&*id, number.to_string().as_bytes());
        }
    }
}
