//! A complete MCP server in one file: it reads one JSON-RPC message per line from standard input and answers on
//! standard output.
//!
//! It has two tools: `greet` returns a greeting, `whoami` reports the server's process and the account that it signed
//! in with. An example starts itself again as this server (see [`serve_if_asked`]), so that each example is a single
//! program.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::server::ServerSpec;
use serde_json::{Value, json};

use crate::Failure;

/// The argument that runs an example as the server.
pub const ARGUMENT: &str = "hello-server";

/// The variable with the token that the server signs in with: `account:password`.
pub const TOKEN: &str = "HELLO_TOKEN";

/// Returns the specification of this server under a name: the current program with [`ARGUMENT`].
///
/// # Errors
/// If the name is invalid, or the path of this program is unknown.
pub fn server(name: &str) -> Result<ServerSpec, Failure> {
    let program = program()?.to_string_lossy().into_owned();
    Ok(ServerSpec::command(
        ServerId::new(name)?,
        program,
        [ARGUMENT],
    ))
}

/// Returns the path of this program.
///
/// # Errors
/// If the system cannot report it.
pub fn program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// If the process was started as the server, serves on the standard streams until end of input and exits. Call it on
/// the first line of `main`.
#[expect(clippy::exit, reason = "this process was to be the server alone")]
pub fn serve_if_asked() {
    if std::env::args().nth(1).as_deref() == Some(ARGUMENT) {
        let served = serve(io::stdin().lock(), io::stdout().lock());
        std::process::exit(i32::from(served.is_err()));
    }
}

fn serve(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        // A message without an id is a notification and gets no response.
        let Some(id) = message.get("id") else {
            continue;
        };
        let method = message["method"].as_str().unwrap_or_default();
        let mut response = match answer(method, &message["params"]) {
            Ok(result) => json!({ "result": result }),
            Err(error) => json!({ "error": error }),
        };
        response["jsonrpc"] = "2.0".into();
        response["id"] = id.clone();
        writeln!(output, "{response}")?;
        output.flush()?;
    }
    Ok(())
}

/// Returns the result of a request, or its error.
fn answer(method: &str, params: &Value) -> Result<Value, Value> {
    match method {
        "initialize" => Ok(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "hello", "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": [
            {
                "name": "greet",
                "description": "Greets somebody",
                "inputSchema": {
                    "type": "object",
                    "properties": { "name": { "type": "string" } },
                    "required": ["name"],
                },
            },
            {
                "name": "whoami",
                "description": "Tells this process and the account it signed in with",
                "inputSchema": { "type": "object" },
            },
        ] })),
        "tools/call" => call(params),
        _ => Err(json!({ "code": -32601, "message": format!("unknown method {method:?}") })),
    }
}

fn call(params: &Value) -> Result<Value, Value> {
    let text = match params["name"].as_str().unwrap_or_default() {
        "greet" => {
            let name = params["arguments"]["name"].as_str().unwrap_or("stranger");
            format!("Hello, {name}!")
        }
        "whoami" => whoami(),
        other => {
            return Err(json!({ "code": -32602, "message": format!("unknown tool {other:?}") }));
        }
    };
    Ok(json!({ "content": [{ "type": "text", "text": text }] }))
}

/// A real server would sign in somewhere. The account is not secret, the password is.
fn whoami() -> String {
    let token = std::env::var(TOKEN).unwrap_or_default();
    let account = token
        .split_once(':')
        .map_or("nobody", |(account, _)| account);
    let launcher = std::env::var("LAUNCHED_BY").unwrap_or_else(|_| "the gateway".to_owned());
    let pid = std::process::id();
    format!("signed in as {account}, process {pid}, launched by {launcher}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_gets_one_response() {
        let input = concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "\nno message\n",
            r#"{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"greet","arguments":{"name":"Ann"}}}"#,
            "\n",
        );
        let mut output = Vec::new();
        serve(input.as_bytes(), &mut output).unwrap();
        let lines: Vec<Value> = output
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["id"], "b");
        assert_eq!(lines[1]["result"]["content"][0]["text"], "Hello, Ann!");
    }
}
