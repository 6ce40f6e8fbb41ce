//! Full disks and read-only directories yield a clear error and lose no data.

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::{CredentialStore, LocalCredentials, Precondition, Record};
use secrecy::ExposeSecret as _;

use crate::local_store::part::{FOLDER, Part, key, open, say};

/// A file that is deleted to free space.
const BALLAST: &str = "ballast";

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn value(number: u32) -> String {
    format!("{number:05}").repeat(5_000)
}

async fn put(store: &LocalCredentials, number: u32) -> mcp_orchestrator_core::Result<()> {
    let (key, record) = (key(&number.to_string()), Record::new(value(number)));
    store.put(&key, record, Precondition::Any).await?;
    Ok(())
}

async fn all_there(store: &LocalCredentials, end: u32) {
    for number in 0..end {
        let found = store.get(&key(&number.to_string())).await.unwrap();
        let (record, _) = found.unwrap_or_else(|| panic!("record {number} is lost"));
        assert!(
            record.value.expose_secret() == value(number),
            "record {number} is broken"
        );
    }
}

/// Writes until no space is left, and returns the number of records.
async fn fill(store: &LocalCredentials) -> u32 {
    for number in 0..10_000 {
        if let Err(error) = put(store, number).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("no room is left"), "{error}");
            assert!(!error.to_string().contains("0000"), "{error}");
            return number;
        }
    }
    panic!("there was room for everything");
}

#[tokio::test]
#[ignore = "a part that the tests of this file start"]
async fn filler() {
    let Some(folder) = folder() else {
        return;
    };
    let store = open(&folder).await.unwrap();
    let end = fill(&store).await;
    assert!(put(&store, end).await.is_err(), "there is no room yet");
    all_there(&store, end).await;
    if folder.join(BALLAST).exists() {
        std::fs::remove_file(folder.join(BALLAST)).unwrap();
        put(&store, end).await.unwrap();
        drop(store);
        all_there(&open(&folder).await.unwrap(), end + 1).await;
    }
    say(&format!("full {end}"));
}

#[tokio::test]
#[ignore = "a part that the tests of this file start"]
async fn read_only_opener() {
    let Some(folder) = folder() else {
        return;
    };
    let error = open(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("cannot be used") && text.contains(&*folder.to_string_lossy()),
        "{text}"
    );
    say("refused");
}

/// Runs a part to its end and returns its last line.
async fn play(name: &str, folder: &Path, shell: &str) -> String {
    let mut part = Part::start(name, folder, Some(shell));
    let mut last = None;
    while let Some(said) = part.said().await {
        last = Some(said);
    }
    let status = part.child.wait().await.unwrap();
    assert!(status.success(), "{name} ended with {status}");
    last.unwrap_or_else(|| panic!("{name} said nothing"))
}

/// Returns `true` if this process may mount file systems in a private mount namespace.
fn may_mount() -> bool {
    let tried = std::process::Command::new("unshare")
        .args([
            "--mount",
            "--map-root-user",
            "mount",
            "-t",
            "tmpfs",
            "none",
            "/mnt",
        ])
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

#[tokio::test]
async fn file_size_limit_is_reported_and_existing_records_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    // The limit is 4 MiB. Without the trap, SIGXFSZ would kill a process that exceeds it.
    let said = play("disk::filler", dir.path(), "trap '' XFSZ; ulimit -f 8192").await;
    let end: u32 = said.strip_prefix("full ").unwrap().parse().unwrap();
    assert!(end > 10, "{end} records");
    let store = open(dir.path()).await.unwrap();
    all_there(&store, end).await;
    put(&store, end).await.unwrap();
}

#[tokio::test]
async fn full_disk_is_reported_and_writes_resume_once_space_is_freed() {
    if !may_mount() {
        // The test above covers the same error with a per-process limit.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        r#"exec unshare --mount --map-root-user sh -ec '
            mount -t tmpfs -o size=4m none "${FOLDER}"
            head -c 1000000 /dev/zero > "${FOLDER}/{BALLAST}"
            exec "$0" "$@"' "$0" "$@""#
    );
    let said = play("disk::filler", dir.path(), &script).await;
    let end: u32 = said.strip_prefix("full ").unwrap().parse().unwrap();
    assert!(end > 10, "{end} records");
}

#[tokio::test]
async fn read_only_directory_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await.unwrap();
    put(&store, 0).await.unwrap();
    drop(store);
    if may_mount() {
        let script = format!(
            r#"exec unshare --mount --map-root-user sh -ec '
                mount --bind "${FOLDER}" "${FOLDER}"
                mount -o remount,bind,ro "${FOLDER}"
                exec "$0" "$@"' "$0" "$@""#
        );
        let said = play("disk::read_only_opener", dir.path(), &script).await;
        assert_eq!(said, "refused");
    } else {
        // Directories cannot be created in sysfs, not even by root.
        let path = Path::new("/sys/kernel/credentials");
        let said = play("disk::read_only_opener", path, "").await;
        assert_eq!(said, "refused");
    }
    all_there(&open(dir.path()).await.unwrap(), 1).await;
}
