//! The stored lines of one instance.

use std::collections::VecDeque;

use super::limits::LogLimits;
use crate::runtime::{LogLine, LogOptions, LogSource};

/// The lines of one instance. Line numbers continue from one run to the next.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) current: Run,
    pub(super) previous: Option<Run>,
    pub(super) next: u64,
}

#[derive(Default)]
pub(super) struct Run {
    pub(super) lines: VecDeque<(u64, LogLine)>,
    bytes: usize,
}

// === impl Lines ===

impl Lines {
    pub(super) fn push(&mut self, line: LogLine, limits: &LogLimits) {
        let run = &mut self.current;
        run.bytes += line.text.len();
        run.lines.push_back((self.next, line));
        self.next += 1;
        while run.lines.len() > 1 && (run.lines.len() > limits.lines || run.bytes > limits.bytes) {
            if let Some((_, gone)) = run.lines.pop_front() {
                run.bytes -= gone.text.len();
            }
        }
    }

    /// Returns the requested lines and the number of the next line.
    pub(super) fn kept(&self, options: &LogOptions) -> (Vec<LogLine>, u64) {
        let run = match (&self.previous, options.previous) {
            (previous, true) => previous.as_ref(),
            (_, false) => Some(&self.current),
        };
        let Some(run) = run else {
            return (Vec::new(), self.next);
        };
        let skip = options
            .tail
            .map_or(0, |tail| run.lines.len().saturating_sub(tail));
        let lines = run.lines.iter().skip(skip);
        (lines.map(|(_, line)| line.clone()).collect(), self.next)
    }

    /// Returns all lines with number `from` or higher, with a note in place of lines that were dropped.
    pub(super) fn since(&self, from: u64) -> VecDeque<LogLine> {
        let runs = self.previous.iter().chain([&self.current]);
        let new = runs.flat_map(|run| {
            let start = run.lines.partition_point(|(number, _)| *number < from);
            run.lines.range(start..)
        });
        let mut lines = VecDeque::new();
        let mut expected = from;
        for (number, line) in new {
            if *number > expected {
                lines.push_back(LogLine {
                    at: line.at,
                    source: LogSource::Orchestrator,
                    text: format!("{} lines are left out here", *number - expected),
                });
            }
            expected = *number + 1;
            lines.push_back(line.clone());
        }
        lines
    }
}

/// Truncates to at most `limit` bytes at a character boundary, and appends a marker if bytes were cut here or are
/// already `missing`.
pub(super) fn cut(text: &str, limit: usize, missing: usize) -> String {
    let end = text.floor_char_boundary(limit);
    match text.len() - end + missing {
        0 => text.to_owned(),
        gone => format!("{}… ({gone} bytes cut)", &text[..end]),
    }
}
