//! A substitute for keepers on systems without child subreapers, where only process groups are available.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

/// Does nothing on this system: a backend finds what a child left behind through its process group alone.
pub fn keeper() -> Option<ExitCode> {
    None
}

/// The program to start. It contains secrets, so there is no `Debug` implementation.
pub(super) struct Order {
    pub(super) program: OsString,
    pub(super) name: OsString,
    /// The working directory; empty for that of this process.
    pub(super) cwd: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) environment: BTreeMap<OsString, OsString>,
}
