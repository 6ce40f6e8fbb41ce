//! Finds a program before it is started, so that the error says exactly what is missing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The search path if PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Number of folders of PATH that an error shows.
const SHOWN_FOLDERS: usize = 6;

/// Why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("its working directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("its working directory {} is no directory", .0.display())]
    NotADirectory(PathBuf),
    #[error(
        "program `{program}` was not found in PATH ({searched}); install it, or give its full path"
    )]
    NotInPath { program: String, searched: String },
    #[error("program `{program}` in PATH is not executable: {}", .found.display())]
    NotExecutableInPath { program: String, found: PathBuf },
    #[error("program {} was not found", .0.display())]
    NotFound(PathBuf),
    #[error("program {} is not executable", .0.display())]
    NotExecutable(PathBuf),
}

/// Where to look for a program.
pub(super) struct Lookup<'a> {
    /// The working directory of the program; `None` for that of this process.
    pub(super) cwd: Option<&'a Path>,
    /// The PATH of the program's environment.
    pub(super) path: Option<&'a OsString>,
    /// Whether PATH must not appear in errors.
    pub(super) path_is_secret: bool,
}

impl Lookup<'_> {
    /// Returns the absolute path of the program.
    pub(super) fn find(&self, program: &str) -> Result<PathBuf, LookupError> {
        if let Some(cwd) = self.cwd {
            match fs::metadata(cwd) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(LookupError::NotADirectory(cwd.to_owned())),
                Err(_) => return Err(LookupError::NoDirectory(cwd.to_owned())),
            }
        }
        if program.contains('/') {
            let path = self.in_cwd(Path::new(program));
            return match executable(&path) {
                Ok(true) => Ok(path),
                Ok(false) => Err(LookupError::NotExecutable(path)),
                Err(_) => Err(LookupError::NotFound(path)),
            };
        }
        self.find_in_path(program)
    }

    fn find_in_path(&self, program: &str) -> Result<PathBuf, LookupError> {
        let path = self
            .path
            .map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let mut unusable = None;
        // An empty name would match the folders themselves.
        let folders = std::env::split_paths(path).filter(|_| !program.is_empty());
        for folder in folders {
            let candidate = self.in_cwd(&folder).join(program);
            match executable(&candidate) {
                Ok(true) => return Ok(candidate),
                Ok(false) => drop(unusable.get_or_insert(candidate)),
                Err(_) => {}
            }
        }
        let program = program.to_owned();
        Err(match unusable {
            Some(found) => LookupError::NotExecutableInPath { program, found },
            None if self.path_is_secret => LookupError::NotInPath {
                program,
                searched: "the one in its `env`, which is secret".to_owned(),
            },
            None => LookupError::NotInPath {
                program,
                searched: shortened(path),
            },
        })
    }

    /// Resolves a path relative to the working directory of the child.
    fn in_cwd(&self, path: &Path) -> PathBuf {
        let path = self.cwd.map_or(path.to_owned(), |cwd| cwd.join(path));
        std::path::absolute(&path).unwrap_or(path)
    }
}

/// Returns the search path for an error, cut after a few folders.
fn shortened(path: &OsStr) -> String {
    let text = path.to_string_lossy();
    let folders: Vec<&str> = text.split(':').collect();
    match folders.len().checked_sub(SHOWN_FOLDERS) {
        None | Some(0) => text.into_owned(),
        Some(more) => format!("{} and {more} more", folders[..SHOWN_FOLDERS].join(":")),
    }
}

/// Returns `true` if the file is executable; fails if there is no file.
fn executable(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    Ok(found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tool");
        fs::write(&file, "").unwrap();
        let path = folder.path().as_os_str().to_owned();
        let lookup = Lookup {
            cwd: None,
            path: Some(&path),
            path_is_secret: false,
        };
        let said =
            |lookup: &Lookup<'_>, program: &str| lookup.find(program).unwrap_err().to_string();
        assert!(said(&lookup, "tool").contains("is not executable"));
        let shown = format!("`none` was not found in PATH ({})", path.to_str().unwrap());
        assert!(said(&lookup, "none").contains(&shown));
        assert!(said(&lookup, "/none/x").contains("program /none/x was not found"));
        let hidden = Lookup {
            path_is_secret: true,
            ..lookup
        };
        assert!(!said(&hidden, "none").contains(path.to_str().unwrap()));
        let many = OsString::from("/a:/b:/c:/d:/e:/f:/g:/h");
        let long = Lookup {
            path: Some(&many),
            ..lookup
        };
        assert!(said(&long, "none").contains("PATH (/a:/b:/c:/d:/e:/f and 2 more)"));
        let nowhere = Lookup {
            cwd: Some(Path::new("/none")),
            ..hidden
        };
        assert!(said(&nowhere, "tool").contains("working directory /none"));

        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let here = Lookup {
            cwd: Some(folder.path()),
            path: None,
            path_is_secret: false,
        };
        assert_eq!(here.find("./tool").unwrap(), folder.path().join("tool"));
        assert_eq!(
            Lookup {
                path: Some(&path),
                ..here
            }
            .find("tool")
            .unwrap(),
            file
        );
    }
}
