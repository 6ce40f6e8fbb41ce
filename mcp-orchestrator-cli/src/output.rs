//! What commands print: lines and tables for people, JSON for programs.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// Prints a line on standard output. Whoever reads it may have gone, as `head` does: then the command ends in silence.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure {
            message: String::new(),
            exit: Exit::Done,
        },
        _ => Failure::failed(format!("cannot write: {error}")),
    })
}

/// Tells what is not the command's result, on standard error.
pub(crate) fn note(text: &str) {
    // Nobody can be told that nothing can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    line(&text)
}

/// Prints rows under a head, in columns.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
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
    let head = head.map(str::to_owned);
    for row in std::iter::once(&head).chain(&rows) {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(cell);
            let blanks = width + 2 - cell.chars().count();
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        line(text.trim_end())?;
    }
    Ok(())
}

/// A text of a server as one that cannot steer a terminal: control characters become blanks.
pub(crate) fn clean(text: &str) -> String {
    let blank = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    text.chars().map(blank).collect()
}

/// The same for a text of several lines, where a terminal reads it.
pub(crate) fn clean_lines(text: &str) -> String {
    if !io::stdout().is_terminal() {
        return text.to_owned();
    }
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// A time span as `42s`, `5m`, `3h12m`, `2d4h`.
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
    fn spans_are_short() {
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
    fn a_server_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
