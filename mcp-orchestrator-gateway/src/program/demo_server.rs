//! A small MCP server that is built into the programs, so that a first server exists without any download. It reads one
//! JSON-RPC message per line from standard input and answers on standard output.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

/// The argument that runs a program as this server.
pub const ARGUMENT: &str = "hello-server";

/// Serves on the standard streams until end of input.
///
/// # Errors
/// If a stream fails.
pub fn serve_standard_streams() -> io::Result<()> {
    serve(io::stdin().lock(), io::stdout().lock())
}

fn serve(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        // A message without an id is a notification and gets no response.
        let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) else {
            continue;
        };
        let mut response = match answer(method, &message["params"]) {
            Ok(result) => json!({ "result": result }),
            Err((code, text)) => json!({ "error": { "code": code, "message": text } }),
        };
        response["jsonrpc"] = "2.0".into();
        response["id"] = id.clone();
        writeln!(output, "{response}")?;
        output.flush()?;
    }
    Ok(())
}

/// Returns the result of a request, or its error.
fn answer(method: &str, params: &Value) -> Result<Value, (i32, String)> {
    match method {
        "initialize" => Ok(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "hello", "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": [{
            "name": "greet",
            "description": "Greets somebody",
            "inputSchema": {
                "type": "object",
                "properties": { "name": { "type": "string", "description": "Whom" } },
            },
        }] })),
        "tools/call" if params["name"] == "greet" => {
            let name = params["arguments"]["name"].as_str().unwrap_or("world");
            Ok(json!({ "content": [{ "type": "text", "text": format!("Hello, {name}!") }] }))
        }
        "tools/call" => Err((-32602, format!("unknown tool {}", params["name"]))),
        _ => Err((-32601, format!("unknown method {method:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_and_other_input_is_ignored() {
        let input = [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "no message",
            r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"greet","arguments":{"name":"Ann"}}}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"none"}}"#,
            r#"{"jsonrpc":"2.0","id":4,"method":"prompts/list"}"#,
        ];
        let mut output = Vec::new();
        serve(input.join("\n").as_bytes(), &mut output).unwrap();
        let lines = output.split(|byte| *byte == b'\n');
        let said: Vec<Value> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let ids: Vec<&Value> = said.iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, [&json!(1), &json!("b"), &json!(3), &json!(4)]);
        assert_eq!(said[1]["result"]["content"][0]["text"], "Hello, Ann!");
        assert_eq!(said[2]["error"]["code"], -32602);
        assert_eq!(said[3]["error"]["code"], -32601);
    }
}
