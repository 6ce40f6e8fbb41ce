//! An echo server, as cheap as possible.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The session id that the echo server gives to every client.
pub const SESSION: &str = "0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: &'a str,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// Answers like a legacy MCP server with the single tool `echo`; returns `None` if the message is not a request. The
/// answer contains no line break.
pub fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(message).ok()?;
    let id = request.id?.get();
    let text;
    let result = match request.method {
        "initialize" => {
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\
             \"serverInfo\":{\"name\":\"echo\",\"version\":\"1\"}}"
        }
        "tools/list" => {
            "{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\",\
             \"properties\":{\"message\":{\"type\":\"string\"}}}}]}"
        }
        "tools/call" => {
            let params: Params<'_> = serde_json::from_str(request.params?.get()).ok()?;
            let message = params.arguments.message.get();
            text = format!("{{\"content\":[{{\"type\":\"text\",\"text\":{message}}}]}}");
            &text
        }
        _ => "{}",
    };
    Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").into_bytes())
}
