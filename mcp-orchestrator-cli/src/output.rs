//! Output of commands: lines and tables for people, JSON for programs.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::exit::{Exit, Failure};
pub(crate) use crate::printable::clean;
use crate::printable::cleaned;

/// Prints text for people to standard output, cleaned line by line: see [`clean`].
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    raw(&cleaned(text))
}

/// Prints a text unchanged, for programs: JSON, and results that go into a pipe. If the reader has closed the pipe, as
/// `head` does, the command ends silently.
pub(crate) fn raw(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure {
            ..Failure::new("", Exit::Done)
        },
        _ => Failure::failed(format!("cannot write: {error}")),
    })
}

/// Prints a message that is not the command's result to standard error, cleaned line by line.
pub(crate) fn note(text: &str) {
    // A failure to write to standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{}", cleaned(text));
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    raw(&text)
}

/// Set if tables may be wider than the terminal.
static WIDE: AtomicBool = AtomicBool::new(false);
/// Minimum width to which a column is cut.
const MIN_COLUMN: usize = 8;

/// Makes all tables as wide as their contents.
pub(crate) fn set_wide() {
    WIDE.store(true, Ordering::Relaxed);
}

/// Prints a table. Without rows, prints `none` to standard error instead. On a terminal, the widest columns are cut so
/// that rows fit.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    none: &str,
) -> Result<(), Failure> {
    if rows.is_empty() {
        note(none);
        return Ok(());
    }
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| clean(cell)))
        .collect();
    let mut widths = head.map(|name| name.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    if let Some(columns) = columns() {
        fit(&mut widths, columns);
    }
    let head = head.map(str::to_owned);
    for row in std::iter::once(&head).chain(&rows) {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let cell = cut(cell, width);
            let blanks = width + 2 - cell.chars().count();
            text.push_str(&cell);
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        line(text.trim_end())?;
    }
    Ok(())
}

/// Returns the width of the terminal, if standard output is one and tables must fit.
fn columns() -> Option<usize> {
    if WIDE.load(Ordering::Relaxed) || !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// Narrows the widest columns until all fit, with two spaces between them.
fn fit(widths: &mut [usize], columns: usize) {
    while widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) > columns {
        let widest = widths.iter_mut().max();
        match widest.filter(|width| **width > MIN_COLUMN) {
            Some(width) => *width -= 1,
            None => return,
        }
    }
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut cut: String = cell.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Formats a count: `1 server`, `3 servers`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

/// Formats a time span: `42s`, `5m`, `3h12m`, `2d4h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (minutes, hours, days) {
        (0, ..) => format!("{seconds}s"),
        (_, 0, _) => format!("{minutes}m"),
        (_, _, 0) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_compactly() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3720, "1h2m"),
            (90_000, "1d1h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn columns_are_truncated_to_fit() {
        let mut widths = [10, 50, 70];
        fit(&mut widths, 80);
        assert_eq!(widths.iter().sum::<usize>() + 4, 80);
        assert_eq!(widths[0], 10);
        let mut narrow = [9, 9, 9];
        fit(&mut narrow, 5);
        assert_eq!(narrow, [MIN_COLUMN; 3]);
        assert_eq!(cut("description", 5), "desc…");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(
            (count(1, "server"), count(0, "tool")),
            ("1 server".into(), "0 tools".into())
        );
    }
}
