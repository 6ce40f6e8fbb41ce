//! Remote servers that are down, before anybody has called them.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::Site;

/// Returns an address of this machine on which nothing listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn state<'a>(all: &'a Value, server: &str) -> (&'a str, &'a str) {
    let mut all = all.as_array().unwrap().iter();
    let one = all.find(|one| one["server"] == server).unwrap();
    let reason = one["reason"].as_str().unwrap_or_default();
    (one["state"].as_str().unwrap(), reason)
}

#[test]
fn dead_remote_server_reads_failed_before_anybody_calls_it() {
    let site = Site::with_servers();
    let closed = closed_port();
    let port = closed.rsplit(':').next().unwrap();
    // Accepts connections and never answers.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let alive = plain.local_addr().unwrap();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  alive: {{url: \"http://{alive}/mcp\"}}\n  \
         refused: {{url: \"http://{closed}/mcp?key=canary-1\"}}\n  \
         sse: {{url: \"http://{closed}/sse\", type: sse}}\n  \
         secure: {{url: \"https://{closed}/mcp\"}}\n  \
         six: {{url: \"http://[::1]:{port}/mcp\"}}\n  \
         unknown: {{url: \"http://nowhere.invalid/mcp\"}}\n  \
         program: {{command: [\"true\"]}}\n"
    ));
    let _up = site.up();
    let described = site.run(&["describe", "refused"]).ok();
    assert!(
        described.contains("failed") && described.contains("cannot connect: "),
        "{described}"
    );
    let all = site.run(&["ps", "-o", "json"]).json();
    for dead in ["refused", "sse", "secure", "six", "unknown"] {
        let (state, reason) = state(&all, dead);
        assert_eq!(state, "failed", "{dead}: {reason}");
        assert!(reason.starts_with("cannot connect: "), "{dead}: {reason}");
        assert!(!reason.contains("canary"), "{reason}");
    }
    assert_eq!(state(&all, "alive"), ("resting", ""));
    assert_eq!(state(&all, "program"), ("resting", ""));
    let table = site.run(&["ps", "--wide"]).ok();
    assert!(!table.contains("alive    failed"), "{table}");
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(
        checked.out.contains("server unknown: cannot connect: "),
        "{checked:?}"
    );
}

#[test]
fn corrected_url_is_checked_at_once() {
    let site = Site::with_servers();
    let write = |address: &str| {
        let url = format!("http://{address}/mcp");
        site.write(&format!(
            "listen: 127.0.0.1:0\nservers:\n  x: {{url: \"{url}\"}}\n"
        ));
    };
    write(&closed_port());
    let _up = site.up();
    let all = site.run(&["ps", "-o", "json"]).json();
    assert_eq!(state(&all, "x").0, "failed");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    write(&listener.local_addr().unwrap().to_string());
    site.run(&["reload"]).ok();
    let all = site.run(&["ps", "-o", "json"]).json();
    assert_eq!(state(&all, "x"), ("resting", ""));
}
