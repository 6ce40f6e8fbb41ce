//! The contract suites of the public traits, as docs/contract-suites.md lists them.

use std::collections::BTreeSet;
use std::fs;

use crate::source::Source;
use crate::{root, sources};

/// Public traits without a suite: one that every type with the methods implements, and has no contract of its own.
const WITHOUT_SUITE: &[&str] = &["Io"];
/// Implementations that cannot run the suite: there is nothing to ask them for.
const EXEMPT: &[(&str, &str)] = &[("CredentialResolver", "NoCredentials")];

/// A row of the table.
struct Row {
    name: String,
    implementation: String,
    suite: String,
    file: String,
}

fn table() -> Vec<Row> {
    let page = root().join("docs/contract-suites.md");
    let text = fs::read_to_string(page).expect("the page can be read");
    let rows = text.lines().filter_map(|line| {
        let line = line.strip_prefix("| `")?.strip_suffix("` |")?;
        let cells: Vec<&str> = line.split("` | `").collect();
        let [name, implementation, suite, file] = cells[..] else {
            panic!("four columns: {line}");
        };
        Some(Row {
            name: name.to_owned(),
            implementation: implementation.to_owned(),
            suite: suite.to_owned(),
            file: file.to_owned(),
        })
    });
    rows.collect()
}

/// Returns the name of the public trait that a line declares.
fn declared(line: &str) -> Option<&str> {
    let name = line.strip_prefix("pub trait ")?;
    name.split([':', '<', ' ']).next()
}

/// Returns the trait and the type of an implementation that begins in a line.
fn implemented(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.strip_prefix("impl")?.split_once(" for ")?;
    let name = before.rsplit([' ', ':']).next()?;
    let of = after.split([' ', '<', '{']).next()?;
    Some((name, of))
}

fn of_product() -> Vec<Source> {
    [
        "mcp-orchestrator-core/src",
        "mcp-orchestrator-gateway/src",
        "mcp-orchestrator-cli/src",
        "examples/src",
    ]
    .into_iter()
    .flat_map(sources)
    .filter(|source| !source.path.contains("/src/testing/"))
    .collect()
}

#[test]
fn every_public_trait_has_a_suite_that_every_implementation_runs() {
    let (table, sources) = (table(), of_product());
    let lines = || sources.iter().flat_map(Source::code);
    let traits: BTreeSet<&str> = lines().filter_map(|line| declared(line)).collect();
    let traits: BTreeSet<&str> = traits
        .into_iter()
        .filter(|name| !WITHOUT_SUITE.contains(name))
        .collect();
    let listed: BTreeSet<&str> = table.iter().map(|row| &*row.name).collect();
    assert_eq!(traits, listed, "the public traits, and those of the table");
    let implementations: BTreeSet<(&str, &str)> = lines()
        .filter_map(|line| implemented(line))
        .filter(|found| traits.contains(found.0) && !EXEMPT.contains(found))
        .collect();
    let listed: BTreeSet<(&str, &str)> = table
        .iter()
        .map(|row| (&*row.name, &*row.implementation))
        .collect();
    assert_eq!(
        implementations, listed,
        "the implementations, and the table"
    );
}

#[test]
fn named_files_run_the_suites_of_the_table() {
    for row in table() {
        let (module, function) = row.suite.split_once("::").expect("a module and a function");
        let file = fs::read_to_string(root().join(&row.file));
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", row.file));
        let runs = file.contains(&format!("testing::{module}"))
            || file.contains(&format!("testing::{{{module}"));
        assert!(
            runs && file.contains(&format!("{function}(")),
            "{} does not run {}",
            row.file,
            row.suite
        );
        let suites = root().join("mcp-orchestrator-core/src/testing");
        let found = [
            format!("{module}.rs"),
            format!("{module}/mod.rs"),
            format!("{module}/{function}.rs"),
        ]
        .iter()
        .filter_map(|name| fs::read_to_string(suites.join(name)).ok())
        .any(|text| text.contains(&format!("fn {function}(")));
        assert!(found, "there is no suite {}", row.suite);
    }
}

#[test]
fn declarations_of_traits_and_implementations_are_recognized() {
    assert_eq!(declared("pub trait Router: fmt::Debug {"), Some("Router"));
    assert_eq!(declared("pub trait Known {"), Some("Known"));
    assert_eq!(declared("trait Hidden {"), None);
    for (line, found) in [
        ("impl Router for Table {", Some(("Router", "Table"))),
        (
            "impl<A: Authenticator> Authenticator for WithDirectory<A> {",
            Some(("Authenticator", "WithDirectory")),
        ),
        (
            "impl super::Known for Visible<'_> {",
            Some(("Known", "Visible")),
        ),
        ("impl Table {", None),
    ] {
        assert_eq!(implemented(line), found, "{line}");
    }
}
