//! The rules. Each returns its violations, one line per place.

use std::collections::{BTreeMap, HashMap};

use crate::layout::{
    ENGINE_MAY_NAME, EXCEPTIONS, HEAVY, Kind, LARGE_FOLDERS, LONG_FILES, MAX_FILE_LINES,
    MAX_FOLDER_FILES, Row, row,
};
use crate::source::Source;

/// The engine's tier.
const ENGINE: u8 = 3;

/// A module imports from its own tier or lower ones, never upward and never from a sibling implementation.
pub(crate) fn imports(sources: &[Source]) -> Vec<String> {
    let exports: HashMap<Vec<String>, Vec<String>> = sources
        .iter()
        .filter(|source| !source.is_root())
        .flat_map(|source| {
            let module = source.module();
            source.exports().into_iter().map(move |(name, inside)| {
                let shown = module.iter().cloned().chain([name]).collect();
                (shown, inside)
            })
        })
        .collect();
    let mut broken = Vec::new();
    let mut excused = Vec::new();
    for source in sources.iter().filter(|source| !source.is_root()) {
        let Some(own) = row(&source.module()) else {
            continue;
        };
        for path in source.paths() {
            let Some(other) = resolve(&path, &exports) else {
                continue;
            };
            let Some(why) = forbidden(own, other) else {
                continue;
            };
            let exception = (source.name(), other.0);
            if EXCEPTIONS
                .iter()
                .any(|(file, module, _)| (*file, *module) == exception)
            {
                excused.push(exception);
                continue;
            }
            let line = format!(
                "{} (tier {}): {} is {why}",
                source.path,
                own.1,
                path.join("::")
            );
            broken.push(line);
        }
    }
    let unused = EXCEPTIONS
        .iter()
        .filter(|(file, module, _)| !excused.contains(&(*file, *module)));
    broken.extend(unused.map(|(file, module, _)| {
        format!("{file} imports {module} no longer: take the exception away")
    }));
    broken.dedup();
    broken
}

/// Returns the row of the module that a path leads to.
fn resolve(path: &[String], exports: &HashMap<Vec<String>, Vec<String>>) -> Option<Row> {
    let root: &[(&str, &str)] = &[
        ("Error", "error"),
        ("ErrorKind", "error"),
        ("Result", "error"),
        ("Orchestrator", "orchestrator"),
    ];
    if let Some((_, module)) = root.iter().find(|(name, _)| *name == path[0]) {
        return row(&[(*module).to_owned()]);
    }
    let inside = (1..=path.len())
        .rev()
        .find_map(|length| exports.get(&path[..length]));
    row(inside.map_or(path, Vec::as_slice))
}

/// Returns why one module must not import the other, if it must not.
fn forbidden(own: Row, other: Row) -> Option<String> {
    let (_, tier, kind) = own;
    let (name, of, other_kind) = other;
    if of > tier {
        return Some(format!("above: tier {of}"));
    }
    if of == tier && kind != other_kind && matches!((kind, other_kind), (_, Kind::Own(_))) {
        return Some("a sibling".to_owned());
    }
    let implementation = of == 2 && matches!(other_kind, Kind::Own(_));
    if tier == ENGINE && implementation && !ENGINE_MAY_NAME.contains(&name) {
        return Some("an implementation: the engine knows its seam only".to_owned());
    }
    None
}

/// Each heavy dependency is used only in its modules.
pub(crate) fn heavy(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for (dependency, rooms) in HEAVY {
        let foreign = sources
            .iter()
            .filter(|source| !rooms.split('|').any(|room| source.path.starts_with(room)));
        broken.extend(foreign.flat_map(|source| source.lines_with(&[dependency])));
    }
    broken
}

/// No file exceeds the limit; listed exceptions may only shrink.
pub(crate) fn lengths(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let (path, length) = (&source.path, source.length());
        let known = LONG_FILES.iter().find(|(long, _)| long == path);
        match known {
            None if length > MAX_FILE_LINES => {
                broken.push(format!("{path}: {length} lines, at most {MAX_FILE_LINES}"));
            }
            Some((_, most)) if length > *most => {
                broken.push(format!(
                    "{path}: {length} lines; it had {most} and may only shrink"
                ));
            }
            Some(_) if length <= MAX_FILE_LINES => {
                broken.push(format!("{path}: short enough by now; take it off the list"));
            }
            _ => {}
        }
    }
    let gone = LONG_FILES
        .iter()
        .filter(|(long, _)| !sources.iter().any(|source| source.path == *long));
    broken.extend(gone.map(|(long, _)| format!("{long} is gone; take it off the list")));
    broken
}

/// No folder has more files than the limit; listed exceptions may only shrink.
pub(crate) fn folders(sources: &[Source]) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        let folder = source
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        *folders.entry(folder).or_default() += 1;
    }
    let mut broken = Vec::new();
    for (folder, files) in &folders {
        let most = LARGE_FOLDERS.iter().find(|(name, _)| name == folder);
        let most = most.map_or(MAX_FOLDER_FILES, |(_, most)| *most);
        if *files > most {
            broken.push(format!("{folder}: {files} files, at most {most}"));
        }
    }
    for (folder, most) in LARGE_FOLDERS {
        let files = folders.get(folder).copied().unwrap_or_default();
        if files < *most {
            broken.push(format!("{folder} has {files} files now: adapt the list"));
        }
    }
    broken
}
