//! Answers that a test supplies, in place of the server's own.

use serde_json::Value;

use super::{Answer, Script, complete};

/// The capabilities that the server declares unless a test supplies others.
const CAPABILITIES: &str = r#"{"tools":{"listChanged":true},"prompts":{},"completions":{},"resources":{"subscribe":true},"logging":{}}"#;

impl Script {
    /// Adds the answer to a method: the members of a result, or an error after a `!`. `@URI@` is the request's URI.
    #[must_use]
    pub fn answering(mut self, method: &str, members: &str) -> Self {
        self.answers.push((method.to_owned(), members.to_owned()));
        self
    }

    /// Replaces the declared capabilities.
    #[must_use]
    pub fn declaring(mut self, capabilities: &str) -> Self {
        self.capabilities = Some(capabilities.to_owned());
        self
    }

    pub(super) fn capabilities(&self, modern: bool) -> String {
        let base = self.capabilities.as_deref().unwrap_or(CAPABILITIES);
        let tasks = match (self.tasks, modern) {
            (false, _) => return base.to_owned(),
            (true, false) => r#","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}}"#,
            (true, true) => r#","extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        };
        format!("{}{tasks}", base.strip_suffix('}').unwrap_or(base))
    }

    /// Returns the answer that the test supplied for a method.
    pub(super) fn supplied(&self, method: &str, params: &Value, modern: bool) -> Option<Answer> {
        let (_, members) = self.answers.iter().find(|(name, _)| name == method)?;
        let members = members.replace("@URI@", params["uri"].as_str().unwrap_or_default());
        Some(match members.strip_prefix('!') {
            Some(error) => Answer::Error(error.to_owned()),
            None => Answer::Result(complete(&members, modern, true)),
        })
    }
}

/// Returns the error for an unknown resource.
pub(super) fn no_resource(uri: &Value, modern: bool) -> Answer {
    let code = if modern { -32602 } else { -32002 };
    Answer::Error(format!(
        r#"{{"code":{code},"message":"no such resource","data":{{"uri":{uri},"x":[1]}}}}"#
    ))
}
