//! Sources of configured slot values: the process environment, a file, a Secret of the cluster, or the configuration
//! itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::error::Result as Told;
use crate::files;
use crate::id::{ServerId, SlotName};

/// Maximum size of a secret file in bytes, equal to the limit of a Kubernetes Secret.
const FILE_LIMIT: u64 = 1 << 20;

/// The sources of slots, per server.
pub type SlotSources = BTreeMap<ServerId, BTreeMap<SlotName, Source>>;

/// The source of one slot. An empty value counts as absent.
#[derive(Clone)]
pub enum Source {
    /// An environment variable of this process, read at each resolution.
    Env(String),
    /// A file, read at each resolution. Trailing line breaks are removed.
    File(PathBuf),
    /// A key of a Secret in the cluster, read at each resolution. Trailing line breaks are removed.
    Secret(SecretPlace),
    /// The value itself.
    Value(SecretString),
}

/// A key of a Secret in the orchestrator's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretPlace {
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret's data.
    pub key: String,
}

/// The data of a Secret, by key.
pub type SecretData = BTreeMap<String, SecretSlice<u8>>;

/// Reads Secrets of a cluster.
///
/// An implementation runs [`crate::testing::credential::secret_reader`].
#[async_trait]
pub trait SecretReader: fmt::Debug + Send + Sync + 'static {
    /// Returns the current data of a Secret, or `None` if it does not exist. The future may be dropped at any time.
    ///
    /// # Errors
    /// If the API server is unreachable or forbids the request, or if an orchestrator stores its own data in the
    /// Secret.
    async fn read(&self, name: &str) -> Told<Option<Arc<SecretData>>>;
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Secret(place) => f.debug_tuple("Secret").field(place).finish(),
            Self::Value(_) => f.write_str("Value(..)"),
        }
    }
}

/// The source as named in errors.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Secret(place) => write!(f, "key {} of secret {}", place.key, place.name),
            Self::Value(_) => f.write_str("the configured value"),
        }
    }
}

/// Reads environment variables: those of this process, or substitutes in tests.
#[derive(Clone)]
pub struct Environment(Arc<ReadVariable>);

type ReadVariable = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Environment {
    /// Returns the environment of this process.
    pub fn process() -> Self {
        Self::from_fn(|name| std::env::var_os(name))
    }

    /// Creates an environment that calls `read` for each variable.
    pub fn from_fn(read: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Returns the value of a variable.
    pub(super) fn read(&self, name: &str) -> Option<OsString> {
        (self.0)(name)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Why the value of an existing source cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it is larger than {} KiB", FILE_LIMIT >> 10)]
    TooLarge,
    #[error("it is not a regular file")]
    NotAFile,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Source {
    /// Returns `true` if reading it may block on disk I/O.
    pub(super) fn blocks(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Returns the current value, or `None` if it is absent or empty. `secrets` must hold the Secrets that this
    /// source names.
    pub(super) fn read(
        &self,
        environment: &Environment,
        secrets: &Secrets,
    ) -> Result<Option<SecretString>, SourceError> {
        let value = match self {
            Self::Env(name) => match environment.read(name) {
                Some(value) => value.into_string().map_err(|_| SourceError::NotText)?,
                None => return Ok(None),
            }
            .into(),
            Self::File(path) => match read_file(path) {
                Err(SourceError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                value => value?,
            },
            Self::Secret(place) => {
                let data = secrets.get(&place.name);
                match data.and_then(|data| data.get(&place.key)) {
                    Some(value) => text(value)?,
                    None => return Ok(None),
                }
            }
            Self::Value(value) => value.clone(),
        };
        Ok((!value.expose_secret().is_empty()).then_some(value))
    }
}

/// The existing Secrets, by name.
pub(super) type Secrets = BTreeMap<String, Arc<SecretData>>;

fn text(value: &SecretSlice<u8>) -> Result<SecretString, SourceError> {
    let text = std::str::from_utf8(value.expose_secret()).map_err(|_| SourceError::NotText)?;
    // As with a file: `kubectl create secret --from-file` includes the trailing line break.
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

fn read_file(path: &Path) -> Result<SecretString, SourceError> {
    let file = files::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(SourceError::NotAFile);
    }
    if found.len() > FILE_LIMIT {
        return Err(SourceError::TooLarge);
    }
    let mut text = String::new();
    let read = file.take(FILE_LIMIT + 1).read_to_string(&mut text);
    if let Err(error) = read {
        return Err(match error.kind() {
            io::ErrorKind::InvalidData => SourceError::NotText,
            _ => error.into(),
        });
    }
    if text.len() as u64 > FILE_LIMIT {
        return Err(SourceError::TooLarge);
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    // Some editors write a byte-order mark.
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &Source) -> Result<Option<String>, String> {
        let environment = Environment::from_fn(|name| (name == "TOKEN").then(|| "abc".into()));
        let value = source.read(&environment, &Secrets::new());
        let value = value.map_err(|e| e.to_string())?;
        Ok(value.map(|value| value.expose_secret().to_owned()))
    }

    #[test]
    fn environment_variable_is_read_by_name() {
        assert_eq!(
            read(&Source::Env("TOKEN".into())).unwrap().as_deref(),
            Some("abc")
        );
        assert_eq!(read(&Source::Env("OTHER".into())).unwrap(), None);
    }

    #[test]
    fn only_the_last_line_ending_of_a_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = Source::File(path.clone());
        assert_eq!(read(&source).unwrap(), None);
        for (content, value) in [
            ("a b\r\n", Some("a b")),
            ("k\nl\n", Some("k\nl")),
            ("\n", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&source).unwrap().as_deref(), value);
        }
    }

    #[test]
    fn unusable_secret_file_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, [0xff, b'x']).unwrap();
        assert!(
            read(&Source::File(path.clone()))
                .unwrap_err()
                .contains("UTF-8")
        );
        std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(read(&Source::File(path)).unwrap_err().contains("larger"));
        assert!(
            read(&Source::File(dir.path().into()))
                .unwrap_err()
                .contains("regular")
        );
    }

    #[test]
    fn source_displays_its_location_and_not_its_value() {
        let source = Source::Value("canary".to_owned().into());
        assert!(!format!("{source:?} {source}").contains("canary"));
        assert_eq!(
            Source::Env("A".into()).to_string(),
            "environment variable A"
        );
    }
}
