//! Runs the fuzzing entry points on the stored corpus and on a fixed number of mutations of each input.
//!
//! Every run uses the same inputs, because the generator is seeded with the target's name. `FUZZ_MUTATIONS` sets the
//! number of mutations of each input (default: 400).

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mcp_orchestrator_core::testing::fuzz::{config, jsonrpc, oauth, routing, transport};

use self::mutate::Mutator;

const MUTATIONS: usize = 400;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Runs one input. A failing input is written to the directory that cargo-fuzz uses, so that it can be reproduced.
fn run(target: &str, entry: fn(&[u8]), from: &Path, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| entry(input))).is_err() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/artifacts")
            .join(target);
        fs::create_dir_all(&folder).unwrap();
        let kept = folder.join("found-by-replay");
        fs::write(&kept, input).unwrap();
        panic!(
            "{target} fails on an input made from {}; it is kept in {}",
            from.display(),
            kept.display()
        );
    }
}

fn replay(target: &str, entry: fn(&[u8])) {
    let inputs = corpus(target);
    let mutations = std::env::var("FUZZ_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(MUTATIONS);
    let all: Vec<&[u8]> = inputs.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut mutator = Mutator::new(target, &all);
    for (path, bytes) in &inputs {
        run(target, entry, path, bytes);
        for _ in 0..mutations {
            run(target, entry, path, &mutator.mutate(bytes));
        }
    }
}

macro_rules! targets {
    ($($target:ident: $entry:path;)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), $entry);
        })*

        #[test]
        fn every_fuzz_target_is_replayed() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
            let mut found: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned())
                .collect();
            found.sort();
            let mut known = vec![$(stringify!($target)),*];
            known.sort_unstable();
            assert_eq!(found, known);
        }
    };
}

targets! {
    http1_response: transport::http1_response;
    sse: transport::sse;
    pipe_lines: transport::pipe_lines;
    scan: jsonrpc::scan;
    splice: jsonrpc::splice;
    uri_template: routing::uri_template;
    configuration: config::configuration;
    foreign_files: config::foreign_files;
    server_json: config::server_json;
    oauth_documents: oauth::oauth_documents;
    tokens: oauth::tokens;
}
