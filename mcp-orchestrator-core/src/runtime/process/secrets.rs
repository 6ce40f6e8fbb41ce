//! Secrets that can change while a child runs: its file slots and its header slots.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};

use crate::credential::{Credential, Generation};
use crate::id::SlotName;
use crate::runtime::HeaderCell;
use crate::server::{Injection, ServerSpec};

/// Why secrets could not be delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretsError {
    #[error("slot `{0}`: `{1}` is no plain file name")]
    FileName(SlotName, String),
    #[error("slot `{0}`: its file cannot be written: {1}")]
    Write(SlotName, io::Error),
    #[error("slot `{0}`: `{1}` and its value make no valid header")]
    Header(SlotName, String),
    #[error("slot `{0}` is required and has no value")]
    Missing(SlotName),
}

/// The file slots and headers of one instance, in the newest generation received.
#[derive(Clone, Debug)]
pub(super) struct Secrets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Arc<ServerSpec>,
    folder: PathBuf,
    headers: HeaderCell,
    held: Mutex<Held>,
}

#[derive(Debug)]
enum Held {
    Nothing,
    Generation(Generation),
    /// The instance has ended.
    Closed,
}

/// Returns the path of a file slot.
pub(super) fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

// === impl Secrets ===

impl Secrets {
    /// Creates an empty set. Its files will be in this folder.
    pub(super) fn new(server: Arc<ServerSpec>, folder: PathBuf) -> Self {
        Self(Arc::new(Inner {
            server,
            folder,
            headers: HeaderCell::default(),
            held: Mutex::new(Held::Nothing),
        }))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Returns the header cell.
    pub(super) fn headers(&self) -> HeaderCell {
        self.0.headers.clone()
    }

    /// Writes each file atomically and sets the headers. A generation older than the current one is ignored. Blocks
    /// on the file system.
    pub(super) fn write(&self, credential: &Credential) -> Result<(), SecretsError> {
        let inner = &*self.0;
        let mut held = inner.held.lock();
        match *held {
            Held::Closed => return Ok(()),
            Held::Generation(newer) if newer > credential.generation => return Ok(()),
            Held::Nothing | Held::Generation(_) => {}
        }
        let mut headers = HeaderMap::new();
        for slot in &inner.server.slots {
            let Some(value) = credential.values.get(&slot.name) else {
                if slot.required {
                    return Err(SecretsError::Missing(slot.name.clone()));
                }
                continue;
            };
            match &slot.inject {
                Injection::Env(_) => {}
                Injection::File { name, .. } => inner.write_file(&slot.name, name, value)?,
                Injection::Header { name, prefix } => {
                    let (name, value) = header(name, prefix, value)
                        .ok_or_else(|| SecretsError::Header(slot.name.clone(), name.clone()))?;
                    headers.append(name, value);
                }
            }
        }
        inner.headers.set(headers);
        *held = Held::Generation(credential.generation);
        Ok(())
    }

    /// Deletes the files and ignores later writes. Blocks on the file system.
    pub(super) fn close(&self) {
        let inner = &*self.0;
        let mut held = inner.held.lock();
        *held = Held::Closed;
        inner.headers.set(HeaderMap::new());
        match fs::remove_dir_all(&inner.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(server.id = %inner.server.id, %error, "secret files are left");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

// === impl Inner ===

impl Inner {
    fn write_file(
        &self,
        slot: &SlotName,
        name: &str,
        value: &SecretString,
    ) -> Result<(), SecretsError> {
        let mut parts = Path::new(name).components();
        let (Some(Component::Normal(only)), None) = (parts.next(), parts.next()) else {
            return Err(SecretsError::FileName(slot.clone(), name.to_owned()));
        };
        if only != name {
            return Err(SecretsError::FileName(slot.clone(), name.to_owned()));
        }
        self.replace(name, value)
            .map_err(|error| SecretsError::Write(slot.clone(), error))
    }

    /// Replaces a file atomically, so that a reader sees either the old or the new contents.
    fn replace(&self, name: &str, value: &SecretString) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        // A random name, so that it does not collide with that of a slot.
        let temporary = self
            .folder
            .join(format!(".{}", crate::seal::random_text(12)));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(value.expose_secret().as_bytes())?;
        fs::rename(&temporary, path_of(&self.folder, name))
    }
}

fn header(name: &str, prefix: &str, value: &SecretString) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", value.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::id::ServerId;
    use crate::server::{CredentialSlot, SlotForm};

    fn secrets(inject: Injection, folder: &Path) -> Secrets {
        let mut server = ServerSpec::command(ServerId::new("a").unwrap(), "a", [""; 0]);
        server.slots.push(CredentialSlot {
            name: SlotName::new("token").unwrap(),
            description: None,
            required: true,
            inject,
            form: SlotForm::default(),
        });
        Secrets::new(Arc::new(server), folder.join("instance"))
    }

    fn credential(generation: u64, value: &str) -> Credential {
        let mut credential = Credential::none();
        credential.generation = Generation(generation);
        let name = SlotName::new("token").unwrap();
        credential.values.insert(name, value.into());
        credential
    }

    fn file(name: &str) -> Injection {
        Injection::File {
            name: name.into(),
            path_env: None,
        }
    }

    #[test]
    fn secret_files_are_private_current_and_removed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(file("token"), folder.path());
        let path = path_of(secrets.folder(), "token");
        secrets.write(&credential(2, "two")).unwrap();
        secrets.write(&credential(1, "one")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        secrets.write(&credential(3, "three")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(secrets.folder()), 0o700);
        assert_eq!(fs::read_dir(secrets.folder()).unwrap().count(), 1);
        secrets.close();
        secrets.write(&credential(4, "four")).unwrap();
        assert!(!secrets.folder().exists());
    }

    #[test]
    fn file_names_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/x", "a/b", "..", ".", "", "a/"] {
            let refused = secrets(file(name), folder.path()).write(&credential(1, "x"));
            assert!(
                matches!(refused, Err(SecretsError::FileName(..))),
                "{name:?}"
            );
        }
    }

    #[test]
    fn headers_are_sensitive_and_follow_the_generation() {
        let folder = tempfile::tempdir().unwrap();
        let bearer = Injection::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        };
        let secrets = secrets(bearer, folder.path());
        let headers = secrets.headers();
        secrets.write(&credential(1, "one")).unwrap();
        secrets.write(&credential(2, "two")).unwrap();
        let now = headers.get();
        assert_eq!(now["authorization"], "Bearer two");
        assert!(now["authorization"].is_sensitive());
        let refused = secrets.write(&credential(3, "line\nbreak")).unwrap_err();
        assert!(!refused.to_string().contains("break"));
    }
}
