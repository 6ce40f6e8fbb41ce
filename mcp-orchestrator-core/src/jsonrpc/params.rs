//! Partial parsing: borrows the members that routing needs, and nothing else.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::span_of;

/// The members of `params` that routing reads, each as raw JSON.
#[derive(Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct ParamsHead<'a> {
    /// `name` of `tools/call` and `prompts/get`.
    #[serde(default, borrow)]
    pub name: Option<&'a RawValue>,
    /// `uri` of `resources/*`.
    #[serde(default, borrow)]
    pub uri: Option<&'a RawValue>,
    /// `ref` of `completion/complete`.
    #[serde(default, borrow, rename = "ref")]
    pub reference: Option<&'a RawValue>,
    /// `cursor` of list requests.
    #[serde(default, borrow)]
    pub cursor: Option<&'a RawValue>,
    /// `taskId` of `tasks/*`.
    #[serde(default, borrow, rename = "taskId")]
    pub task_id: Option<&'a RawValue>,
    /// `task` of `tools/call` (2025-11-25): run the call as a task.
    #[serde(default, borrow)]
    pub task: Option<&'a RawValue>,
    /// `requestId` of `notifications/cancelled`.
    #[serde(default, borrow, rename = "requestId")]
    pub request_id: Option<&'a RawValue>,
    /// `progressToken` of `notifications/progress`.
    #[serde(default, borrow, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    /// `level` of `logging/setLevel` and `notifications/message`.
    #[serde(default, borrow)]
    pub level: Option<&'a RawValue>,
    /// `requestState` of a modern retry.
    #[serde(default, borrow, rename = "requestState")]
    pub request_state: Option<&'a RawValue>,
    /// `notifications` of `subscriptions/listen`.
    #[serde(default, borrow)]
    pub notifications: Option<&'a RawValue>,
    /// `protocolVersion` of `initialize`.
    #[serde(default, borrow, rename = "protocolVersion")]
    pub protocol_version: Option<&'a RawValue>,
    /// `capabilities` of `initialize`.
    #[serde(default, borrow)]
    pub capabilities: Option<&'a RawValue>,
    /// `clientInfo` of `initialize`.
    #[serde(default, borrow, rename = "clientInfo")]
    pub client_info: Option<&'a RawValue>,
    /// `_meta` of any message.
    #[serde(default, borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

impl<'a> ParamsHead<'a> {
    /// Reads the members of `params`. Absent or `null` params yield no members.
    ///
    /// # Errors
    /// An error if `params` is not an object, or one of these members occurs twice.
    pub fn read(params: Option<&'a str>) -> Result<Self, serde_json::Error> {
        // Some programs write `null` for absent params.
        let params = params.filter(|params| *params != "null");
        params.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }
}

/// The members of a result that a gateway reads.
#[derive(Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct ResultHead<'a> {
    /// Modern: `complete`, `input_required`, or a value of an extension.
    #[serde(default, borrow, rename = "resultType")]
    pub result_type: Option<&'a RawValue>,
    /// Tool results: `true` if the tool failed.
    #[serde(default, borrow, rename = "isError")]
    pub is_error: Option<&'a RawValue>,
    /// The task that a call created (2025-11-25).
    #[serde(default, borrow)]
    pub task: Option<&'a RawValue>,
    /// The id of a task.
    #[serde(default, borrow, rename = "taskId")]
    pub task_id: Option<&'a RawValue>,
    /// The metadata.
    #[serde(default, borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

impl<'a> ResultHead<'a> {
    /// Reads the members of a result. A result that is not an object yields none.
    pub fn read(result: Option<&'a str>) -> Self {
        result
            .and_then(|result| serde_json::from_str(result).ok())
            .unwrap_or_default()
    }

    /// Returns `true` for the final result of a request; legacy results have no type.
    pub fn is_complete(&self) -> bool {
        self.result_type
            .is_none_or(|word| word.get() == "\"complete\"")
    }

    /// Returns `true` if the modern server needs answers of the client before it can complete the call.
    pub fn requires_input(&self) -> bool {
        self.result_type
            .is_some_and(|word| word.get() == "\"input_required\"")
    }
}

/// The members of a JSON object in order, with decoded keys and raw values.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Parses an object. Returns `None` for any other text.
    pub fn read(object: &'a str) -> Option<Self> {
        serde_json::from_str(object).ok()
    }

    /// Returns the first value with this key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.get())
    }

    /// Returns the span of that value in `whole`, which contains this object.
    pub fn span(&self, whole: &[u8], key: &str) -> Option<Range<usize>> {
        self.get(key).map(|value| span_of(whole, value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fill;
        impl<'de> Visitor<'de> for Fill {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Fill).map(Self)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Decodes a JSON string, borrowing if nothing is escaped. Returns `None` if it is not a string.
pub fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_borrows_from_the_params() {
        let params =
            r#"{"arguments":{"name":"inner"},"name":"a\/b","_meta":{"progressToken":"x"}}"#;
        let head = ParamsHead::read(Some(params)).unwrap();
        assert_eq!(
            head.name.and_then(|name| text(name.get())).as_deref(),
            Some("a/b")
        );
        let meta = Members::read(head.meta.unwrap().get()).unwrap();
        assert_eq!(meta.get("progressToken"), Some("\"x\""));
    }

    #[test]
    fn duplicate_names_are_rejected() {
        assert!(ParamsHead::read(Some(r#"{"name":"a","name":"b"}"#)).is_err());
    }
}
