//! Problems of a configuration and their positions: reported all at once, and never with a value that may be secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Maximum number of problems that are listed; any others are only counted.
const MAX_LISTED: usize = 200;

/// A line and a column, both starting at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A problem or a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: Arc<Path>,
    /// The position in the file; `None` refers to the file as a whole.
    pub position: Option<Position>,
    /// The key, such as `servers.github.env.TOKEN`; empty refers to the file as a whole.
    pub key: String,
    /// What is wrong, and what to do. Never contains a configured value that may be secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A remark about a valid configuration, in the form of a [`Problem`].
pub type Notice = Problem;

/// All problems of a configuration.
#[derive(Debug)]
#[non_exhaustive]
pub struct Problems {
    /// The problems, in the order of the files.
    pub problems: Vec<Problem>,
    /// Additional notices.
    pub notices: Vec<Notice>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        let count = problems.problems.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        Self::new(
            ErrorKind::Config,
            format!("the configuration has {count} {noun}:\n{problems}"),
        )
    }
}

/// The path to a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Step>);

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A key of a mapping.
    Key(String),
    /// An index of a list, starting at 0.
    Index(usize),
}

impl KeyPath {
    /// Returns the path to a key below this one.
    pub(crate) fn key(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(name.to_owned()));
        Self(steps)
    }

    /// Returns the path to a list element below this one.
    pub(crate) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// Returns the steps.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Returns `true` if this path equals `other` or leads below it.
    pub(crate) fn is_under(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(at) => write!(f, "[{at}]")?,
                Step::Key(key) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
                    if !key.is_empty() && key.chars().all(plain) {
                        f.write_str(key)?;
                    } else {
                        let short: String = key.chars().take(80).collect();
                        write!(f, "{short:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Collects problems and notices while files are read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    notices: Vec<Notice>,
    wrong: Vec<(Arc<Path>, KeyPath)>,
    left_out: usize,
}

impl Report {
    /// Adds a problem.
    pub(crate) fn problem(
        &mut self,
        file: &Arc<Path>,
        position: Option<Position>,
        path: &KeyPath,
        message: impl Into<String>,
    ) {
        if self.problems.len() >= MAX_LISTED {
            self.left_out += 1;
            return;
        }
        let problem = item(file, position, path, message.into());
        if !self.problems.contains(&problem) {
            self.wrong.push((Arc::clone(file), path.clone()));
            self.problems.push(problem);
        }
    }

    /// Adds a notice.
    pub(crate) fn notice(
        &mut self,
        file: &Arc<Path>,
        position: Option<Position>,
        path: &KeyPath,
        message: impl Into<String>,
    ) {
        let notice = item(file, position, path, message.into());
        if self.notices.len() < MAX_LISTED && !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// Returns `true` if a problem at or below this key was reported, so that consequential problems are not reported
    /// too.
    pub(crate) fn has_problem(&self, file: &Path, path: &KeyPath) -> bool {
        self.wrong
            .iter()
            .any(|(wrong_file, wrong)| &**wrong_file == file && wrong.is_under(path))
    }

    /// Turns the problems below this key into notices that end with `note`. Problems of the key itself remain.
    pub(crate) fn demote_below(&mut self, file: &Path, path: &KeyPath, note: &str) {
        let wrong = std::mem::take(&mut self.wrong);
        let problems = std::mem::take(&mut self.problems);
        for (place, problem) in wrong.into_iter().zip(problems) {
            let below = &*place.0 == file && place.1 != *path && place.1.is_under(path);
            if below {
                self.notices.push(Notice {
                    message: format!("{}{note}", problem.message),
                    ..problem
                });
            } else {
                self.wrong.push(place);
                self.problems.push(problem);
            }
        }
        if self.problems.is_empty() {
            self.left_out = 0;
        }
    }

    /// Returns the notices if there are no problems.
    ///
    /// # Errors
    /// All problems, with the notices.
    pub(crate) fn finish(mut self, order: &[PathBuf]) -> Result<Vec<Notice>, Problems> {
        let rank = |problem: &Problem| {
            let file = order.iter().position(|file| **file == *problem.file);
            (file.unwrap_or(usize::MAX), problem.position)
        };
        self.notices.sort_by_key(rank);
        if self.problems.is_empty() {
            return Ok(self.notices);
        }
        self.problems.sort_by_key(rank);
        if self.left_out > 0 {
            let message = format!("and {} more problems", self.left_out);
            let file = Arc::clone(&self.problems[0].file);
            self.problems
                .push(item(&file, None, &KeyPath::default(), message));
        }
        Err(Problems {
            problems: self.problems,
            notices: self.notices,
        })
    }
}

fn item(file: &Arc<Path>, position: Option<Position>, path: &KeyPath, message: String) -> Problem {
    Problem {
        file: Arc::clone(file),
        position,
        key: path.to_string(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_is_formatted_like_a_compiler_error() {
        let path = KeyPath::default().key("servers").key("a b").key("args");
        let at = Position { line: 3, column: 7 };
        let problem = item(
            &Path::new("c.yaml").into(),
            Some(at),
            &path.index(1),
            "no".into(),
        );
        assert_eq!(
            problem.to_string(),
            "c.yaml:3:7: servers.\"a b\".args[1]: no"
        );
    }
}
