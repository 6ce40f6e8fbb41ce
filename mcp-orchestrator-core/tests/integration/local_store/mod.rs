//! Tests of the local store under failures: killed processes, full disks, read-only directories.
#![expect(
    clippy::unwrap_used,
    reason = "a test says where it fails by where it panics"
)]

mod disk;
mod kill;
mod part;
