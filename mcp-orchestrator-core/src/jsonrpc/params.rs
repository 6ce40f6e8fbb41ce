//! Partial reads: the members that routing needs, borrowed, and nothing else.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::span_of;

/// What routing reads of any `params`, each as the JSON text that stands there.
#[derive(Debug, Default, Deserialize)]
pub struct ParamsHead<'a> {
    /// Of tools/call and prompts/get.
    #[serde(default, borrow)]
    pub name: Option<&'a RawValue>,
    /// Of resources/*.
    #[serde(default, borrow)]
    pub uri: Option<&'a RawValue>,
    /// Of completion/complete.
    #[serde(default, borrow, rename = "ref")]
    pub reference: Option<&'a RawValue>,
    /// Of lists.
    #[serde(default, borrow)]
    pub cursor: Option<&'a RawValue>,
    /// Of tasks/*.
    #[serde(default, borrow, rename = "taskId")]
    pub task_id: Option<&'a RawValue>,
    /// Of tools/call in 2025-11-25: run it as a task.
    #[serde(default, borrow)]
    pub task: Option<&'a RawValue>,
    /// Of notifications/cancelled.
    #[serde(default, borrow, rename = "requestId")]
    pub request_id: Option<&'a RawValue>,
    /// Of notifications/progress.
    #[serde(default, borrow, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    /// Of logging/setLevel and notifications/message.
    #[serde(default, borrow)]
    pub level: Option<&'a RawValue>,
    /// Of a modern retry.
    #[serde(default, borrow, rename = "requestState")]
    pub request_state: Option<&'a RawValue>,
    /// Of subscriptions/listen.
    #[serde(default, borrow)]
    pub notifications: Option<&'a RawValue>,
    /// Of initialize.
    #[serde(default, borrow, rename = "protocolVersion")]
    pub protocol_version: Option<&'a RawValue>,
    /// Of initialize.
    #[serde(default, borrow)]
    pub capabilities: Option<&'a RawValue>,
    /// Of initialize.
    #[serde(default, borrow, rename = "clientInfo")]
    pub client_info: Option<&'a RawValue>,
    /// Of every message.
    #[serde(default, borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

impl<'a> ParamsHead<'a> {
    /// Reads them of `params`; absent params have none, and neither has `null`.
    ///
    /// # Errors
    /// Where it is not an object, or one of them stands there twice.
    pub fn read(params: Option<&'a str>) -> Result<Self, serde_json::Error> {
        // `null` is how some programs write that there are none.
        let params = params.filter(|params| *params != "null");
        params.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }
}

/// What a gateway reads of a result.
#[derive(Debug, Default, Deserialize)]
pub struct ResultHead<'a> {
    /// Modern: complete, input_required, or an extension's word.
    #[serde(default, borrow, rename = "resultType")]
    pub result_type: Option<&'a RawValue>,
    /// Of a tool: it failed.
    #[serde(default, borrow, rename = "isError")]
    pub is_error: Option<&'a RawValue>,
    /// A task made by a call (2025-11-25).
    #[serde(default, borrow)]
    pub task: Option<&'a RawValue>,
    /// A task's own id.
    #[serde(default, borrow, rename = "taskId")]
    pub task_id: Option<&'a RawValue>,
    /// The metadata.
    #[serde(default, borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

impl<'a> ResultHead<'a> {
    /// Reads them of a result; a result that is no object has none.
    pub fn read(result: Option<&'a str>) -> Self {
        result
            .and_then(|result| serde_json::from_str(result).ok())
            .unwrap_or_default()
    }
}

/// The members of a JSON object in their order, keys decoded, values as they stand.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; `None` where the text is anything else.
    pub fn read(object: &'a str) -> Option<Self> {
        serde_json::from_str(object).ok()
    }

    /// The first value under this key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.get())
    }

    /// Where that value stands in `whole`, of which this object is a part.
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

/// A JSON string's text, borrowed where nothing is escaped; `None` where it is no string.
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
    fn heads_borrow_what_stands_there() {
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
    fn two_names_are_refused() {
        assert!(ParamsHead::read(Some(r#"{"name":"a","name":"b"}"#)).is_err());
    }
}
