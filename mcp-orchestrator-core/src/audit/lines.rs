//! Audit sinks: JSON lines to a file or to standard output, and `tracing` events.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::json::line;
use super::{AuditEvent, AuditSink, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::limits::{AUDIT_CLOSE_TIMEOUT, MAX_WAITING_AUDIT_LINES};

/// How long a written line may stay in the buffer while no further line arrives.
const FLUSH: Duration = Duration::from_millis(200);

/// Writes each event as a line of JSON.
///
/// A dedicated thread does the writing, so calls never wait for the disk. If the writer falls behind and its queue is
/// full, events are dropped rather than delaying a call, and an `audit.lost` line records how many were dropped.
pub struct JsonLines {
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    lost: AtomicU64,
    arguments: bool,
    /// Disconnected when the writer's thread has ended.
    written: Mutex<Option<Receiver<()>>>,
}

impl JsonLines {
    /// Appends to the file at `path`. The file is created with mode 0600 if it does not exist.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the file cannot be opened, or, with feature `files`, if it is a pipe that
    /// nobody reads.
    pub fn to_file(path: &Path, arguments: bool) -> Result<Self> {
        let file = files::open_append(path).map_err(|error| {
            let text = format!("the audit log {} cannot be written", path.display());
            Error::new(ErrorKind::Config, text).with_source(error)
        })?;
        Self::to_writer(file, arguments)
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the writer thread cannot be started.
    pub fn to_stdout(arguments: bool) -> Result<Self> {
        Self::to_writer(io::stdout(), arguments)
    }

    /// Writes to `writer`, which may block because it is used only on the sink's own thread.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the writer thread cannot be started.
    pub fn to_writer(writer: impl Write + Send + 'static, arguments: bool) -> Result<Self> {
        let (lines, coming) = sync_channel(MAX_WAITING_AUDIT_LINES);
        let (writing, written) = sync_channel(0);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                write_all(BufWriter::new(writer), &coming);
                drop::<SyncSender<()>>(writing);
            })
            .map_err(|error| {
                let text = "no thread can be had for the audit log";
                Error::new(ErrorKind::Unavailable, text).with_source(error)
            })?;
        Ok(Self {
            lines: Mutex::new(Some(lines)),
            lost: AtomicU64::new(0),
            arguments,
            written: Mutex::new(Some(written)),
        })
    }

    fn send(&self, line: Vec<u8>) -> bool {
        let lines = self.lines.lock();
        let Some(lines) = &*lines else { return false };
        !matches!(lines.try_send(line), Err(TrySendError::Full(_)))
    }
}

impl AuditSink for JsonLines {
    fn record(&self, event: &AuditEvent) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = format!("{{\"action\":\"audit.lost\",\"events\":{lost}}}\n");
            if !self.send(told.into_bytes()) {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                return;
            }
        }
        if !self.send(line(event)) && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("the audit log is too slow: events are left out");
        }
    }

    fn close(&self) {
        let lines = &self.lines;
        drop(lines.lock().take());
        let written = self.written.lock().take();
        let ended = written.map(|written| written.recv_timeout(AUDIT_CLOSE_TIMEOUT));
        if matches!(ended, Some(Err(RecvTimeoutError::Timeout))) {
            tracing::error!("the audit log does not accept its last events: they are lost");
        }
    }

    fn wants_arguments(&self) -> bool {
        self.arguments
    }
}

/// Writes the queued events before the sink is dropped.
impl Drop for JsonLines {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines")
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

fn write_all(mut writer: impl Write, coming: &Receiver<Vec<u8>>) {
    let mut told = false;
    let mut dirty = false;
    loop {
        let next = if dirty {
            coming.recv_timeout(FLUSH)
        } else {
            coming.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let done = match &next {
            Ok(line) => writer.write_all(line),
            Err(_) => writer.flush(),
        };
        dirty = next.is_ok();
        match done {
            Ok(()) => told = false,
            Err(error) if !told => {
                tracing::error!(%error, "the audit log cannot be written");
                told = true;
            }
            Err(_) => {}
        }
        if matches!(next, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}

/// Emits each event through `tracing`, at level `info` with target `audit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

impl AuditSink for TracingSink {
    fn record(&self, event: &AuditEvent) {
        let error = match event.outcome {
            Outcome::Failed(kind) => Some(kind.word()),
            _ => None,
        };
        tracing::info!(
            target: "audit",
            action = event.action.as_str(),
            principal = event.principal.as_ref().map(tracing::field::display),
            gateway = event.gateway.as_ref().map(tracing::field::display),
            server = event.server.as_ref().map(tracing::field::display),
            name = event.name.as_deref(),
            own_name = event.own_name.as_deref(),
            owner = event.owner.as_ref().map(tracing::field::display),
            instance = event.instance.as_deref(),
            outcome = event.outcome.as_str(),
            error,
            micros = u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Action;
    use super::*;

    /// A writer that blocks until the test sends or drops the channel's sender.
    struct Slow(Arc<Mutex<Vec<u8>>>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.recv();
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn event() -> AuditEvent {
        AuditEvent::new(None, Action::Call("tools/call".into()))
    }

    #[cfg(feature = "test-util")]
    #[test]
    fn json_lines_uphold_the_sink_contract() {
        let dir = tempfile::tempdir().unwrap();
        for arguments in [false, true] {
            let path = dir.path().join(arguments.to_string());
            let sink = JsonLines::to_file(&path, arguments).unwrap();
            assert_eq!(sink.wants_arguments(), arguments);
            crate::testing::audit::suite(&sink, || {
                let text = std::fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
                lines.map(Result::unwrap).count()
            });
        }
    }

    /// Counts events with target `audit`.
    #[cfg(feature = "test-util")]
    struct Counter(Arc<std::sync::atomic::AtomicUsize>);

    #[cfg(feature = "test-util")]
    impl tracing::Subscriber for Counter {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "audit"
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
            tracing::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &tracing::Id) {}

        fn exit(&self, _: &tracing::Id) {}
    }

    #[cfg(feature = "test-util")]
    #[test]
    fn tracing_sink_upholds_the_sink_contract() {
        let emitted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Counter(Arc::clone(&emitted));
        tracing::subscriber::with_default(counter, || {
            crate::testing::audit::suite(&TracingSink, || emitted.load(Ordering::Relaxed));
        });
    }

    #[test]
    fn accepted_events_are_written_before_shutdown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        for _ in 0..2 {
            let sink = JsonLines::to_file(&path, false).unwrap();
            (0..100).for_each(|_| sink.record(&event()));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 200);
        assert!(text.ends_with('\n'));
        let missing = JsonLines::to_file(&dir.path().join("no/such"), false).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Config);
    }

    #[test]
    fn slow_disk_does_not_block_callers_and_lost_events_are_reported() {
        let (go, may) = std::sync::mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = JsonLines::to_writer(Slow(Arc::clone(&written), may), false).unwrap();
        let mut events = 0_u64;
        let mut record = || {
            sink.record(&event());
            events += 1;
        };
        (0..MAX_WAITING_AUDIT_LINES * 2).for_each(|_| record());
        drop(go);
        // The writer thread is unblocked and drains the queue.
        while sink.lost.load(Ordering::Relaxed) > 0 {
            record();
            std::thread::yield_now();
        }
        drop(sink);
        let text = String::from_utf8(written.lock().clone()).unwrap();
        let (mut told, mut there) = (0, 0);
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            match line["events"].as_u64() {
                Some(lost) => told += lost,
                None => there += 1,
            }
        }
        assert!(told > 0);
        assert_eq!(told + there, events);
    }

    #[cfg(all(unix, feature = "files"))]
    #[test]
    fn pipe_that_nobody_reads_is_refused_and_a_full_one_does_not_hold_up_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let refused = JsonLines::to_file(&path, false).unwrap_err().to_string();
        assert!(refused.contains("nobody reads"), "{refused}");
        let _reader = files::open(&path).unwrap();
        let sink = JsonLines::to_file(&path, false).unwrap();
        for _ in 0..2000 {
            sink.record(&event());
        }
        sink.close();
    }
}
