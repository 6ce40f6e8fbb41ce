//! Why an action failed, as a page shows it: the error, and the server's last output.

use maud::{Markup, html};
use mcp_orchestrator_core::Error;
use serde_json::Value;

use super::values::{self, Values};

/// The number of lines that are shown, counted from the end, and the bytes of each.
const LINES: usize = 20;
const WIDTH: usize = 400;

/// Why an action failed.
pub(super) struct ErrorBox {
    text: String,
    lines: Vec<String>,
}

impl ErrorBox {
    /// Creates it from an error, with the submitted values masked.
    pub(super) fn new(error: &Error, given: &Values) -> Self {
        let lines = last_lines(error);
        let first = lines.len().saturating_sub(LINES);
        let lines = lines.into_iter().skip(first);
        Self {
            text: values::mask(given, error.to_string()),
            lines: lines.map(|line| cut(values::mask(given, line))).collect(),
        }
    }

    /// Prepends `text` to the error.
    pub(super) fn about(mut self, text: &str) -> Self {
        self.text = format!("{text}: {}", self.text);
        self
    }

    /// Returns the box that shows it.
    pub(super) fn shown(&self, headline: Option<&str>) -> Markup {
        html! {
            div.told.bad role="alert" {
                @if let Some(headline) = headline { p { strong { (headline) } } }
                p { (self.text) }
                @if !self.lines.is_empty() {
                    p { "Last output:" }
                    pre { (self.lines.join("\n")) }
                }
            }
        }
    }
}

/// Returns the last output of an instance that ended.
fn last_lines(error: &Error) -> Vec<String> {
    let data = error.data();
    let data = data.and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
    match data.as_ref().map(|data| &data["stderr"]) {
        Some(Value::Array(lines)) => {
            let lines = lines.iter().filter_map(Value::as_str);
            lines.map(visible).collect()
        }
        Some(Value::String(text)) => text.lines().map(visible).collect(),
        _ => Vec::new(),
    }
}

/// Replaces control characters in a line.
fn visible(line: &str) -> String {
    line.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn cut(line: String) -> String {
    if line.len() <= WIDTH {
        return line;
    }
    let end = line.floor_char_boundary(WIDTH);
    format!("{}…", &line[..end])
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::ErrorKind;
    use mcp_orchestrator_core::id::SlotName;
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    fn shown(stderr: &Value, given: &Values) -> String {
        let data = to_raw_value(&json!({ "stderr": stderr })).unwrap();
        let error = Error::new(ErrorKind::StartFailed, "server jira ended").with_data(data);
        ErrorBox::new(&error, given).shown(None).into_string()
    }

    #[test]
    fn last_output_is_escaped_and_redacted() {
        let slot = SlotName::new("token").unwrap();
        let given = Values::from([(slot, "canary-1".into())]);
        let html = shown(&json!(["<b>who is canary-1?</b>", "\u{1b}[2J"]), &given);
        assert!(html.contains("server jira ended"), "{html}");
        assert!(html.contains("&lt;b&gt;who is [hidden]?"), "{html}");
        assert!(!html.contains('\u{1b}') && !html.contains("canary-1"));
    }

    #[test]
    fn few_lines_are_shown_and_none_of_them_is_long() {
        let lines: Vec<String> = (0..100)
            .map(|n| format!("line-{n} {}", "ä".repeat(1000)))
            .collect();
        let html = shown(&json!(lines), &Values::new());
        assert!(html.contains("line-99") && html.contains("line-80"));
        assert!(!html.contains("line-79"));
        assert!(html.len() < 2 * LINES * WIDTH, "{}", html.len());
        let text = shown(&json!("one\ntwo"), &Values::new());
        assert!(text.contains("one\ntwo"), "{text}");
    }
}
