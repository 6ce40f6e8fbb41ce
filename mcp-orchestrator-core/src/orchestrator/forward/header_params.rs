//! Tool arguments repeated in headers (`x-mcp-header`, SEP-2243): added for legacy clients, which do not send them, and
//! checked for modern clients.

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::ForwardedRequest;
use crate::catalog::{HeaderParam, ListKey};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::header_value;
use crate::jsonrpc::Members;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::protocol::{Era, header};
use crate::router::Route;

impl Inner {
    /// Returns `false` if no argument of the tool is repeated in a header, as far as lists in memory say. Few servers
    /// annotate their tools; calls of all others cost one look-up.
    pub(super) fn may_require_headers(&self, route: &Route<'_>) -> bool {
        route.change.is_some() || self.catalog.annotates(&route.server) != Some(false)
    }

    /// Returns the headers of a `tools/call` with its header parameters, `None` if the tool has none: adds those that a
    /// client does not send, and checks those of a modern client.
    ///
    /// # Errors
    /// [`HeaderMismatch`](ErrorKind::HeaderMismatch) if the headers of a modern client do not match its arguments.
    pub(super) async fn header_params(
        &self,
        context: &Context,
        credential: &Credential,
        route: &Route<'_>,
        work: &ForwardedRequest<'_>,
    ) -> Result<Option<Box<HeaderMap>>> {
        let key = ListKey::new(&route.server, credential);
        // Clients do not send all of these headers, so the lists decide even if they are only stored.
        let Some(kept) = self.catalog.get(&key).await else {
            return Ok(None);
        };
        let Some(params) = kept.header_params(&route.name) else {
            return Ok(None);
        };
        let mut headers = Box::new(HeaderMap::clone(&work.headers));
        let body = work.message.body().and_then(Members::read);
        let body = body.unwrap_or_default();
        let arguments = body
            .get("arguments")
            .map_or(Ok(Value::Null), serde_json::from_str);
        let arguments = arguments.unwrap_or(Value::Null);
        for param in params {
            let fixed = route.change.as_deref().and_then(|change| {
                let (first, rest) = param.path.split_first()?;
                let value = change.arguments.get(first)?;
                Some((serde_json::from_str::<Value>(value).ok()?, rest))
            });
            if let Some((value, rest)) = fixed {
                set_fixed(context, &mut headers, param, (&value, rest))?;
                continue;
            }
            let argument = param
                .path
                .iter()
                .try_fold(&arguments, |value, key| value.get(key));
            let argument = argument.filter(|value| !value.is_null());
            let Ok(name) = header_name(param) else {
                continue;
            };
            if context.era() == Era::Modern {
                check(&headers, &name, argument)?;
            } else if let Some(text) = argument.and_then(text_of) {
                headers.insert(name, header_value::encode(&text));
            }
        }
        Ok(Some(headers))
    }
}

/// Sets the header of an argument that the gateway sets. Clients do not know the argument, so they do not send it.
fn set_fixed(
    context: &Context,
    headers: &mut HeaderMap,
    param: &HeaderParam,
    (value, path): (&Value, &[String]),
) -> Result<()> {
    let Ok(name) = header_name(param) else {
        return Ok(());
    };
    if context.era() == Era::Modern {
        check(headers, &name, None)?;
    }
    let value = path.iter().try_fold(value, |value, key| value.get(key));
    if let Some(text) = value.and_then(text_of) {
        headers.insert(name, header_value::encode(&text));
    }
    Ok(())
}

fn header_name(
    param: &HeaderParam,
) -> std::result::Result<HeaderName, http::header::InvalidHeaderName> {
    format!(
        "{}{}",
        header::PARAM_PREFIX,
        param.header.to_ascii_lowercase()
    )
    .parse()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn check(headers: &HeaderMap, name: &HeaderName, argument: Option<&Value>) -> Result<()> {
    let wrong = |why: &str| {
        Err(Error::new(
            ErrorKind::HeaderMismatch,
            format!("the header {name} {why}"),
        ))
    };
    let Some(value) = headers.get(name) else {
        return if argument.is_some() {
            wrong("is missing")
        } else {
            Ok(())
        };
    };
    let Some(found) = header_value::decode(value) else {
        return wrong("is malformed");
    };
    let agrees = match argument {
        Some(Value::Number(number)) => {
            let same_float = || found.parse::<f64>().ok() == number.as_f64();
            found == number.to_string()
                || found
                    .parse::<i64>()
                    .map_or_else(|_| same_float(), |n| Some(n) == number.as_i64())
        }
        Some(other) => text_of(other).is_none_or(|text| text == found),
        None => false,
    };
    if agrees {
        Ok(())
    } else {
        wrong("disagrees with the argument")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_agree_with_arguments_by_value() {
        let name = HeaderName::from_static("mcp-param-x");
        let with = |value: &'static str| {
            HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))])
        };
        for (value, argument, fits) in [
            ("7", json!(7), true),
            ("7.0", json!(7), true),
            ("8", json!(7), false),
            ("true", json!(true), true),
            ("a b", json!("a b"), true),
            ("=?base64?YWI=?=", json!("ab"), true),
            ("=?base64?***?=", json!("ab"), false),
        ] {
            assert_eq!(
                check(&with(value), &name, Some(&argument)).is_ok(),
                fits,
                "{value} {argument}"
            );
        }
        assert!(check(&HeaderMap::new(), &name, Some(&json!("a"))).is_err());
        assert!(check(&HeaderMap::new(), &name, None).is_ok());
        assert!(check(&with("a"), &name, None).is_err());
    }
}
