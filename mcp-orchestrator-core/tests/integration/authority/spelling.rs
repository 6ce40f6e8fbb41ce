//! A server may ignore the case of member names, or use the last of two members. The gateway must judge what the server
//! reads, so an ambiguous message reaches no server.

use bytes::Bytes;
use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::call::{Call, CallEra, Notify};
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::jsonrpc::{Kind, Message};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::server::Isolation;
use serde_json::json;

use crate::authority::session::Session;
use crate::authority::site::{Site, entry, gateway, gateway_id, hiding, server};
use crate::authority::wait::within;

async fn site() -> Site {
    let servers = vec![server("x", Isolation::Session, false)];
    let site = Site::new(servers, Limits::default()).await;
    let part = entry("x", CredentialRule::None, hiding("hidden"));
    let whole = entry("x", CredentialRule::None, ToolFilter::All);
    site.gateways([
        gateway("part", &["ann"], &[], vec![part]),
        gateway("whole", &["ann"], &[], vec![whole]),
    ]);
    site
}

/// Returns why a message is rejected in this session and, if it is a request, in the modern era; `None` if it is
/// accepted.
async fn refusals(session: &Session<'_>, text: &str) -> Vec<Option<ErrorKind>> {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(text.as_bytes())) else {
        return vec![Some(ErrorKind::InvalidRequest)];
    };
    let (site, name, at) = (session.site, &session.name, &session.gateway);
    if message.kind() != Kind::Request {
        let notify = Notify {
            principal: site.principal(name),
            gateway: gateway_id(at),
            era: CallEra::Legacy(Some(session.id.clone())),
            message,
        };
        let taken = site.orchestrator.notify(notify).await;
        return vec![taken.err().map(|error| error.kind())];
    }
    let mut kinds = Vec::new();
    for era in [CallEra::Legacy(Some(session.id.clone())), CallEra::Modern] {
        let call = Call {
            era,
            ..site.call(name, at, message.clone())
        };
        let reply = within("a reply", site.orchestrator.call(call)).await;
        kinds.push(reply.err().map(|error| error.kind()));
    }
    kinds
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#)
}

/// Parameters in which only some readers take a second member for the plain one. The value of that member must not
/// reach a server.
const TOOLS: &[&str] = &[
    r#"{"name":"x__echo","Name":"hidden"}"#,
    r#"{"Name":"hidden","name":"x__echo"}"#,
    r#"{"name":"x__echo","NAME":"hidden"}"#,
    r#"{"name":"x__echo","name":"hidden"}"#,
    r#"{"name":"x__echo","n\u0061me":"hidden"}"#,
    r#"{"name":"x__echo","N\u0061me":"hidden"}"#,
    r#"{"name":"x__echo","\u004eame":"hidden"}"#,
    r#"{"name":"x__echo","name\u0000":"hidden"}"#,
    r#"{"name":"x__echo","arguments":{},"Arguments":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","arguments":{},"arguments":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","Task":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","ta\u017fk":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","tas\u212a":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","taſk":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","_Meta":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","_meta":{},"_meta":{"a":"hidden"}}"#,
    r#"{"name":"x__echo","_meta":{"progressToken":1,"ProgressToken":"hidden"}}"#,
    r#"{"name":"x__echo","_meta":{"progressToken":1,"progressToken":"hidden"}}"#,
    r#"{"name":"x__echo","_meta":{"progreſsToKen":"hidden"}}"#,
    r#"{"name":"x__echo","RequestState":"hidden"}"#,
    r#"{"name":"x__echo","InputResponses":{"a":"hidden"}}"#,
];

const OTHERS: &[(&str, &str)] = &[
    ("prompts/get", r#"{"name":"x__p","Name":"hidden"}"#),
    ("prompts/get", r#"{"name":"x__p","name":"hidden"}"#),
    ("resources/read", r#"{"uri":"mem://x/a","URI":"hidden://"}"#),
    (
        "resources/read",
        r#"{"uri":"mem://x/a","ur\u0131":"hidden://"}"#,
    ),
    ("resources/read", r#"{"uri":"mem://x/a","URİ":"hidden://"}"#),
    (
        "resources/subscribe",
        r#"{"uri":"mem://x/a","Uri":"hidden://"}"#,
    ),
    (
        "resources/unsubscribe",
        r#"{"Uri":"hidden://","uri":"mem://x/a"}"#,
    ),
    ("tasks/get", r#"{"taskId":"a","taskID":"hidden"}"#),
    ("tasks/cancel", r#"{"taskId":"a","tas\u212aId":"hidden"}"#),
    ("logging/setLevel", r#"{"level":"info","Level":"hidden"}"#),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"x__p","Name":"hidden"},"argument":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"x__p","name":"hidden"},"argument":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"x__p"},"REF":{"type":"ref/prompt","name":"hidden"}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","uri":"mem://x/a","uri":"hidden://"},"argument":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","name":"x__p","uri":"hidden://"},"argument":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"name":"x__p","uri":"hidden://"},"argument":{}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","Type":"ref/resource","name":"x__p","URI":"hidden://"}}"#,
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","name":"hidden"},"argument":{}}"#,
    ),
];

const WHOLE: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call","params":{"name":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"METHOD":"tools/call","method":"ping","params":{"name":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x__echo"},"Params":{"name":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x__echo"},"p\u0041rams":{"name":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":7,"ID":"hidden","method":"tools/call","params":{"name":"x__echo"}}"#,
    r#"{"jsonrpc":"2.0","\u0131d":"hidden","id":7,"method":"tools/call","params":{"name":"x__echo"}}"#,
    r#"{"jsonrpc":"2.0","JSONRPC":"hidden","id":7,"method":"tools/call","params":{"name":"x__echo"}}"#,
    r#"{"jsonrpc":"2.0","Id":"hidden","method":"notifications/roots/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","Method":"hidden"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{"_Meta":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"ProgressToken":"hidden","progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progressToken":"hidden","progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"RequestID":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"a":1},"Result":{"a":"hidden"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"a":1},"ID":"hidden"}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"hidden"},"Result":{"a":"hidden"}}"#,
];

#[tokio::test]
async fn ambiguous_message_reaches_no_server() {
    let site = site().await;
    let ann = site.session("ann", "part").await.unwrap();
    ann.request(1, "tools/list", &json!({})).await.unwrap();
    // An open request of the server, so that progress and answers have a target.
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let _call = ann.begin(2, "tools/call", &ask).await.unwrap();
    let tools = TOOLS.iter().map(|params| request("tools/call", params));
    let others = OTHERS
        .iter()
        .map(|(method, params)| request(method, params));
    let whole = WHOLE.iter().map(|text| (*text).to_owned());
    for text in tools.chain(others).chain(whole) {
        for kind in refusals(&ann, &text).await {
            let is_refused = matches!(
                kind,
                Some(
                    ErrorKind::InvalidParams
                        | ErrorKind::InvalidRequest
                        | ErrorKind::MethodNotFound
                )
            );
            assert!(is_refused, "{text}: {kind:?}");
        }
    }
    let got = site.mind.got();
    let hidden = got
        .iter()
        .find(|got| got.message.to_string().contains("hidden"));
    assert!(hidden.is_none(), "{hidden:?}");
    assert!(
        site.mind
            .got_of("notifications/roots/list_changed")
            .is_empty()
    );
}

#[tokio::test]
async fn unambiguous_member_is_forwarded_unchanged() {
    let site = site().await;
    let ann = site.session("ann", "part").await.unwrap();
    for (method, params) in [
        (
            "tools/call",
            r#"{"name":"x__echo","Names":1,"nam":2,"arguments":{"name":"a","Name":"b","URI":"c"}}"#,
        ),
        (
            "tools/call",
            r#"{"n\u0061me":"x__echo","title":"T","_meta":{"a/Progress":1,"A/progress":2}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"x__p","title":"P"},"argument":{"name":"a","value":""}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"mem://x/a"},"argument":{"Name":"a","name":"b"}}"#,
        ),
    ] {
        let before = site.mind.got_of(method).len();
        let taken = refusals(&ann, &request(method, params)).await;
        assert_eq!(taken, [None, None], "{params}");
        assert_eq!(site.mind.got_of(method).len(), before + 2, "{params}");
    }
    // Of a method that the protocol does not define, only the metadata is checked.
    let ann = site.session("ann", "whole").await.unwrap();
    let own = request("x/extension", r#"{"URI":"a","Name":"b","name":"c"}"#);
    assert_eq!(refusals(&ann, &own).await, [None, None]);
    let own = request("x/extension", r#"{"_meta":{},"_META":{}}"#);
    let refused = Some(ErrorKind::InvalidParams);
    assert_eq!(refusals(&ann, &own).await, [refused, refused]);
}
