//! A single exchange on its own connection.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT,
};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use secrecy::zeroize::Zeroizing;

use super::exchange::{Answer, Ask};
use crate::connect::BoxedIo;
use crate::limits::{MAX_FETCHED_BYTES, MAX_FETCHED_HEAD};

/// Sends the request and reads the whole response.
pub(super) async fn exchange(io: BoxedIo, uri: &Uri, ask: &Ask<'_>) -> Result<Answer, String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_FETCHED_HEAD);
    let handshake = builder.handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = handshake.map_err(|error| causes(&error))?;
    let request = request(uri, ask)?;
    let answer = async move {
        let sent = sender.send_request(request).await;
        let (head, body) = sent.map_err(|error| causes(&error))?.into_parts();
        let kind = head.headers.get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            // An event stream may never end, and the caller waits for a document.
            return Err("the response is an event stream, not a document".to_owned());
        }
        if let Some(coding) = coding(&head.headers) {
            return Err(format!(
                "the response is compressed (content-encoding: {coding}), though it was requested without"
            ));
        }
        Ok(Answer {
            status: head.status,
            body: whole(body).await?,
            headers: head.headers,
        })
    };
    tokio::pin!(answer);
    // The connection is driven here rather than in a task, so that dropping this future leaves nothing behind.
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        _ = &mut connection => {}
    }
    answer.await
}

/// Returns the content coding of a response, shortened, or `None` if it has none.
fn coding(headers: &HeaderMap) -> Option<String> {
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    let codings: Vec<_> = codings
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|coding| String::from_utf8_lossy(coding.trim_ascii()).to_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    let visible = codings.join(", ").escape_debug().take(40).collect();
    (!codings.is_empty()).then_some(visible)
}

fn request(uri: &Uri, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, String> {
    let wrong = |_| "this cannot be asked".to_owned();
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, "mcp-orchestrator")
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Full::new(ask.body.clone()))
        .map_err(wrong)?;
    request.headers_mut().extend(ask.headers.iter().cloned());
    Ok(request)
}

/// Reads the body. The buffer is wiped when it grows, so that no copy is left behind.
async fn whole(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| causes(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length > MAX_FETCHED_BYTES {
            return Err(format!("the response exceeds {MAX_FETCHED_BYTES} bytes"));
        }
        if length > bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * bytes.capacity())));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Returns an error's message with the messages of its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_coding_of_a_response_is_named() {
        let coding_of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            coding(&headers)
        };
        for none in [&[][..], &[""], &["identity"], &["Identity, "]] {
            assert_eq!(coding_of(none), None, "{none:?}");
        }
        for (values, named) in [
            (&["br"][..], "br"),
            (&["ZSTD"], "zstd"),
            (&["identity, gzip"], "gzip"),
            (&["gzip", "br"], "gzip, br"),
        ] {
            assert_eq!(coding_of(values).as_deref(), Some(named));
        }
    }
}
