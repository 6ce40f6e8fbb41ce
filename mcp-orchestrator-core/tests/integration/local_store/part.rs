//! Runs this executable again as a part of a test.

use std::path::Path;
use std::process::Stdio;

use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::credential::{
    KeySource, LocalCredentials, LocalOptions, RecordKey, RecordKind,
};
use mcp_orchestrator_core::id::RecordName;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Environment variable with the directory of the store, for parts.
pub(crate) const FOLDER: &str = "LOCAL_STORE_FOLDER";
/// Prefix of the lines that a part sends to the test.
const SAID: &str = "@ ";

/// Sends a line to the test.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{SAID}{line}").unwrap();
    out.flush().unwrap();
}

/// A running part.
pub(crate) struct Part {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts the part, which is an ignored test of this module, directly or through this shell script.
    pub(crate) fn start(name: &str, folder: &Path, shell: Option<&str>) -> Self {
        let me = std::env::current_exe().unwrap();
        let mut command = match shell {
            None => Command::new(&me),
            Some(script) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{script}\nexec \"$0\" \"$@\"")]);
                command.arg(&me);
                command
            }
        };
        let mut child = command
            .args([
                "--exact",
                &format!("local_store::{name}"),
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the next line from the part; `None` at its end.
    pub(crate) async fn said(&mut self) -> Option<String> {
        while let Ok(Some(line)) = self.lines.next_line().await {
            if let Some(said) = line.strip_prefix(SAID) {
                return Some(said.to_owned());
            }
        }
        None
    }
}

/// Opens the store in this directory, with its key beside it.
pub(crate) async fn open(folder: &Path) -> Result<LocalCredentials> {
    let key = KeySource::File(folder.join("key"));
    LocalCredentials::open(LocalOptions::new(folder.join("store"), key)).await
}

pub(crate) fn key(name: &str) -> RecordKey {
    RecordKey::new(RecordKind::Installation, RecordName::new(name).unwrap())
}

/// Returns a random number below `end`.
pub(crate) fn random(end: u32) -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_be_bytes(bytes) % end
}
