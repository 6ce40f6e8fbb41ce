//! This executable, started again to play a part of a test, and what all parts write.

use std::path::Path;
use std::process::Stdio;

use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::credential::{
    KeySource, LocalCredentials, LocalOptions, RecordKey, RecordKind,
};
use mcp_orchestrator_core::id::RecordName;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Names the folder of the store to whoever plays a part.
pub(crate) const FOLDER: &str = "LOCAL_STORE_FOLDER";
/// What its lines to the test begin with.
const SAID: &str = "@ ";

/// Says a line to the test.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{SAID}{line}").unwrap();
    out.flush().unwrap();
}

/// A part that is being played.
pub(crate) struct Part {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts the part, by this command line where it is not started directly.
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
                name,
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

    /// What it says next; `None` at its end.
    pub(crate) async fn said(&mut self) -> Option<String> {
        while let Ok(Some(line)) = self.lines.next_line().await {
            if let Some(said) = line.strip_prefix(SAID) {
                return Some(said.to_owned());
            }
        }
        None
    }
}

/// The store in this folder, its key beside it.
pub(crate) async fn open(folder: &Path) -> Result<LocalCredentials> {
    let key = KeySource::File(folder.join("key"));
    LocalCredentials::open(LocalOptions::new(folder.join("store"), key)).await
}

pub(crate) fn key(name: &str) -> RecordKey {
    RecordKey::new(RecordKind::Installation, RecordName::new(name).unwrap())
}

/// A number below `end`.
pub(crate) fn random(end: u32) -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_be_bytes(bytes) % end
}
