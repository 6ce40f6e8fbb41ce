//! Systems without a child subreaper have no keepers: process groups are all there is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

/// Does nothing on this system: a backend finds what a child left behind by its process group alone.
pub fn keeper() -> Option<ExitCode> {
    None
}

/// The program that is started. Holds secrets, so it has no `Debug`.
pub(super) struct Order {
    pub(super) program: OsString,
    pub(super) name: OsString,
    /// Empty: ours.
    pub(super) cwd: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) environment: BTreeMap<OsString, OsString>,
}
