//! Output of commands: lines and tables for people, JSON for programs.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::exit::{Exit, Failure};

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

/// Makes a text of a server or a gateway safe to print on one line of a terminal. Control characters become spaces;
/// characters that are invisible or reorder others become U+FFFD.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => c,
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c if is_invisible(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Returns `true` for direction marks, joiners and tags, which make a text look different from what it contains.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Like [`clean`], for a text of several lines.
pub(crate) fn cleaned(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
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

    #[test]
    fn control_characters_in_server_text_are_neutralized() {
        for (text, shown) in [
            ("a\u{1b}[2Jb\nc", "a [2Jb c"),
            ("\u{1b}]0;title\u{7}", " ]0;title "),
            ("\u{9b}31m\u{9d}0;x\u{9c}", " 31m 0;x "),
            ("a\rb\u{8}\u{7f}", "a b  "),
            ("evil\u{202e}txt.exe", "evil\u{fffd}txt.exe"),
            ("\u{2066}a\u{2069}\u{200f}", "\u{fffd}a\u{fffd}\u{fffd}"),
            ("a\u{200b}b\u{feff}\u{e0041}", "a\u{fffd}b\u{fffd}\u{fffd}"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("Grüße 你好 👍\t", "Grüße 你好 👍\t"),
        ] {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(cleaned("a\nb\rc"), "a\nb c");
    }
}
