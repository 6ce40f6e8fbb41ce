//! Import circles: groups of files of which each imports, directly or through others, every other one. The same holds
//! for the modules at the top of a crate, each with everything below it.
//!
//! A name is followed through re-exports to the file that defines it, and a re-export is not an import of the file that
//! contains it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::source::Source;

/// Re-exports that a name is followed through.
const MAX_REEXPORTS: usize = 8;

/// There are only known circles, and the list of them contains no file that left its circle.
pub(crate) fn new_circles(sources: &[Source], known: &[&[&str]]) -> Vec<String> {
    compare(&circles(sources), known)
}

fn compare(found: &[Vec<&str>], known: &[&[&str]]) -> Vec<String> {
    let mut broken = Vec::new();
    let within = |circle: &[&str], files: &[&str]| circle.iter().all(|file| files.contains(file));
    for circle in found {
        if !known.iter().any(|files| within(circle, files)) {
            broken.push(format!("a new import circle: {}", circle.join(", ")));
        }
    }
    for files in known {
        if !found.iter().any(|circle| within(files, circle)) {
            broken.push(format!(
                "a circle has shrunk, so shorten its list: {}",
                files.join(", ")
            ));
        }
    }
    broken
}

/// Returns the circles of files, each sorted by name.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<&str>> {
    Search::new(&imports(sources)).run()
}

/// Returns the circles of the modules at the top of the crate, one line each, with the imports between them.
pub(crate) fn circles_of_modules(sources: &[Source]) -> Vec<String> {
    let mut imports_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut reasons: Vec<(&str, &str, String)> = Vec::new();
    for (file, imported) in imports(sources) {
        for other in imported.into_iter().filter(|other| !is_root_name(other)) {
            let (from, to) = (top_module(file), top_module(other));
            if from != to {
                imports_of.entry(from).or_default().insert(to);
                reasons.push((from, to, format!("{file} imports {other}")));
            }
        }
    }
    let circles = Search::new(&imports_of).run().into_iter();
    circles
        .map(|circle| {
            let within = |(from, to, _): &&(&str, &str, String)| {
                circle.contains(from) && circle.contains(to)
            };
            let reasons = reasons.iter().filter(within);
            let reasons: Vec<&str> = reasons.map(|(.., reason)| reason.as_str()).collect();
            format!("{}: {}", circle.join(", "), reasons.join("; "))
        })
        .collect()
}

/// Returns the module at the top of the crate that this file belongs to.
fn top_module(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs")
}

fn is_root_name(file: &str) -> bool {
    file == "lib.rs" || file == "main.rs"
}

/// Returns the files that each file imports.
fn imports(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: HashMap<Vec<String>, &str> = sources
        .iter()
        .map(|source| (place(source), source.name()))
        .collect();
    let exports = exports(sources);
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_root()) {
        let files = source.imports().into_iter();
        let files = files.filter_map(|path| file_of(path, &modules, &exports));
        let files = files.filter(|file| *file != source.name()).collect();
        imports.insert(source.name(), files);
    }
    imports
}

/// The path of the source's module; the crate's root has the empty path.
fn place(source: &Source) -> Vec<String> {
    if source.is_root() {
        Vec::new()
    } else {
        source.module()
    }
}

/// Returns the modules that re-exported names come from.
fn exports(sources: &[Source]) -> HashMap<Vec<String>, Vec<String>> {
    let mut all = HashMap::new();
    for source in sources {
        let root = source.is_root();
        for (name, mut inside) in source.exports() {
            if root {
                inside.remove(0);
            }
            let shown = place(source).into_iter().chain([name]).collect();
            all.insert(shown, inside);
        }
    }
    all
}

/// Returns the file that a path leads to.
fn file_of<'s>(
    mut path: Vec<String>,
    modules: &HashMap<Vec<String>, &'s str>,
    exports: &HashMap<Vec<String>, Vec<String>>,
) -> Option<&'s str> {
    for _ in 0..MAX_REEXPORTS {
        let length = (0..=path.len())
            .rev()
            .find(|length| modules.contains_key(&path[..*length]))?;
        let next = path
            .get(length)
            .and_then(|name| exports.get(&[&path[..length], std::slice::from_ref(name)].concat()));
        match next {
            Some(inside) if *inside != path[..length] => {
                path = [&inside[..], &path[length..]].concat();
            }
            _ => return modules.get(&path[..length]).copied(),
        }
    }
    None
}

/// Tarjan's search for strongly connected components.
struct Search<'g, 's> {
    imports: &'g BTreeMap<&'s str, BTreeSet<&'s str>>,
    /// The order in which files were visited.
    seen: HashMap<&'s str, usize>,
    stack: Vec<&'s str>,
    found: Vec<Vec<&'s str>>,
}

impl<'g, 's> Search<'g, 's> {
    fn new(imports: &'g BTreeMap<&'s str, BTreeSet<&'s str>>) -> Self {
        Self {
            imports,
            seen: HashMap::new(),
            stack: Vec::new(),
            found: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Vec<&'s str>> {
        for file in self.imports.keys() {
            if !self.seen.contains_key(file) {
                self.visit(file);
            }
        }
        self.found.sort();
        self.found
    }

    /// Visits a file and returns the earliest file that it leads back to.
    fn visit(&mut self, file: &'s str) -> usize {
        let order = self.seen.len();
        let mut low = order;
        self.seen.insert(file, order);
        self.stack.push(file);
        for next in self.imports.get(file).into_iter().flatten() {
            match self.seen.get(next) {
                None => low = low.min(self.visit(next)),
                Some(order) if self.stack.contains(next) => low = low.min(*order),
                Some(_) => {}
            }
        }
        if low == order {
            let start = self.stack.iter().position(|known| *known == file);
            let mut circle = self.stack.split_off(start.unwrap_or_default());
            if circle.len() > 1 {
                circle.sort_unstable();
                self.found.push(circle);
            }
        }
        low
    }
}

#[test]
fn new_circles_are_detected() {
    let at = |path: &str, code: &str| Source::new(&format!("core/src/{path}"), code);
    let sources = [
        at("lib.rs", "pub use self::a::A;"),
        at("a.rs", "use crate::b::{self, B};"),
        at("b/mod.rs", "mod c;\npub use self::c::C;\nuse self::d::D;"),
        at("b/c.rs", "pub(crate) use super::d::D;\nuse crate::A;"),
        at("b/d.rs", "fn f() -> super::C {}"),
        at("e.rs", "use crate::b::C;"),
    ];
    let found = circles(&sources);
    assert_eq!(found, [["a.rs", "b/c.rs", "b/d.rs", "b/mod.rs"]]);
    let known: &[&str] = &["a.rs", "b/c.rs", "b/d.rs", "b/mod.rs"];
    assert!(compare(&found, &[known]).is_empty());
    assert!(compare(&found, &[])[0].starts_with("a new import circle: a.rs, b/c.rs"));
    let longer: &[&str] = &["a.rs", "b/c.rs", "b/d.rs", "b/mod.rs", "e.rs"];
    assert!(compare(&found, &[longer])[0].starts_with("a circle has shrunk"));
}

#[test]
fn circles_of_modules_are_detected() {
    let at = |path: &str, code: &str| Source::new(&format!("core/src/{path}"), code);
    let mut sources = vec![
        at("lib.rs", "pub use self::a::A;"),
        at("a.rs", "use crate::b::B;"),
        at("a/part.rs", "use super::A;"),
        at("b/mod.rs", "mod c;\nuse self::c::C;"),
        at("b/c.rs", "use crate::d::D;"),
        at("d/mod.rs", "mod e;"),
        at("d/e.rs", ""),
    ];
    assert!(circles_of_modules(&sources).is_empty());
    // No file imports itself through others, but `a` leads to `b`, `b` to `d`, and `d` back to `a`.
    sources[6] = at("d/e.rs", "use crate::a::part::Part;");
    assert!(circles(&sources).is_empty());
    let found = circles_of_modules(&sources);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("a, b, d: a.rs imports b/mod.rs"),
        "{found:?}"
    );
    assert!(found[0].contains("d/e.rs imports a/part.rs"), "{found:?}");
}
