//! A progress line on the terminal. Does nothing if standard error is not a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use crate::output::clean;

/// Shows a progress line until it is dropped.
#[derive(Debug)]
pub(crate) struct Spinner {
    shown: bool,
}

impl Spinner {
    /// Shows this text.
    pub(crate) fn on(text: &str) -> Self {
        let waiting = Self {
            shown: io::stderr().is_terminal(),
        };
        waiting.say(text);
        waiting
    }

    /// Replaces the text.
    pub(crate) fn say(&self, text: &str) {
        self.write(&format!("\r\x1b[2K{}…", clean(text)));
    }

    fn write(&self, text: &str) {
        if self.shown {
            let mut out = io::stderr().lock();
            // The line is informational; a failed write does not matter.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.write("\r\x1b[2K");
    }
}
