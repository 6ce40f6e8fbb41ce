//! A remote server that requires a token, although its entry mentions none.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::support::{CommandOutput, Site};

/// Returns the response of an HTTP server to a path: status, headers, body.
type Answer = fn(origin: &str, path: &str) -> (u16, String, String);

/// Starts an HTTP server on loopback, with one connection per request. It ends with the test process.
fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let own = origin.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let own = own.clone();
            thread::spawn(move || one(stream, &own, answer));
        }
    });
    origin
}

fn one(mut stream: TcpStream, origin: &str, answer: Answer) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let (status, headers, body) = answer(origin, path);
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).ok()
}

/// Names an issuer at a private address that is not allowed.
fn private_issuer(origin: &str, path: &str) -> (u16, String, String) {
    if path.starts_with("/.well-known/oauth-protected-resource") {
        let metadata = json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": ["http://10.0.0.1:9"],
        });
        return (
            200,
            "content-type: application/json\r\n".into(),
            metadata.to_string(),
        );
    }
    (401, "www-authenticate: Bearer\r\n".into(), String::new())
}

fn nobody(_: &str, path: &str) -> (u16, String, String) {
    match path {
        "/mcp" => (401, String::new(), "who are you?".into()),
        _ => (404, String::new(), String::new()),
    }
}

/// Runs a call, a check with `--start`, and commands against the running gateway.
fn all(site: &Site) -> Vec<(&'static str, CommandOutput)> {
    let mut said = vec![
        ("call", site.run(&["call", "notes", "whoami"])),
        ("check", site.run(&["check", "--start"])),
    ];
    let _up = site.up();
    said.push(("tools", site.run(&["tools"])));
    said.push(("tools of it", site.run(&["tools", "notes"])));
    said.push(("ps", site.run(&["ps"])));
    said
}

#[test]
fn sign_in_obstacle_of_a_server_is_reported() {
    let origin = serve(private_issuer);
    let site = Site::with_servers();
    for kind in ["", ", type: http"] {
        site.write(&format!(
            "listen: 127.0.0.1:0\nservers:\n  notes: {{url: \"{origin}/mcp\"{kind}}}\n"
        ));
        for (what, ran) in all(&site) {
            let text = format!("{}{}", ran.out, ran.err);
            for part in ["OAuth", "10.0.0.1", "network.allow_private"] {
                assert!(text.contains(part), "{what}: {part}: {text}");
            }
        }
    }
}

#[test]
fn unexplained_rejection_suggests_a_missing_credential() {
    let origin = serve(nobody);
    let site = Site::with_servers();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  notes: {{url: \"{origin}/mcp\"}}\n"
    ));
    let called = site.run(&["call", "notes", "whoami"]);
    for part in ["HTTP 401", "`headers`, `credentials` or `oauth`"] {
        assert!(called.err.contains(part), "{part}: {called:?}");
    }
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  notes: {{url: \"{origin}/mcp\", headers: {{Authorization: Bearer x}}}}\n"
    ));
    let called = site.run(&["call", "notes", "whoami"]);
    assert!(called.err.contains("HTTP 401"), "{called:?}");
    assert!(!called.err.contains("give it a credential"), "{called:?}");
}
