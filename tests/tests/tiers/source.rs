//! A source file as the rules see it: code without comments and tests, and the paths that it names.

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// Its lines, without comments and without the test module.
    code: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| is_for_tests(pair[0]) && is_module(pair[1]) && pair[1].ends_with('{'));
        let lines = &lines[..tests.unwrap_or(lines.len())];
        let code = lines.iter().map(|line| without_comment(line).to_owned());
        Self {
            path: path.to_owned(),
            code: code.collect(),
        }
    }

    /// Returns `true` if the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Returns `true` if it is the crate's root, which declares and re-exports.
    pub(crate) fn is_root(&self) -> bool {
        self.path.ends_with("src/lib.rs") || self.path.ends_with("src/main.rs")
    }

    /// Returns its lines, without comments and tests.
    pub(crate) fn code(&self) -> &[String] {
        &self.code
    }

    /// The number of its lines.
    pub(crate) fn length(&self) -> usize {
        self.code.len()
    }

    /// Its path below the crate's `src`.
    pub(crate) fn name(&self) -> &str {
        self.path.split_once("src/").map_or("", |(_, name)| name)
    }

    /// The path of its module.
    pub(crate) fn module(&self) -> Vec<String> {
        let name = self.name().trim_end_matches(".rs");
        let name = name.trim_end_matches("/mod");
        name.split('/').map(str::to_owned).collect()
    }

    /// Returns `path:line` and the text of each line that contains one of these texts.
    pub(crate) fn lines_with(&self, texts: &[&str]) -> Vec<String> {
        let lines = self.code.iter().enumerate();
        lines
            .filter(|(_, line)| texts.iter().any(|text| holds(line, text)))
            .map(|(at, line)| format!("{}:{}: {}", self.path, at + 1, line.trim()))
            .collect()
    }

    /// Returns the paths that begin with `crate` or `super`, relative to the crate's root.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let text = self.code.join("\n");
        let mut all = Vec::new();
        for (word, base) in [("crate::", Vec::new()), ("super::", self.module())] {
            collect(&text, word, &base, &mut all);
        }
        all
    }

    /// Returns the paths that begin with `crate`, `super` or `self`, relative to the crate's root, without those of
    /// re-exports and visibilities.
    pub(crate) fn imports(&self) -> Vec<Vec<String>> {
        let text = self
            .without_reexports()
            .replace("(in crate::", "(in ")
            .replace("(in super::", "(in ");
        let mut all = Vec::new();
        for (word, base) in [
            ("crate::", Vec::new()),
            ("super::", self.module()),
            ("self::", self.module()),
        ] {
            collect(&text, word, &base, &mut all);
        }
        all
    }

    fn without_reexports(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for line in &self.code {
            let start = line.trim_start();
            inside |= start.starts_with("pub") && start.contains(" use ");
            if !inside {
                text.push_str(line);
                text.push('\n');
            }
            inside &= !line.contains(';');
        }
        text
    }

    /// Returns its re-exports: the name, and the module that it comes from. Of child modules, private imports count as
    /// well, because grandchildren can name them.
    pub(crate) fn exports(&self) -> Vec<(String, Vec<String>)> {
        let text = self.code.join("\n");
        let mut paths = Vec::new();
        for (at, word) in text.match_indices("use self::") {
            let base = self.module().into_iter();
            let inside = tree(&text[at + word.len()..]).into_iter();
            paths.extend(inside.map(|path| base.clone().chain(path).collect()));
        }
        for (at, word) in text.match_indices(" use ") {
            let line = text[..at].rsplit('\n').next().unwrap_or_default();
            let path = &text[at + word.len()..];
            if line.trim_start().starts_with("pub") {
                for (word, base) in [("crate::", Vec::new()), ("super::", self.module())] {
                    let statement = path.split_inclusive(';').next().unwrap_or(path);
                    if path.starts_with(word) {
                        collect(statement, word, &base, &mut paths);
                    }
                }
            }
        }
        let split = |mut path: Vec<String>| path.pop().map(|name| (name, path));
        paths.into_iter().filter_map(split).collect()
    }
}

/// Adds the paths in a text that begin with this word.
fn collect(text: &str, word: &str, base: &[String], all: &mut Vec<Vec<String>>) {
    for (at, _) in text.match_indices(word) {
        if text[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before)) {
            continue;
        }
        let mut rest = &text[at..];
        let mut module = base.to_vec();
        if word != "super::" {
            rest = &rest[word.len()..];
        }
        while let Some(after) = rest.strip_prefix("super::") {
            module.pop();
            rest = after;
        }
        for path in tree(rest) {
            all.push(module.iter().cloned().chain(path).collect());
        }
    }
}

/// Returns the paths of an import tree such as `a::{b, c::d}`, up to its end.
fn tree(text: &str) -> Vec<Vec<String>> {
    let mut stack: Vec<Vec<String>> = vec![Vec::new()];
    let (mut path, mut all, mut word) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_alphanumeric() || c == '_' || c == '*' => word.push(c),
            ':' if chars.next_if_eq(&':').is_some() => path.push(std::mem::take(&mut word)),
            '{' => stack.push(path.clone()),
            ',' | '}' if stack.len() > 1 => {
                finish(&path, &mut word, &mut all);
                if c == '}' {
                    stack.pop();
                }
                path = stack.last().cloned().unwrap_or_default();
            }
            c if c.is_whitespace() && stack.len() > 1 => {}
            _ => break,
        }
        if stack.len() == 1 && c == '}' {
            break;
        }
    }
    finish(&path, &mut word, &mut all);
    all
}

fn finish(path: &[String], word: &mut String, all: &mut Vec<Vec<String>>) {
    if !word.is_empty() {
        let last = std::mem::take(word);
        all.push(path.iter().cloned().chain([last]).collect());
    }
}

/// Returns `true` if the line begins a module, of any visibility.
fn is_module(line: &str) -> bool {
    line.starts_with("mod ") || (line.starts_with("pub") && line.contains(" mod "))
}

/// Returns `true` if the attribute limits the next item to tests.
fn is_for_tests(line: &str) -> bool {
    line.starts_with("#[cfg(") && line.contains("test")
}

/// Returns `true` if the line contains the text at a word boundary.
fn holds(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_\"".contains(before))
    })
}

/// Returns a line up to its comment. Two slashes in a string count as a comment too; this only hides the remainder of a
/// line.
fn without_comment(line: &str) -> &str {
    let url = |at: usize| line[..at].ends_with(':');
    let comment = line.match_indices("//").find(|(at, _)| !url(*at));
    comment.map_or(line, |(at, _)| &line[..at])
}

#[test]
fn use_trees_are_parsed_completely() {
    let source = Source::new(
        "core/src/pool/lifecycle.rs",
        "use crate::a::{b, c::{D, E},\n    f};\nuse super::{G, super_x};\n// crate::no\nlet x = crate::h::i();",
    );
    let paths: Vec<String> = source.paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "a::b",
            "a::c::D",
            "a::c::E",
            "a::f",
            "h::i",
            "pool::G",
            "pool::super_x"
        ]
    );
}
