//! Extensions that a gateway does not announce, in `check` and `describe`.

use serde_json::{Map, Value, json};

use crate::support::Site;

/// Writes a configuration in which these servers declare an extension.
fn declaring(site: &Site, servers: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh");
    let capabilities = r#"{"tools":{},"extensions":{"com.example/forecast":{}}}"#;
    let entry = json!({"command": ["sh", script], "env": {"CAPABILITIES": capabilities}});
    let servers: Map<String, Value> = servers
        .iter()
        .map(|name| ((*name).to_owned(), entry.clone()))
        .collect();
    let text = json!({"listen": "127.0.0.1:0", "servers": servers});
    site.write(&text.to_string());
}

#[test]
fn check_and_describe_name_extensions_that_are_not_announced() {
    let site = Site::with_servers();
    declaring(&site, &["left", "right"]);
    let told = "gateway default: extension \"com.example/forecast\" is not announced: left and right declare it";
    let notice = format!("notice: {told}");
    // Found by starting the servers, then in their stored lists, then by the running gateway.
    let started = site.run(&["check", "--start"]).ok();
    assert!(started.contains(&notice), "{started}");
    let stored = site.run(&["check"]).ok();
    assert!(stored.contains(&notice), "{stored}");
    let _up = site.up();
    let asked = site.run(&["check"]).ok();
    assert!(asked.contains(&notice), "{asked}");
    let value: Value = serde_json::from_str(&site.run(&["check", "-o", "json"]).ok()).unwrap();
    assert_eq!(value["ok"], true, "{value}");
    let extension = &value["extensions"][0];
    assert_eq!(extension["name"], "com.example/forecast", "{value}");
    assert_eq!(extension["servers"], json!(["left", "right"]));
    let described = site.run(&["describe", "left"]).ok();
    assert!(described.contains(&notice), "{described}");
    // The only server that declares an extension gets all of its requests.
    declaring(&site, &["left"]);
    site.run(&["reload"]).ok();
    for args in [&["check"][..], &["describe", "left"]] {
        let told = site.run(args).ok();
        assert!(!told.contains("extension"), "{told}");
    }
}
