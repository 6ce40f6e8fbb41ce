//! The rows of the file: each record is stored under a keyed hash of its name, and its name and value are sealed.
//!
//! Without the key the file reveals how many records of each kind there are, their sizes, the order of their last
//! writes, and their expiry times. The sealed part of a row is bound to its kind, place, version and expiry time: a
//! row that was moved or changed does not open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use crate::credential::{Record, RecordKey, RecordKind, Version};
use crate::id::RecordName;
use crate::seal::StateKey;

const LABEL: &str = "credential record";
const NAMES: &str = "credential name";
/// Size of the version and the expiry time, which precede the sealed part.
const HEAD: usize = 8 + 12;
/// The seconds field of a record that does not expire.
const NO_END: u64 = u64::MAX;

/// The unsealed part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) expires_at: Option<SystemTime>,
}

impl Head {
    pub(super) fn of(row: &[u8]) -> Option<Self> {
        let (version, rest) = row.split_first_chunk::<8>()?;
        let (seconds, rest) = rest.split_first_chunk::<8>()?;
        let (nanos, _) = rest.split_first_chunk::<4>()?;
        let since = Duration::new(u64::from_be_bytes(*seconds), 0)
            .checked_add(Duration::from_nanos(u32::from_be_bytes(*nanos).into()));
        let end = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        Some(Self {
            version: u64::from_be_bytes(*version),
            expires_at: end.filter(|_| u64::from_be_bytes(*seconds) != NO_END),
        })
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(super) fn version(&self) -> Version {
        Version(self.version.to_string())
    }

    fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let (seconds, nanos) = self.expires_at.map_or((NO_END, 0), |at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            (since.as_secs(), since.subsec_nanos())
        });
        bytes[..8].copy_from_slice(&self.version.to_be_bytes());
        bytes[8..16].copy_from_slice(&seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&nanos.to_be_bytes());
        bytes
    }
}

/// Returns the place of a record: a keyed hash of its kind and name.
pub(super) fn place(key: &StateKey, record: &RecordKey) -> String {
    let parts = [record.kind.as_str(), record.name.as_str()];
    key.digest(NAMES, parts.map(str::as_bytes)).hex(32)
}

/// Returns the row of a record.
pub(super) fn seal(key: &StateKey, of: &RecordKey, record: &Record, version: u64) -> Vec<u8> {
    let expires_at = record.expires_at;
    let head = Head {
        version,
        expires_at,
    }
    .bytes();
    let (name, value) = (of.name.as_str(), record.value.expose_secret());
    let mut plain = Zeroizing::new(Vec::with_capacity(2 + name.len() + value.len()));
    let length = u16::try_from(name.len()).expect("a name has at most 600 bytes");
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(name.as_bytes());
    plain.extend_from_slice(value.as_bytes());
    let bound = context(of.kind, &place(key, of), &head);
    let mut row = head.to_vec();
    row.extend(key.seal_bytes(LABEL, &bound, &plain));
    row
}

/// Opens a row. Returns `None` if it is not what was sealed for this place.
pub(super) fn open(
    key: &StateKey,
    kind: RecordKind,
    at: &str,
    row: &[u8],
) -> Option<(RecordKey, Record)> {
    let (head, sealed) = row.split_at_checked(HEAD)?;
    let plain = key.open_bytes(LABEL, &context(kind, at, head), sealed)?;
    let (length, rest) = plain.split_first_chunk::<2>()?;
    let (name, value) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let name = RecordName::new(std::str::from_utf8(name).ok()?).ok()?;
    let record = Record {
        value: SecretString::from(std::str::from_utf8(value).ok()?),
        expires_at: Head::of(head)?.expires_at,
    };
    Some((RecordKey::new(kind, name), record))
}

/// Returns the data that a sealed record is bound to.
fn context(kind: RecordKind, at: &str, head: &[u8]) -> Vec<u8> {
    [kind.as_str().as_bytes(), b"/", at.as_bytes(), b"/", head].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: RecordKind, name: &str) -> RecordKey {
        RecordKey::new(kind, RecordName::new(name).unwrap())
    }

    #[test]
    fn row_opens_only_in_its_place_and_unmodified() {
        let secret = StateKey::random();
        let ours = key(RecordKind::Link, "ann@example.org");
        let end = UNIX_EPOCH + Duration::new(4_000_000_000, 7);
        let record = Record::new("canary").expiring(end);
        let row = seal(&secret, &ours, &record, 3);
        let at = place(&secret, &ours);
        let (found, opened) = open(&secret, ours.kind, &at, &row).unwrap();
        assert_eq!((found, opened.expires_at), (ours.clone(), Some(end)));
        assert_eq!(opened.value.expose_secret(), "canary");
        assert_eq!(Head::of(&row).unwrap().version, 3);

        let other = place(&secret, &key(RecordKind::Link, "bob@example.org"));
        assert!(open(&secret, ours.kind, &other, &row).is_none());
        assert!(open(&secret, RecordKind::Token, &at, &row).is_none());
        assert!(open(&StateKey::random(), ours.kind, &at, &row).is_none());
        for byte in 0..row.len() {
            let mut changed = row.clone();
            changed[byte] ^= 1;
            assert!(
                open(&secret, ours.kind, &at, &changed).is_none(),
                "byte {byte}"
            );
            assert!(
                open(&secret, ours.kind, &at, &row[..byte]).is_none(),
                "{byte} bytes"
            );
        }
    }

    #[test]
    fn record_without_expiry_never_expires() {
        let secret = StateKey::random();
        let ours = key(RecordKind::Token, "t");
        let row = seal(&secret, &ours, &Record::new(""), u64::MAX);
        let head = Head::of(&row).unwrap();
        assert_eq!((head.expires_at, head.version), (None, u64::MAX));
        assert!(!head.is_over(SystemTime::now()));
    }
}
