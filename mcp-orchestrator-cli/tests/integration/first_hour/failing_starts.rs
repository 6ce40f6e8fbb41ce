//! `check --start` reports servers that do not start, by what an instance answers.

use std::fs;

use crate::support::Site;

/// Configures one server, run by `sh` from this script.
fn one(site: &Site, script: &str) {
    let file = site.dir().join("one.sh");
    fs::write(&file, script).unwrap();
    let file = file.display();
    site.write(&format!(
        "listen: 127.0.0.1:0\nservers:\n  \
         one: {{command: [sh, \"{file}\"], start_timeout: 3s, list_timeout: 2s}}\n"
    ));
}

const HELLO: &str = r#"read -r line
printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"one","version":"1"}}}\n' "$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9][0-9]*\).*/\1/p')"
"#;

/// Checks that `check --start` fails and names the reason, alone and with a gateway.
fn fails(site: &Site, reason: &str) {
    for gateway in [false, true] {
        let _up = gateway.then(|| site.up());
        let said = site.run(&["check", "--start"]);
        assert_eq!(said.code, 1, "gateway: {gateway}: {said:?}");
        assert!(said.out.contains("server one"), "{said:?}");
        assert!(said.out.contains(reason), "{reason}: {said:?}");
    }
}

#[test]
fn a_server_that_exits_soon_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(&site, "sleep 0.2; echo 'no license' >&2; exit 4\n");
    fails(&site, "exit status 4");
}

#[test]
fn a_server_that_exits_with_success_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(&site, "sleep 0.2\n");
    fails(&site, "exited");
}

#[test]
fn a_server_that_never_answers_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(&site, "exec sleep 600\n");
    fails(&site, "was not ready after 3s");
}

#[test]
fn a_server_that_dies_at_initialize_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(&site, "read -r line; echo 'bad key' >&2; exit 5\n");
    fails(&site, "exit status 5");
}

#[test]
fn a_server_that_dies_when_it_lists_its_tools_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(
        &site,
        &format!("{HELLO}while read -r line; do case $line in *tools/list*) exit 6;; esac; done\n"),
    );
    fails(&site, "exit status 6");
}

#[test]
fn a_server_that_never_lists_its_tools_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    one(&site, &format!("{HELLO}while read -r line; do :; done\n"));
    fails(&site, "did not answer within 2s");
}

#[test]
fn a_server_that_refuses_to_list_its_tools_is_reported_by_a_check_with_start() {
    let site = Site::with_servers();
    let refusal = r#"while read -r line; do case $line in *tools/list*)
printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":"no database"}}\n' "$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9][0-9]*\).*/\1/p')";; esac; done
"#;
    one(&site, &format!("{HELLO}{refusal}"));
    fails(&site, "no database");
}

#[test]
fn cached_lists_do_not_hide_a_server_that_no_longer_starts() {
    let site = Site::with_servers();
    let script = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server.sh"));
    one(&site, &script.unwrap());
    let said = site.run(&["check", "--start"]);
    assert_eq!(said.code, 0, "{said:?}");
    fs::write(site.dir().join("one.sh"), "echo 'moved' >&2; exit 7\n").unwrap();
    fails(&site, "exit status 7");
}
