//! The key that seals the local store: from a file, a variable or a command.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt as _;

use super::errors::LocalError;
use crate::credential::Environment;
use crate::files;
use crate::seal::{StateKey, hex};
use crate::state::private;

/// Maximum length of a key's text in bytes, including surrounding whitespace.
const MAX_KEY_TEXT_LEN: usize = 1024;
/// How long a command may run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the key of a local store comes from. The text is 32 bytes as 64 hex digits or as base64.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that only its owner may read. It is created with a new key if neither the file nor the store exists.
    File(PathBuf),
    /// An environment variable of this process.
    Env(String),
    /// A program and its arguments; the key is its standard output.
    Command(Vec<String>),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The source as named in errors, without a command's arguments.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Command(line) => {
                let program = line.first().map_or("", String::as_str);
                write!(f, "command {program}")
            }
        }
    }
}

/// A key that has been read, or the file that holds it.
#[derive(Debug)]
pub(super) enum Key {
    Told(StateKey),
    File(PathBuf),
}

impl KeySource {
    /// Reads the key. A file is not read yet: it is read once the store's lock is held.
    pub(super) async fn ask(&self, environment: &Environment) -> Result<Key, LocalError> {
        let text = match self {
            Self::File(path) => return Ok(Key::File(path.clone())),
            Self::Env(name) => {
                let value = environment.read(name);
                let value = value.and_then(|value| value.into_string().ok());
                let unset = || self.untold("it is not set");
                Zeroizing::new(value.ok_or_else(unset)?)
            }
            Self::Command(line) => {
                let printed = tokio::time::timeout(COMMAND_TIMEOUT, self.printed(line)).await;
                printed.map_err(|_| self.untold("it did not end within 30 seconds"))??
            }
        };
        let key = parse(&text).ok_or_else(|| LocalError::KeyForm(self.to_string()))?;
        Ok(Key::Told(key))
    }

    async fn printed(&self, line: &[String]) -> Result<Zeroizing<String>, LocalError> {
        let (program, arguments) = line
            .split_first()
            .ok_or_else(|| self.untold("it names no program"))?;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| LocalError::KeyUnread(self.to_string(), error))?;
        let unread = |error| LocalError::KeyUnread(self.to_string(), error);
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_TEXT_LEN + 1));
        if let Some(out) = child.stdout.take() {
            let most = MAX_KEY_TEXT_LEN as u64 + 1;
            out.take(most)
                .read_to_string(&mut text)
                .await
                .map_err(unread)?;
        }
        if text.len() > MAX_KEY_TEXT_LEN {
            return Err(LocalError::KeyForm(self.to_string()));
        }
        let status = child.wait().await.map_err(unread)?;
        if !status.success() {
            return Err(self.untold(&status.to_string()));
        }
        Ok(text)
    }

    fn untold(&self, why: &str) -> LocalError {
        LocalError::KeyUntold(self.to_string(), why.to_owned())
    }
}

/// Reads the key in this file. Returns `None` if the file does not exist.
pub(super) fn read(path: &Path) -> Result<Option<StateKey>, LocalError> {
    let name = || KeySource::File(path.to_owned()).to_string();
    let unread = |error| LocalError::KeyUnread(name(), error);
    let file = match files::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unread)?,
    };
    let metadata = file.metadata().map_err(unread)?;
    if let Some(mode) = private::mode(&metadata).filter(|mode| mode & 0o077 != 0) {
        return Err(LocalError::KeyOpen(name(), mode));
    }
    let bytes = match files::read_opened(&file, MAX_KEY_TEXT_LEN) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Zeroizing::default(),
        bytes => bytes.map_err(unread)?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    parse(text)
        .map(Some)
        .ok_or_else(|| LocalError::KeyForm(name()))
}

/// Creates this file with a new key. The file is synced to disk before anything is sealed under the key.
pub(super) fn make(path: &Path) -> Result<StateKey, LocalError> {
    let name = || KeySource::File(path.to_owned()).to_string();
    let unread = |error| LocalError::KeyUnread(name(), error);
    let folder = private::folder_of(path);
    private::make_dir(folder).map_err(unread)?;
    let key = StateKey::random();
    let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex(key.expose()))));
    let written = private::write(folder, text.as_bytes()).map_err(unread)?;
    written.place(path).map_err(unread)?;
    private::sync_dir(folder).map_err(unread)?;
    Ok(key)
}

fn parse(text: &str) -> Option<StateKey> {
    let text = text.trim();
    let bytes = if text.len() == 64 {
        let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| (0..64).step_by(2).map(digit).collect::<Option<Vec<u8>>>())??
    } else {
        let text = text.trim_end_matches('=');
        let decoded = STANDARD_NO_PAD.decode(text);
        decoded.or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?
    };
    let bytes = Zeroizing::new(bytes);
    let key: [u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(StateKey::new(key))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    async fn asked(source: KeySource) -> Result<[u8; 32], String> {
        let environment = Environment::from_fn(|name| match name {
            "GOOD" => Some(hex(&[7; 32]).into()),
            "SHORT" => Some("canary".into()),
            _ => None,
        });
        match source.ask(&environment).await {
            Ok(Key::Told(key)) => Ok(*key.expose()),
            Ok(Key::File(path)) => panic!("{}", path.display()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn command(script: &str) -> KeySource {
        KeySource::Command(["sh", "-c", script].map(str::to_owned).into())
    }

    #[test]
    fn key_is_parsed_as_hex_or_base64_of_the_right_size() {
        let bytes = [0xfb; 32];
        for text in [hex(&bytes), STANDARD.encode(bytes), URL_SAFE.encode(bytes)] {
            let key = parse(&format!(" {text}\r\n")).unwrap();
            assert_eq!(key.expose(), &bytes, "{text}");
        }
        for wrong in [
            "",
            "x",
            &"0".repeat(63),
            &"é".repeat(32),
            &STANDARD.encode([1; 31]),
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn variable_and_command_sources_return_the_key_or_explain_why_not() {
        let env = |name: &str| KeySource::Env(name.to_owned());
        assert_eq!(asked(env("GOOD")).await.unwrap(), [7; 32]);
        assert!(
            asked(env("NONE"))
                .await
                .unwrap_err()
                .contains("variable NONE")
        );
        let error = asked(env("SHORT")).await.unwrap_err();
        assert!(
            error.contains("openssl rand") && !error.contains("canary"),
            "{error}"
        );
        let printed = format!("echo {}", hex(&[9; 32]));
        assert_eq!(asked(command(&printed)).await.unwrap(), [9; 32]);
        let failed = asked(command(&format!("{printed}; exit 3")))
            .await
            .unwrap_err();
        assert!(
            failed.contains("exit status: 3") && !failed.contains("echo"),
            "{failed}"
        );
        let endless = asked(command("exec cat /dev/zero")).await.unwrap_err();
        assert!(endless.contains("64 hex digits"), "{endless}");
        let none = KeySource::Command(vec!["/nowhere/at-all".to_owned()]);
        assert!(asked(none).await.unwrap_err().contains("/nowhere/at-all"));
    }

    #[tokio::test(start_paused = true)]
    async fn key_command_times_out() {
        let error = asked(command("exec sleep 60")).await.unwrap_err();
        assert!(error.contains("30 seconds"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn key_file_is_private_and_rejected_if_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("key");
        assert!(read(&path).unwrap().is_none());
        let made = make(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(read(&path).unwrap().unwrap().expose(), made.expose());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("mode 640"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, [0xff; 32]).unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("64 hex digits")
        );
    }

    #[cfg(unix)]
    #[test]
    fn key_is_read_from_a_pipe_and_a_silent_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mut mkfifo = std::process::Command::new("mkfifo");
        assert!(mkfifo.arg("-m600").arg(&path).status().unwrap().success());
        let refused = read(&path).unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("nobody wrote anything"), "{why}");
        std::thread::scope(|scope| {
            scope.spawn(|| std::fs::write(&path, "ab".repeat(32)).unwrap());
            assert_eq!(read(&path).unwrap().unwrap().expose(), &[0xab; 32]);
        });
    }
}
