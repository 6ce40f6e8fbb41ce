//! Kills writers at random points. Acknowledged writes must survive, and no record may be written partially.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::credential::{CredentialStore, LocalCredentials, Precondition, Record};
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use crate::local_store::part::{FOLDER, Part, key, open, random, say};

/// Environment variable for the number of kills. `.ci/run long` raises it.
const KILLS: &str = "LOCAL_STORE_KILLS";
/// Environment variable for the first operation numbers of the writers.
const BEGIN: &str = "LOCAL_STORE_BEGIN";
const WRITERS: u32 = 4;
/// Number of records per writer.
const RECORDS: u32 = 8;

/// Returns the writer's operation with this number: the record, and its new value or `None` for a deletion.
fn operation(writer: u32, number: u32) -> (String, Option<String>) {
    let mixed = (number ^ writer << 16).wrapping_mul(2_654_435_761) >> 7;
    let name = format!("{writer}/{}", mixed % RECORDS);
    let size = if mixed.is_multiple_of(11) {
        40_000
    } else {
        20 + mixed % 3_000
    };
    let value = (!mixed.is_multiple_of(5)).then(|| format!("{number} ").repeat(size as usize / 4));
    (name, value)
}

async fn perform(store: &LocalCredentials, writer: u32, number: u32) {
    let (name, value) = operation(writer, number);
    match value {
        Some(value) => {
            let put = store
                .put(&key(&name), Record::new(value), Precondition::Any)
                .await;
            put.unwrap();
        }
        None => {
            store.delete(&key(&name), Precondition::Any).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part that the tests of this file start"]
async fn writer() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    say("begins");
    let store = Arc::new(open(Path::new(&folder)).await.unwrap());
    let begin = std::env::var(BEGIN).unwrap_or_default();
    let begin = begin.split(',').filter_map(|number| number.parse().ok());
    let begin: Vec<u32> = begin.collect();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        let first = begin.get(writer as usize).copied().unwrap_or(0);
        writers.spawn(async move {
            for number in first.. {
                perform(&store, writer, number).await;
                say(&format!("done {writer} {number}"));
            }
        });
    }
    writers.join_all().await;
}

/// Returns the value of a record after the writer's operations below this number.
fn written(writer: u32, end: u32, name: &str) -> Option<String> {
    let operations = (0..end).rev().map(|number| operation(writer, number));
    let last = operations.into_iter().find(|(of, _)| of == name);
    last.and_then(|(_, value)| value)
}

/// Compares the store with the acknowledged operations. The operation in progress may or may not have taken effect.
async fn compare(folder: &Path, done: &[u32]) {
    let store = open(folder).await.unwrap();
    for (writer, end) in (0..WRITERS).zip(done) {
        for record in 0..RECORDS {
            let name = format!("{writer}/{record}");
            let found = store.get(&key(&name)).await.unwrap();
            let found = found.map(|(record, _)| record.value.expose_secret().to_owned());
            let (before, after) = (
                written(writer, *end, &name),
                written(writer, end + 1, &name),
            );
            assert!(
                found == before || found == after,
                "record {name} after {end} operations is {:.40?}",
                found
            );
        }
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let kills = std::env::var(KILLS)
        .ok()
        .and_then(|kills| kills.parse().ok());
    let dir = tempfile::tempdir().unwrap();
    let mut done = [0; WRITERS as usize];
    for _ in 0..kills.unwrap_or(24) {
        let begin = done.map(|number: u32| number.to_string()).join(",");
        let script = format!("export {BEGIN}={begin}");
        let mut part = Part::start("kill::writer", dir.path(), Some(&script));
        for _ in 0..=random(80) {
            let Some(said) = part.said().await else {
                panic!("the writer has ended: {:?}", part.child.wait().await);
            };
            take(&said, &mut done);
        }
        part.child.start_kill().unwrap();
        while let Some(said) = part.said().await {
            take(&said, &mut done);
        }
        part.child.wait().await.unwrap();
        compare(dir.path(), &done).await;
    }
    println!("{done:?} operations were acknowledged");
    assert!(done.iter().all(|number| *number > 0), "{done:?}");
}

fn take(said: &str, done: &mut [u32]) {
    if let Some((writer, number)) = said
        .strip_prefix("done ")
        .and_then(|rest| rest.split_once(' '))
    {
        done[writer.parse::<usize>().unwrap()] = number.parse::<u32>().unwrap() + 1;
    }
}

#[tokio::test]
async fn kill_during_creation_leaves_a_store_that_opens() {
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut part = Part::start("kill::writer", dir.path(), None);
        assert_eq!(part.said().await.as_deref(), Some("begins"));
        // Do not wait for anything: the kill may interrupt the creation of the store at any point.
        tokio::time::sleep(Duration::from_micros(random(8_000).into())).await;
        part.child.start_kill().unwrap();
        let mut done = [0; WRITERS as usize];
        while let Some(said) = part.said().await {
            take(&said, &mut done);
        }
        part.child.wait().await.unwrap();
        compare(dir.path(), &done).await;
    }
}
