//! The keys of a server that most programs have in common, in all their spellings.

use super::draft::Draft;
use super::keys::Keys;
use crate::config::schema::oauth::{OAuthChoice, OAuthEntry, ResourceChoice};
use crate::config::schema::server::TransportEntry;
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};

/// Keys that disable a server if they are `true`.
const DISABLED: &[&str] = &["disabled", "disable", "isDisabled", "is_disabled"];
/// Keys that disable a server if they are `false`.
const ENABLED: &[&str] = &[
    "enabled",
    "enable",
    "isEnabled",
    "is_enabled",
    "active",
    "isActive",
    "is_active",
];
/// Values of `state` or `status` that disable a server.
const OFF_STATES: &[&str] = &["disabled", "inactive", "off", "paused"];
const TYPE: &[&str] = &[
    "type",
    "transport",
    "transportType",
    "transport_type",
    "protocol",
];
const COMMAND: &[&str] = &["command", "cmd"];
const ARGS: &[&str] = &["args", "arguments"];
const ENV: &[&str] = &["env", "envs", "environment"];
const ENV_FILE: &[&str] = &["envFile", "env_file"];
const CWD: &[&str] = &[
    "cwd",
    "workingDirectory",
    "working_directory",
    "workingDir",
    "workdir",
];
const HTTP_URL: &[&str] = &["httpUrl", "http_url"];
const URL: &[&str] = &[
    "url",
    "serverUrl",
    "server_url",
    "baseUrl",
    "base_url",
    "uri",
    "endpoint",
];
const HEADERS: &[&str] = &[
    "headers",
    "http_headers",
    "httpHeaders",
    "customHeaders",
    "custom_headers",
    "extraHeaders",
];
/// Keys of mappings that contain `headers`, as in HTTP client libraries.
const REQUESTS: &[&str] = &[
    "requestInit",
    "requestOptions",
    "eventSourceInit",
    "request_init",
    "request_options",
];
const BEARER: &[&str] = &[
    "bearerToken",
    "bearer_token",
    "authorization_token",
    "authorizationToken",
    "authToken",
];

/// Returns `true` if the keys of a mapping identify it as a server.
pub(super) fn is_server(node: &Node) -> bool {
    let scalar = |key: &&str| {
        node.get(key)
            .is_some_and(|it| matches!(it.value, Value::Scalar { .. }))
    };
    let command = node
        .get("command")
        .is_some_and(|it| matches!(it.value, Value::List(_)));
    command || COMMAND.iter().chain(HTTP_URL).chain(URL).any(scalar)
}

/// Reads the keys of a server into the draft. Call [`Draft::close`] afterwards.
pub(super) fn read(keys: &mut Keys<'_>, draft: &mut Draft) {
    switches(keys, draft);
    transport(keys, draft);
    program(keys, draft);
    for (key, names) in [("httpUrl", HTTP_URL), ("url", URL)] {
        if let Some(url) = keys.text(names) {
            draft.urls.push((key, url));
        }
    }
    headers(keys, draft);
    oauth(keys, draft);
}

/// Leaves the server out if it is disabled in the file.
pub(super) fn switches(keys: &mut Keys<'_>, draft: &mut Draft) {
    let disabled = keys.flag(DISABLED) == Some(true);
    // Check every key: a file may have two of them.
    let off = ENABLED.iter().any(|key| keys.flag(&[key]) == Some(false));
    let state = keys.node(&["state", "status"]);
    let state = state.and_then(|(node, _)| super::keys::scalar(node));
    let off =
        off || state.is_some_and(|state| OFF_STATES.contains(&state.to_ascii_lowercase().as_str()));
    if disabled || off {
        draft.leave_out("skipped: the server is disabled in this file");
    }
}

fn transport(keys: &mut Keys<'_>, draft: &mut Draft) {
    let Some((node, path)) = keys.node(TYPE) else {
        return;
    };
    match &node.value {
        Value::Scalar { text, .. } => match word(text) {
            Some(transport) => draft.transport = transport,
            None => draft.problems.push(super::keys::Remark {
                path: draft.path.key("type"),
                text: "must be one of stdio, http, streamable-http, sse".to_owned(),
            }),
        },
        // For example `transport: {type: sse, url: …}`.
        _ => {
            if let Some(mut below) = Keys::new(node, path) {
                read(&mut below, draft);
                draft.close(below);
            }
        }
    }
    // A file may have both, such as `type: remote` and `transport: sse`.
    for key in TYPE {
        if draft.transport.is_none()
            && let Some((node, _)) = keys.node(&[key])
            && let Value::Scalar { text, .. } = &node.value
        {
            draft.transport = word(text).flatten();
        }
    }
}

/// Parses the name of a transport. `Some(None)` means that it is detected.
pub(super) fn word(text: &str) -> Option<Option<TransportEntry>> {
    let word: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match word.to_ascii_lowercase().as_str() {
        "stdio" | "local" | "command" | "process" => Some(TransportEntry::Stdio),
        "http" | "https" | "streamablehttp" | "streamablehttps" | "streamable" | "httpstream"
        | "httpstreaming" | "httpstreamable" => Some(TransportEntry::Http),
        "sse" | "httpsse" | "ssehttp" | "serversentevents" => Some(TransportEntry::Sse),
        "remote" | "auto" | "url" => None,
        _ => return None,
    })
}

fn program(keys: &mut Keys<'_>, draft: &mut Draft) {
    if let Some((node, path)) = keys.node(COMMAND) {
        match &node.value {
            Value::Scalar { text, plain } if !(*plain && is_other(text)) => {
                draft.command = Some(TextOr::Text(Typed(text.clone())));
            }
            Value::List(_) => draft.command = keys.texts(COMMAND).map(TextOr::Other),
            // Older versions of Zed have `{path, args, env}` here.
            Value::Map(_) => {
                if let Some(mut below) = Keys::new(node, path) {
                    if let Some(path) = below.text(&["path"]) {
                        draft.command = Some(TextOr::Text(path));
                    }
                    program(&mut below, draft);
                    draft.close(below);
                }
            }
            Value::Scalar { .. } | Value::Null | Value::Pruned => {
                keys.wrong.push(super::keys::Remark {
                    path,
                    text: "expected a string or a list, found a number or a boolean".to_owned(),
                });
            }
        }
    }
    if let Some(args) = keys.texts(ARGS) {
        draft.args = Some(args);
    }
    draft.env.extend(keys.map(ENV).unwrap_or_default());
    draft.env_file = keys.text(ENV_FILE).or(draft.env_file.take());
    draft.cwd = keys.text(CWD).or(draft.cwd.take());
}

fn is_other(text: &str) -> bool {
    text == "true" || text == "false" || text.parse::<f64>().is_ok()
}

fn headers(keys: &mut Keys<'_>, draft: &mut Draft) {
    for names in REQUESTS {
        if let Some(mut below) = keys.below(&[names]) {
            let found = below.map(HEADERS).unwrap_or_default();
            draft.headers.extend(found);
            draft.close(below);
        }
    }
    for names in HEADERS {
        draft.headers.extend(keys.map(&[names]).unwrap_or_default());
    }
    let has_authorization = |draft: &Draft| {
        let mut names = draft.headers.keys();
        names.any(|name| name.eq_ignore_ascii_case("authorization"))
    };
    if let Some(token) = keys.text(BEARER)
        && !has_authorization(draft)
    {
        let value = Typed(format!("Bearer {}", token.0));
        draft.headers.insert("Authorization".to_owned(), value);
    }
}

fn oauth(keys: &mut Keys<'_>, draft: &mut Draft) {
    if let Some(needed) = keys.flag(&["requiresOAuth"]) {
        draft.more.oauth = Some(OAuthChoice::Plain(needed));
    }
    let dynamic = keys
        .node(&["authProviderType"])
        .and_then(|(node, _)| super::keys::scalar(node));
    match dynamic.as_deref() {
        Some("dynamic_discovery") => draft.more.oauth = Some(OAuthChoice::Plain(true)),
        Some(other) => {
            let text = format!(
                "{other:?} is not supported; use `headers`, or `oauth` in a mcp-orchestrator.yaml"
            );
            draft.notice("authProviderType", text);
        }
        None => {}
    }
    if let Some((node, path)) = keys.node(&["oauth", "auth"]) {
        choice(node, path, draft);
    }
    if let Some(scopes) = keys.texts(&["oauthScopes", "oauth_scopes"]) {
        amend(draft, |entry| entry.scopes = Some(scopes));
    }
    if let Some(resource) = keys.text(&["oauth_resource", "oauthResource"]) {
        amend(draft, |entry| {
            entry.resource = Some(ResourceChoice::Text(resource));
        });
    }
}

/// Changes the OAuth entry of a server, unless OAuth is disabled.
pub(super) fn amend(draft: &mut Draft, change: impl FnOnce(&mut OAuthEntry)) {
    let mut entry = match draft.more.oauth.take() {
        Some(OAuthChoice::Plain(false)) => {
            draft.more.oauth = Some(OAuthChoice::Plain(false));
            return;
        }
        Some(OAuthChoice::Entry(entry)) => entry,
        _ => Box::default(),
    };
    change(&mut entry);
    draft.more.oauth = Some(OAuthChoice::Entry(entry));
}

/// Reads the value of `oauth` or `auth`.
fn choice(node: &Node, path: KeyPath, draft: &mut Draft) {
    match &node.value {
        Value::Scalar { text, .. } => match text.as_str() {
            "true" | "oauth" => draft.more.oauth = Some(OAuthChoice::Plain(true)),
            "false" | "none" => draft.more.oauth = Some(OAuthChoice::Plain(false)),
            // In FastMCP files this is a bearer token.
            token if path.to_string().ends_with("auth") && !path.to_string().ends_with("oauth") => {
                let value = Typed(format!("Bearer {token}"));
                draft
                    .headers
                    .entry("Authorization".to_owned())
                    .or_insert(value);
            }
            _ => draft.notice("oauth", "ignored: expected true, false or a mapping"),
        },
        _ => {
            if let Some(below) = Keys::new(node, path) {
                client(below, draft);
            }
        }
    }
}

/// Reads the client and scopes of an `oauth` mapping.
fn client(mut keys: Keys<'_>, draft: &mut Draft) {
    if keys.flag(&["enabled"]) == Some(false) {
        draft.more.oauth = Some(OAuthChoice::Plain(false));
        draft.close(keys);
        return;
    }
    let names = ["scopes", "scope", "oauthScopes", "oauth_scopes"];
    let scopes = keys.texts(&names).map(|scopes| {
        let words = scopes.iter().flat_map(|scope| scope.0.split_whitespace());
        words.map(Typed::from).collect::<Vec<_>>()
    });
    let mut entry = OAuthEntry {
        scopes: scopes.filter(|scopes| !scopes.is_empty()),
        client_id: keys.text(&["clientId", "client_id", "CLIENT_ID"]),
        client_secret: keys.text(&["clientSecret", "client_secret", "CLIENT_SECRET"]),
        issuer: keys.text(&["issuer"]),
        metadata_url: keys.text(&["authServerMetadataUrl"]),
        authorization_endpoint: keys.text(&["authorizationUrl", "authorization_url"]),
        token_endpoint: keys.text(&["tokenUrl", "token_url"]),
        registration_endpoint: keys.text(&["registrationUrl", "registration_url"]),
        ..OAuthEntry::default()
    };
    // A secret must not be sent to an issuer that only the server names.
    let named = entry.issuer.is_some()
        || (entry.authorization_endpoint.is_some() && entry.token_endpoint.is_some());
    if !named && entry.client_secret.take().is_some() {
        let text = "the secret of its client is left out, since nothing says whom it may be sent to: import the server, \
                    and name `issuer` and `client_secret` in its entry";
        draft.notice("oauth", text);
    }
    // Browsers return to the gateway, not to a port of that program.
    keys.skip(&[
        "callbackPort",
        "callback_port",
        "redirectUri",
        "redirect_uri",
        "usePkce",
        "use_pkce",
    ]);
    draft.more.oauth = Some(if entry == OAuthEntry::default() {
        OAuthChoice::Plain(true)
    } else {
        OAuthChoice::Entry(Box::new(entry))
    });
    draft.close(keys);
}
