//! The requests of servers that a client can handle, as its capabilities declare.

use crate::jsonrpc::{Members, text};
use crate::protocol::method;

/// The kinds of server requests that a client declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestKinds {
    sampling: bool,
    sampling_tools: bool,
    form_elicitation: bool,
    pub(crate) url_elicitation: bool,
    roots: bool,
}

impl RequestKinds {
    /// Derives them from the client's capabilities.
    pub(crate) fn of(capabilities: &str) -> Self {
        let capabilities = Members::read(capabilities).unwrap_or_default();
        let members = |name| {
            let value = capabilities.get(name);
            value.map(|value| Members::read(value).unwrap_or_default())
        };
        let (sampling, elicitation) = (members("sampling"), members("elicitation"));
        let url = elicitation
            .as_ref()
            .is_some_and(|modes| modes.get("url").is_some());
        // Without any mode, as before modes existed, it is the form.
        let form = elicitation.is_some_and(|modes| modes.get("form").is_some() || !url);
        Self {
            sampling: sampling.is_some(),
            sampling_tools: sampling.is_some_and(|parts| parts.get("tools").is_some()),
            form_elicitation: form,
            url_elicitation: url,
            roots: capabilities.get("roots").is_some(),
        }
    }

    /// Returns `true` if the client can handle a request with this method and these parameters.
    pub(crate) fn allow(self, method: &str, params: Option<&str>) -> bool {
        match Kind::of(method, params) {
            Some(Kind::Sampling) => self.sampling,
            Some(Kind::SamplingWithTools) => self.sampling_tools,
            Some(Kind::Form) => self.form_elicitation,
            Some(Kind::Url) => self.url_elicitation,
            Some(Kind::Roots) => self.roots,
            None => true,
        }
    }
}

/// Returns the capability that a client must declare to receive this request, as a JSON object; `None` for a method
/// that is not bound to a capability.
pub(crate) fn required_capability(method: &str, params: Option<&str>) -> Option<&'static str> {
    Some(match Kind::of(method, params)? {
        Kind::Sampling => r#"{"sampling":{}}"#,
        Kind::SamplingWithTools => r#"{"sampling":{"tools":{}}}"#,
        Kind::Form => r#"{"elicitation":{}}"#,
        Kind::Url => r#"{"elicitation":{"url":{}}}"#,
        Kind::Roots => r#"{"roots":{}}"#,
    })
}

enum Kind {
    Sampling,
    SamplingWithTools,
    Form,
    Url,
    Roots,
}

impl Kind {
    fn of(method: &str, params: Option<&str>) -> Option<Self> {
        let params = || params.and_then(Members::read).unwrap_or_default();
        Some(match method {
            method::SAMPLING if params().get("tools").is_some() => Self::SamplingWithTools,
            method::SAMPLING => Self::Sampling,
            method::ELICITATION => match params().get("mode").and_then(text).as_deref() {
                Some("url") => Self::Url,
                _ => Self::Form,
            },
            method::ROOTS_LIST => Self::Roots,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_needs_exactly_the_capability_of_its_kind() {
        let url = r#"{"mode":"url"}"#;
        let tools = r#"{"tools":[]}"#;
        let requests = [
            (method::SAMPLING, "{}"),
            (method::SAMPLING, tools),
            (method::ELICITATION, "{}"),
            (method::ELICITATION, url),
            (method::ROOTS_LIST, "{}"),
        ];
        for (asked, params) in requests {
            let required = required_capability(asked, Some(params)).unwrap();
            assert!(
                RequestKinds::of(required).allow(asked, Some(params)),
                "{required}"
            );
            assert!(!RequestKinds::of("{}").allow(asked, Some(params)));
        }
        assert!(!RequestKinds::of(r#"{"sampling":{}}"#).allow(method::SAMPLING, Some(tools)));
        let only_url = RequestKinds::of(r#"{"elicitation":{"url":{}}}"#);
        assert!(!only_url.allow(method::ELICITATION, Some("{}")));
        let both = RequestKinds::of(r#"{"elicitation":{"form":{},"url":{}}}"#);
        assert!(
            both.allow(method::ELICITATION, None) && both.allow(method::ELICITATION, Some(url))
        );
        assert!(RequestKinds::default().allow("tasks/get", None));
    }
}
