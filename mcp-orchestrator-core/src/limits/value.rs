//! A limit and its value, as the documentation shows them.

use std::fmt;
use std::time::Duration;

/// A limit, as listed in `docs/limits.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Name of the constant.
    pub name: &'static str,
    /// Value of the constant.
    pub value: Value,
}

/// The value of a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A size in bytes.
    Bytes(usize),
    /// A number of items.
    Count(usize),
    /// A duration.
    Time(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        match *self {
            Self::Bytes(bytes) if bytes >= MIB && bytes.is_multiple_of(MIB) => {
                write!(f, "{} MiB", bytes / MIB)
            }
            Self::Bytes(bytes) if bytes >= KIB && bytes.is_multiple_of(KIB) => {
                write!(f, "{} KiB", bytes / KIB)
            }
            Self::Bytes(bytes) => write!(f, "{bytes} B"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) if time.subsec_millis() > 0 => write!(f, "{} ms", time.as_millis()),
            Self::Time(time) => match time.as_secs() {
                secs if secs >= 3600 && secs.is_multiple_of(3600) => write!(f, "{} h", secs / 3600),
                secs if secs >= 60 && secs.is_multiple_of(60) => write!(f, "{} min", secs / 60),
                secs => write!(f, "{secs} s"),
            },
        }
    }
}
