//! Who holds the Lease, as far as this process knows.

use std::fmt;

/// Who holds the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseStatus {
    /// Not known yet, because the Lease has not been read or could not be read, with the error if there is one.
    Unknown(Option<String>),
    /// Held by this process.
    Ours,
    /// Held by another process, with this identity.
    Theirs(String),
    /// Held by this process, but not renewed in time for this reason: nothing is written until it is renewed.
    Unsure(String),
}

impl LeaseStatus {
    /// Returns `true` if this process may write.
    pub fn is_ours(&self) -> bool {
        *self == Self::Ours
    }
}

impl fmt::Display for LeaseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(None) => f.write_str("the lease was not read yet"),
            Self::Unknown(Some(why)) => write!(f, "the lease cannot be read: {why}"),
            Self::Ours => f.write_str("held by this process"),
            Self::Theirs(holder) => write!(f, "held by {holder}; this process waits for it"),
            Self::Unsure(why) => write!(f, "cannot be renewed, so nothing is written: {why}"),
        }
    }
}
