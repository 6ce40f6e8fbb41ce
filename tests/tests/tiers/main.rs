//! Rules in ARCHITECTURE.md that the compiler does not check: allowed imports, import circles, the places of heavy
//! dependencies, and the sizes of files and folders.

mod circles;
mod known_circles;
mod layout;
mod rules;
mod source;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};

use self::source::Source;

/// The workspace's folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the package stands in the workspace")
        .to_path_buf()
}

/// Returns all sources below this folder of the workspace, except tests.
fn sources(folder: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("the file can be read");
                let name = path.strip_prefix(&root).unwrap_or(&path);
                found.push(Source::new(&name.to_string_lossy(), &text));
            }
        }
    }
    found.retain(|source| !source.is_test());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[track_caller]
fn assert_none(what: &str, broken: &[String]) {
    assert!(
        broken.is_empty(),
        "{what}:\n  {}\n(the rules stand in ARCHITECTURE.md, the tables in tests/tests/tiers)",
        broken.join("\n  ")
    );
}

#[test]
fn modules_import_only_from_lower_tiers() {
    let broken = rules::imports(&sources("mcp-orchestrator-core/src"));
    assert_none("imports that the tiers forbid", &broken);
}

#[test]
fn import_circles_are_not_added() {
    for (name, known) in known_circles::KNOWN {
        let broken = circles::new_circles(&sources(&format!("{name}/src")), known);
        let what = format!("import circles of {name} (tests/tests/tiers/known_circles.rs)");
        assert_none(&what, &broken);
    }
}

#[test]
fn top_modules_form_no_import_circles() {
    for (name, _) in known_circles::KNOWN {
        let broken = circles::circles_of_modules(&sources(&format!("{name}/src")));
        assert_none(&format!("import circles of modules of {name}"), &broken);
    }
}

#[test]
fn folders_stay_within_the_size_limit() {
    let mut all = Vec::new();
    for (name, _) in layout::CRATES {
        all.extend(sources(&format!("{name}/src")));
    }
    assert_none("folders with too many files", &rules::folders(&all));
}

#[test]
fn every_module_has_a_tier() {
    let sources = sources("mcp-orchestrator-core/src");
    let unknown: Vec<String> = sources
        .iter()
        .filter(|source| layout::row(&source.module()).is_none() && !source.is_root())
        .map(|source| source.path.clone())
        .collect();
    assert_none("files without a tier: add a row to layout.rs", &unknown);
}

#[test]
fn heavy_dependencies_stay_in_their_modules() {
    let mut all = sources("mcp-orchestrator-core/src");
    all.extend(sources("mcp-orchestrator-cli/src"));
    all.extend(sources("mcp-orchestrator-gateway/src"));
    assert_none("dependencies in a foreign room", &rules::heavy(&all));
}

#[test]
fn crates_depend_downwards() {
    let manifest = |name: &str| fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    for (name, forbidden) in layout::CRATES {
        for other in *forbidden {
            let found = manifest(name)
                .lines()
                .any(|line| line.starts_with(other) && line.contains('='));
            assert!(!found, "{name} depends on {other}");
        }
    }
}

#[test]
fn every_task_has_an_owner() {
    let mut all = sources("mcp-orchestrator-core/src");
    all.extend(sources("mcp-orchestrator-gateway/src"));
    all.extend(sources("mcp-orchestrator-cli/src"));
    let broken: Vec<String> = all
        .iter()
        // The keeper is a separate process with one thread and no runtime.
        .filter(|source| !source.path.contains("/runtime/process/keeper/"))
        .flat_map(|source| source.lines_with(&["tokio::spawn(", "task::spawn(", "thread::sleep("]))
        .collect();
    assert_none("tasks that nobody owns", &broken);
}

#[test]
fn files_stay_within_the_length_limit() {
    let mut all = Vec::new();
    for (name, _) in layout::CRATES {
        all.extend(sources(&format!("{name}/src")));
    }
    // Contract suites are tests that others run, and the `tests` crate is shared test code.
    all.retain(|source| !source.path.contains("/src/testing/"));
    all.retain(|source| !source.path.starts_with("tests/"));
    let broken = rules::lengths(&all);
    assert_none("files that are too long", &broken);
}

#[test]
fn rule_violations_are_detected() {
    let at = |path: &str, code: &str| Source::new(&format!("core/src/{path}"), code);
    let sources = [
        at("runtime/mod.rs", "pub use self::process::ProcessBackend;"),
        at("call.rs", "use crate::session::Id;"),
        at("runtime/remote/mod.rs", "use super::process::group::Group;"),
        at(
            "pool/life.rs",
            "fn f() -> crate::runtime::ProcessBackend {}",
        ),
        at(
            "pool/mod.rs",
            "use crate::{call::Call, runtime::InstanceKey};",
        ),
        at(
            "app/build.rs",
            "use crate::runtime::{InstanceKey, ProcessBackend};",
        ),
        at(
            "orchestrator/builder.rs",
            "use crate::state::memory::MemoryState;",
        ),
    ];
    let broken = rules::imports(&sources).join("\n");
    for wanted in [
        "call.rs (tier 1): session::Id is above: tier 3",
        "remote/mod.rs (tier 2): runtime::process::group::Group is a sibling",
        "life.rs (tier 3): runtime::ProcessBackend is an implementation",
    ] {
        assert!(
            broken.contains(wanted),
            "{wanted:?} is missing in:\n{broken}"
        );
    }
    assert_eq!(broken.lines().count(), 3, "{broken}");
}
