//! Skills (SEP-2640) of several servers.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::servers::{Described, KINDS, NO_RESOURCES, Over, Stage, of, server, text};

const WITH_SKILLS: &str = r#"{"tools":{},"resources":{},"extensions":{"io.modelcontextprotocol/skills":{"directoryRead":true}}}"#;

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An entry of a server whose files contain its name.
fn entry(server: &str, skill: &str) -> String {
    let file = |path: &str| {
        let (digest, size) = (digest(server), server.len());
        format!(r#"{{"uri":"skill://{skill}/{path}","digest":"{digest}","size":{size}}}"#)
    };
    format!(
        r#"{{ "uri":"skill://{skill}/SKILL.md","frontmatter":{{"name":"{skill}","description":"d"}},"x":12345678901234567890123,"resources":[{},{}]}}"#,
        file("SKILL.md"),
        file("more/a.txt"),
    )
}

fn with_skills(name: &'static str, skills: &[&str]) -> Described {
    let entries: Vec<String> = skills.iter().map(|skill| entry(name, skill)).collect();
    let rest = r#","ttlMs":700"#;
    server(name)
        .declares(WITH_SKILLS)
        .answer(
            "skills/list",
            &format!("\"skills\":[{}]{rest}", entries.join(",")),
        )
        .answer("skills/get", &format!(r#""uri":"@URI@","from":"{name}""#))
        .answer(
            "resources/directory/read",
            &format!(r#""resources":[{{"uri":"@URI@/x","name":"{name}"}}]"#),
        )
}

fn three() -> [Described; 3] {
    [
        with_skills("a", &["one", "two"]),
        server("plain").declares(NO_RESOURCES),
        with_skills("b", &["three"]),
    ]
}

fn uris(listed: &Value) -> Vec<String> {
    let skills = listed["result"]["skills"].as_array();
    let skills = skills.unwrap_or_else(|| panic!("{listed}"));
    let uri = |skill: &Value| skill["uri"].as_str().unwrap().to_owned();
    skills.iter().map(uri).collect()
}

#[tokio::test]
async fn skills_of_all_servers_are_listed_and_each_file_has_its_digest() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let (session, client) = (stage.gateway.session().await, stage.gateway.client("bob"));
        let declared = &session.hello["result"]["capabilities"]["extensions"];
        let skills = &declared["io.modelcontextprotocol/skills"];
        assert_eq!(*skills, json!({"directoryRead": true}), "{kind:?}");
        let legacy = session.request("skills/list", "{}").await;
        let modern = client.modern("skills/list", "{}").await;
        let wanted = ["one", "two", "three"].map(|name| format!("skill://{name}/SKILL.md"));
        assert_eq!(uris(&legacy), wanted, "{kind:?}");
        assert_eq!(uris(&modern), wanted, "{kind:?}");
        assert_eq!(modern["result"]["cacheScope"], "private");
        assert!(
            modern["result"]["ttlMs"].as_u64().unwrap() <= 1000,
            "{modern}"
        );
        assert!(legacy["result"].get("ttlMs").is_none(), "{legacy}");
        for skill in modern["result"]["skills"].as_array().unwrap() {
            for file in skill["resources"].as_array().unwrap() {
                let uri = file["uri"].as_str().unwrap();
                let read = client.modern("resources/read", &of(uri)).await;
                assert_eq!(
                    digest(&text(&read)),
                    file["digest"],
                    "{kind:?} {uri}: {read}"
                );
                let read = session.request("resources/read", &of(uri)).await;
                assert_eq!(
                    digest(&text(&read)),
                    file["digest"],
                    "{kind:?} {uri}: {read}"
                );
            }
        }
    }
}

#[tokio::test]
async fn entries_are_copied_byte_for_byte() {
    let stage = Stage::new(("legacy", Over::Pipe), &three()).await;
    let session = stage.gateway.session().await;
    let mut response = session.request_raw("1", "skills/list", "{}").await;
    let text = String::from_utf8(response.message().await.to_vec()).unwrap();
    for (server, skill) in [("a", "one"), ("a", "two"), ("b", "three")] {
        assert!(text.contains(&entry(server, skill)), "{text}");
    }
}

#[tokio::test]
async fn requests_for_a_skill_reach_its_server() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let session = stage.gateway.session().await;
        session.request("skills/list", "{}").await;
        for (skill, owner) in [("one", "a"), ("two", "a"), ("three", "b")] {
            let uri = of(&format!("skill://{skill}/SKILL.md"));
            let got = session.request("skills/get", &uri).await;
            assert_eq!(got["result"]["from"], owner, "{kind:?} {got}");
            let uri = of(&format!("skill://{skill}/more"));
            let read = session.request("resources/directory/read", &uri).await;
            assert_eq!(
                read["result"]["resources"][0]["name"], owner,
                "{kind:?} {read}"
            );
        }
        for method in ["skills/get", "resources/directory/read"] {
            let uri = of("skill://nobody/SKILL.md");
            let got = session.request(method, &uri).await;
            assert_eq!(got["error"]["code"], -32602, "{kind:?} {got}");
            let got = stage.gateway.client("ann").modern(method, &uri).await;
            assert_eq!(got["error"]["code"], -32602, "{kind:?} {got}");
        }
    }
}

#[tokio::test]
async fn only_server_with_skills_gets_every_request_for_one() {
    let servers = [server("x").lists(&["x://1"]), with_skills("a", &["one"])];
    let stage = Stage::new(("modern", Over::Pipe), &servers).await;
    let client = stage.gateway.client("ann");
    let read = client
        .modern("resources/read", &of("skill://unlisted/a"))
        .await;
    assert_eq!(text(&read), "a", "{read}");
    let got = client
        .modern("skills/get", &of("skill://unlisted/SKILL.md"))
        .await;
    assert_eq!(got["result"]["from"], "a", "{got}");
}

#[tokio::test]
async fn failing_server_is_left_out_of_the_skills() {
    let broken =
        with_skills("broken", &[]).answer("skills/list", r#"!{"code":-32603,"message":"no"}"#);
    let odd = with_skills("odd", &[]).answer("skills/list", r#""skills":7"#);
    let servers = [broken.clone(), odd, with_skills("a", &["one"])];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let session = stage.gateway.session().await;
    let listed = session.request("skills/list", "{}").await;
    assert_eq!(uris(&listed), ["skill://one/SKILL.md"]);
    let servers = [broken, server("x")];
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let none = stage
        .gateway
        .session()
        .await
        .request("skills/list", "{}")
        .await;
    assert!(none["error"].is_object(), "{none}");
}

#[tokio::test]
async fn list_of_skills_that_never_ends_is_bounded_and_continues() {
    let endless = format!(
        "\"skills\":[{}],\"nextCursor\":\"again\"",
        entry("a", "one")
    );
    let servers = [
        with_skills("a", &[]).answer("skills/list", &endless),
        with_skills("b", &["three"]),
    ];
    let stage = Stage::new(("legacy", Over::Http), &servers).await;
    let session = stage.gateway.session().await;
    let listed = session.request("skills/list", "{}").await;
    assert_eq!(uris(&listed), ["skill://one/SKILL.md"]);
    let cursor = listed["result"]["nextCursor"].as_str().unwrap().to_owned();
    let asked = stage.upstream("a").received_of("skills/list").len();
    assert!(asked <= 64, "{asked}");
    session
        .request("skills/list", &json!({ "cursor": cursor }).to_string())
        .await;
    let received = stage.upstream("a").received_of("skills/list");
    let body = String::from_utf8(received[asked].body.to_vec()).unwrap();
    assert!(body.contains(r#""cursor":"again""#), "{body}");
    for bad in ["x", "", &cursor[1..]] {
        let refused = session
            .request("skills/list", &json!({ "cursor": bad }).to_string())
            .await;
        assert_eq!(refused["error"]["code"], -32602, "{bad}: {refused}");
    }
}

#[tokio::test]
async fn without_skills_the_methods_do_not_exist() {
    let stage = Stage::new(("legacy", Over::Pipe), &[server("x"), server("y")]).await;
    let session = stage.gateway.session().await;
    for method in ["skills/list", "skills/get", "resources/directory/read"] {
        let none = session.request(method, &of("x://1")).await;
        assert_eq!(none["error"]["code"], -32601, "{none}");
    }
}

/// Four servers, three of which have a skill at the same address, and the addresses that clients see.
async fn sharing(kind: (&'static str, Over)) -> (Stage, [(&'static str, &'static str); 6]) {
    let servers = [
        with_skills("a", &["one", "acme/two"]),
        server("plain").declares(NO_RESOURCES),
        with_skills("b", &["one", "three", "acme/two"]),
        with_skills("c", &["one"]),
    ];
    let owners = [
        ("skill://one/SKILL.md", "a"),
        ("skill://acme/two/SKILL.md", "a"),
        ("skill://b__/one/SKILL.md", "b"),
        ("skill://three/SKILL.md", "b"),
        ("skill://b__/acme/two/SKILL.md", "b"),
        ("skill://c__/one/SKILL.md", "c"),
    ];
    (Stage::new(kind, &servers).await, owners)
}

#[tokio::test]
async fn skills_at_the_same_address_are_told_apart_by_the_server() {
    for kind in KINDS {
        let (stage, owners) = sharing(kind).await;
        let (session, client) = (stage.gateway.session().await, stage.gateway.client("bob"));
        // Also when the addresses are known from the list before.
        for _ in 0..2 {
            let legacy = session.request("skills/list", "{}").await;
            let modern = client.modern("skills/list", "{}").await;
            for listed in [legacy, modern] {
                assert_eq!(uris(&listed), owners.map(|(uri, _)| uri), "{kind:?}");
                let skills = listed["result"]["skills"].as_array().unwrap();
                for (skill, (_, owner)) in skills.iter().zip(owners) {
                    for file in skill["resources"].as_array().unwrap() {
                        let uri = file["uri"].as_str().unwrap();
                        for read in [
                            client.modern("resources/read", &of(uri)).await,
                            session.request("resources/read", &of(uri)).await,
                        ] {
                            assert_eq!(digest(&text(&read)), file["digest"], "{kind:?} {uri}");
                            assert_eq!(text(&read), owner, "{kind:?} {uri}");
                            let content = &read["result"]["contents"][0];
                            assert_eq!(content["uri"], uri, "{kind:?} {read}");
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn requests_for_a_skill_at_a_shared_address_reach_its_server() {
    for kind in KINDS {
        let (stage, owners) = sharing(kind).await;
        let (session, client) = (stage.gateway.session().await, stage.gateway.client("ann"));
        session.request("skills/list", "{}").await;
        for (uri, owner) in owners {
            let got = client.modern("skills/get", &of(uri)).await;
            let result = &got["result"];
            let found = (&result["from"], &result["uri"]);
            assert_eq!(found, (&json!(owner), &json!(uri)), "{kind:?} {got}");
            let root = uri.strip_suffix("/SKILL.md").unwrap();
            let read = session.request("resources/directory/read", &of(root)).await;
            let inside = &read["result"]["resources"][0];
            assert_eq!(inside["name"], owner, "{kind:?} {read}");
            assert_eq!(inside["uri"], format!("{root}/x"), "{kind:?} {read}");
        }
        // The servers are asked with their own addresses.
        let over_http = matches!(kind.1, Over::Http);
        for name in ["a", "b", "c"].iter().filter(|_| over_http) {
            for received in stage.upstream(name).received_of("skills/get") {
                let body = String::from_utf8(received.body.to_vec()).unwrap();
                assert!(!body.contains("__/"), "{name}: {body}");
            }
        }
        for uri in [
            "skill://plain__/one/SKILL.md",
            "skill://d__/one/SKILL.md",
            "skill://__/one/SKILL.md",
        ] {
            let none = client.modern("resources/read", &of(uri)).await;
            assert_eq!(none["error"]["code"], -32602, "{kind:?} {uri}: {none}");
        }
    }
}

#[tokio::test]
async fn listed_files_of_skills_at_the_same_address_are_told_apart() {
    let file = "skill://one/SKILL.md";
    let servers = [
        with_skills("a", &["one"]).lists(&[file]),
        with_skills("b", &["one"]).lists(&[file, "b://other"]),
    ];
    for kind in KINDS {
        let stage = Stage::new(kind, &servers).await;
        let session = stage.gateway.session().await;
        let listed = session.request("resources/list", "{}").await;
        let items = listed["result"]["resources"].as_array().unwrap();
        let uris: Vec<&str> = items
            .iter()
            .map(|one| one["uri"].as_str().unwrap())
            .collect();
        assert_eq!(
            uris,
            [file, "skill://b__/one/SKILL.md", "b://other"],
            "{kind:?}"
        );
        for (uri, owner) in [(file, "a"), ("skill://b__/one/SKILL.md", "b")] {
            let read = session.request("resources/read", &of(uri)).await;
            assert_eq!(text(&read), owner, "{kind:?} {read}");
            assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
        }
    }
}
