//! The most recent output lines of every instance, bounded in every dimension.
//!
//! A backend and everything else that logs about its instances share one book. The backend adds a program's standard
//! error, the transport adds lines on standard output that are not messages, and the orchestrator adds its own notes.

mod follow;
mod limits;
mod lines;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::follow::follow;
pub use self::limits::LogLimits;
use self::lines::{Lines, cut};
use super::redaction::Hidden;
use super::{InstanceKey, LaunchSpec, LogLine, LogOptions, LogSource};
use crate::error::{Error, ErrorKind, Result};

/// Keeps the output of each instance's current and previous run. Clones share one book.
#[derive(Clone)]
pub struct LogBook(Arc<LogBookState>);

struct LogBookState {
    limits: LogLimits,
    logs: Mutex<Logs>,
    /// Kept apart from the lines, which may be evicted while their instance still writes.
    hidden: Mutex<Hidden>,
}

#[derive(Default)]
struct Logs {
    by_key: HashMap<InstanceKey, Log>,
    /// Incremented with each access; the log with the smallest value is the least recently used.
    clock: u64,
}

struct Log {
    lines: Arc<Mutex<Lines>>,
    /// Notified for each line. The channel closes when the log is forgotten, which ends followers.
    bell: watch::Sender<u64>,
    touched: u64,
}

// === impl LogBook ===

impl Default for LogBook {
    fn default() -> Self {
        Self::new(LogLimits::default())
    }
}

impl fmt::Debug for LogBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBook")
            .field("limits", &self.0.limits)
            .field("instances", &self.0.logs.lock().by_key.len())
            .finish()
    }
}

impl LogBook {
    /// Creates an empty book.
    pub fn new(limits: LogLimits) -> Self {
        Self(Arc::new(LogBookState {
            limits,
            logs: Mutex::default(),
            hidden: Mutex::default(),
        }))
    }

    /// Begins a new run; the current run becomes the previous one.
    pub fn begin(&self, key: &InstanceKey) {
        self.with(key, |lines| {
            lines.previous = Some(std::mem::take(&mut lines.current));
        });
    }

    /// Redacts the secret values of this launch in all later lines of the instance. Values of at least 6 bytes are
    /// replaced by `[secret]`, also in the usual encodings (base64, percent, hex, JSON, HTML) and in fragments of at
    /// least 12 bytes.
    pub fn hide(&self, key: &InstanceKey, launch: &LaunchSpec) {
        self.0.hidden.lock().add(key, launch);
    }

    /// Appends a line, truncated to the limit; the oldest lines are dropped when the run is full.
    pub fn note(&self, key: &InstanceKey, source: LogSource, text: &str) {
        self.note_part(key, source, text, 0);
    }

    /// Appends the beginning of a line; the last `missing` bytes of the line were already dropped.
    pub(super) fn note_part(
        &self,
        key: &InstanceKey,
        source: LogSource,
        text: &str,
        missing: usize,
    ) {
        let limits = &self.0.limits;
        let text = self.masked(key, Some(source), text);
        let line = LogLine {
            at: SystemTime::now(),
            source,
            text: cut(&text, limits.line, missing),
        };
        self.with(key, |lines| lines.push(line, limits));
    }

    /// Returns the text with secrets redacted. The lock is held only while the mask is looked up.
    fn masked<'a>(
        &self,
        key: &InstanceKey,
        source: Option<LogSource>,
        text: &'a str,
    ) -> Cow<'a, str> {
        let mask = self.0.hidden.lock().mask(key);
        match mask {
            Some(mask) => Cow::Owned(mask.redact(source, text).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// Appends a line that carries its own time, without redacting it.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn add(&self, key: &InstanceKey, mut line: LogLine) {
        let limits = &self.0.limits;
        line.text = cut(&line.text, limits.line, 0);
        self.with(key, |lines| lines.push(line, limits));
    }

    /// Redacts the secret values of this instance in `text`.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn redact(&self, key: &InstanceKey, text: &str) -> String {
        self.masked(key, None, text).into_owned()
    }

    /// Stores these lines as a separate run and keeps their times.
    pub fn keep(&self, key: &InstanceKey, lines: Vec<LogLine>) {
        let limits = &self.0.limits;
        self.begin(key);
        self.with(key, |kept| {
            lines.into_iter().for_each(|line| kept.push(line, limits));
        });
    }

    /// Forgets an instance and ends the streams that follow it.
    pub fn forget(&self, key: &InstanceKey) {
        self.0.logs.lock().by_key.remove(key);
        self.0.hidden.lock().forget(key);
    }

    /// Returns the last `count` lines of standard error of the current run, oldest first, each truncated to 1 KiB.
    pub fn tail(&self, key: &InstanceKey, count: usize) -> Vec<String> {
        let Some((lines, _)) = self.find(key) else {
            return Vec::new();
        };
        let lines = lines.lock();
        let stderr = lines.current.lines.iter().rev();
        let mut tail: Vec<String> = stderr
            .filter(|(_, line)| line.source == LogSource::Stderr)
            .take(count)
            .map(|(_, line)| cut(&line.text, 1024, 0))
            .collect();
        tail.reverse();
        tail
    }

    /// Returns the stored lines, oldest first, followed by new ones if `options.follow` is set. A follower that falls
    /// behind gets a line with the number of lines it missed.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) if the instance has no log.
    pub fn read(
        &self,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let (lines, bell) = self.find(key).ok_or_else(|| {
            Error::new(ErrorKind::NoRoute, format!("instance {key} has no log"))
                .with_server(key.server())
                .with_instance(key)
        })?;
        let (kept, next) = lines.lock().kept(options);
        let kept = stream::iter(kept.into_iter().map(Ok));
        if !options.follow || options.previous {
            return Ok(kept.boxed());
        }
        Ok(kept.chain(follow(lines, bell, next)).boxed())
    }

    fn find(&self, key: &InstanceKey) -> Option<(Arc<Mutex<Lines>>, watch::Receiver<u64>)> {
        let logs = self.0.logs.lock();
        let log = logs.by_key.get(key)?;
        Some((Arc::clone(&log.lines), log.bell.subscribe()))
    }

    fn with(&self, key: &InstanceKey, change: impl FnOnce(&mut Lines)) {
        let mut logs = self.0.logs.lock();
        logs.clock += 1;
        let clock = logs.clock;
        if !logs.by_key.contains_key(key) {
            logs.make_room(self.0.limits.instances);
        }
        let log = logs.by_key.entry(key.clone()).or_insert_with(|| Log {
            lines: Arc::default(),
            bell: watch::Sender::new(0),
            touched: clock,
        });
        log.touched = clock;
        change(&mut log.lines.lock());
        log.bell.send_replace(clock);
    }
}

// === impl Logs ===

impl Logs {
    fn make_room(&mut self, limit: usize) {
        while self.by_key.len() >= limit.max(1) {
            let oldest = self.by_key.iter().min_by_key(|(_, log)| log.touched);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
