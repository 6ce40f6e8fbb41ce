//! A line on the terminal that says what is waited for; nothing where standard error is no terminal.

use std::io::{self, IsTerminal as _, Write as _};

use crate::output::clean;

/// Shows its text until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    shown: bool,
}

impl Waiting {
    /// Begins to wait for this.
    pub(crate) fn on(text: &str) -> Self {
        let waiting = Self {
            shown: io::stderr().is_terminal(),
        };
        waiting.say(text);
        waiting
    }

    /// Something else from now on.
    pub(crate) fn say(&self, text: &str) {
        self.write(&format!("\r\x1b[2K{}…", clean(text)));
    }

    fn write(&self, text: &str) {
        if self.shown {
            let mut out = io::stderr().lock();
            // It only tells that one waits; the result does not hang on it.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.write("\r\x1b[2K");
    }
}
