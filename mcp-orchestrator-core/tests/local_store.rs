//! Tests of the local store under failures: killed processes, full disks, read-only directories.
#![cfg(all(target_os = "linux", feature = "local-store"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test says where it fails by where it panics"
)]

#[path = "local_store/disk.rs"]
mod disk;
#[path = "local_store/kill.rs"]
mod kill;
#[path = "local_store/part.rs"]
mod part;
