//! Handshakes: `initialize` in the legacy era, `server/discover` in the modern one.

use bytes::Bytes;

use super::Hello;
use crate::call::own;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, notification, quote, request, text};
use crate::limits::DISCOVER_TIMEOUT;
use crate::protocol::{Era, meta, method, version};
use crate::server::EraChoice;

/// What is declared to an instance about its client.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// `clientInfo`, as JSON.
    pub(crate) info: String,
    /// `capabilities`, as JSON.
    pub(crate) capabilities: String,
    /// The legacy version to offer.
    pub(crate) version: &'static str,
}

/// All client capabilities.
pub(crate) const ALL_CAPABILITIES: &str =
    r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{},"url":{}}}"#;

impl Profile {
    /// The orchestrator itself, without capabilities.
    pub(crate) fn plain() -> Self {
        let own_version = env!("CARGO_PKG_VERSION");
        Self {
            info: format!("{{\"name\":\"mcp-orchestrator\",\"version\":\"{own_version}\"}}"),
            capabilities: "{}".into(),
            version: version::LATEST_LEGACY,
        }
    }

    /// The orchestrator on behalf of several clients, with all capabilities, because servers offer some tools only to
    /// clients that have them. Requests that the client of a call cannot handle are refused.
    pub(crate) fn of_several() -> Self {
        Self {
            capabilities: ALL_CAPABILITIES.into(),
            ..Self::plain()
        }
    }

    /// Returns `params._meta` of a modern request, without braces.
    pub(crate) fn meta(&self, version: &str) -> String {
        modern_meta(version, &self.info, &self.capabilities)
    }
}

/// Returns the members of `_meta` that every modern request has.
pub(super) fn modern_meta(version: &str, info: &str, capabilities: &str) -> String {
    let (key, info_key, can_key) = (
        meta::PROTOCOL_VERSION,
        meta::CLIENT_INFO,
        meta::CLIENT_CAPABILITIES,
    );
    format!(
        "\"{key}\":{},\"{info_key}\":{info},\"{can_key}\":{capabilities}",
        quote(version)
    )
}

/// The transport of a handshake.
pub(super) trait Wire {
    /// Sends a request and waits for its response.
    async fn exchange(&self, message: Message) -> Result<Message>;
    /// Sends a notification.
    async fn tell(&self, notification: Message) -> Result<()>;
}

/// State of a program that ran before this connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    /// The result of its first handshake, if it was kept.
    pub(crate) kept: Option<Hello>,
}

/// Result of a handshake.
pub(super) enum Shaken {
    /// The server's description of itself, from this handshake or an earlier one.
    Hello(Hello),
    /// The program ran before and refuses another handshake, and no result of the first is kept. Contains the refusal.
    Unknown(Error),
}

/// Performs the handshake. With `auto`, the legacy era is chosen if `initialize` succeeds. A program that ran before
/// and refuses another `initialize` counts as initialized.
pub(super) async fn shake(
    wire: &impl Wire,
    era: EraChoice,
    profile: &Profile,
    joined: Option<&Joined>,
) -> Result<Shaken> {
    if era == EraChoice::Modern {
        return discover(wire, profile).await.map(Shaken::Hello);
    }
    let refused = match initialize(wire, profile).await {
        Err(refused) if refused.kind() == ErrorKind::Protocol => refused,
        answer => return answer.map(Shaken::Hello),
    };
    let kept = joined.and_then(|joined| joined.kept.as_ref());
    if let Some(kept) = kept.filter(|kept| kept.era == Era::Legacy) {
        return Ok(Shaken::Hello(kept.clone()));
    }
    if era == EraChoice::Auto
        && let Ok(hello) = discover(wire, profile).await
    {
        return Ok(Shaken::Hello(hello));
    }
    match joined {
        Some(_) => Ok(Shaken::Unknown(refused)),
        None => Err(refused),
    }
}

/// Performs the legacy handshake.
pub(super) async fn initialize(wire: &impl Wire, profile: &Profile) -> Result<Hello> {
    let params = initialize_params(profile);
    let response = wire
        .exchange(own(request("0", method::INITIALIZE, Some(&params))))
        .await?;
    let result = result_of(&response, method::INITIALIZE)?;
    let version = version_of(&result)?;
    wire.tell(own(notification(method::INITIALIZED, None)))
        .await?;
    Ok(Hello {
        era: Era::Legacy,
        version,
        result,
    })
}

/// Returns `params` of the legacy handshake.
pub(super) fn initialize_params(profile: &Profile) -> String {
    let Profile {
        info,
        capabilities,
        version,
    } = profile;
    format!(
        "{{\"protocolVersion\":\"{version}\",\"capabilities\":{capabilities},\"clientInfo\":{info}}}"
    )
}

/// Performs the modern handshake.
pub(super) async fn discover(wire: &impl Wire, profile: &Profile) -> Result<Hello> {
    let message = own(request(
        "0",
        method::DISCOVER,
        Some(&discover_params(profile)),
    ));
    let answer = tokio::time::timeout(DISCOVER_TIMEOUT, wire.exchange(message)).await;
    let response = answer
        .map_err(|_| Error::new(ErrorKind::TimedOut, "server/discover was not answered"))??;
    discovered(&response)
}

/// Returns `params` of the modern handshake.
pub(super) fn discover_params(profile: &Profile) -> String {
    format!("{{\"_meta\":{{{}}}}}", profile.meta(version::LATEST_MODERN))
}

/// Parses the response to `server/discover`.
pub(super) fn discovered(response: &Message) -> Result<Hello> {
    let result = result_of(response, method::DISCOVER)?;
    let members = std::str::from_utf8(&result)
        .ok()
        .and_then(Members::read)
        .unwrap_or_default();
    let supported: Vec<String> = members
        .get("supportedVersions")
        .and_then(|list| serde_json::from_str(list).ok())
        .unwrap_or_default();
    let common = version::MODERN
        .iter()
        .rev()
        .find(|known| supported.iter().any(|version| version == **known));
    let Some(common) = common else {
        let text = format!(
            "server/discover offers no version that is spoken here: {}",
            supported.join(", ")
        );
        return Err(Error::new(ErrorKind::Protocol, text));
    };
    Ok(Hello {
        era: Era::Modern,
        version: (*common).to_owned(),
        result,
    })
}

/// Returns the result of a response. An error response is an error.
pub(super) fn result_of(response: &Message, method: &str) -> Result<Bytes> {
    if response.kind() == Kind::Response {
        let span = response.body_span().unwrap_or_default();
        return Ok(response.bytes().slice(span));
    }
    let error = response.body().and_then(Members::read).unwrap_or_default();
    let message = error
        .get("message")
        .and_then(text)
        .unwrap_or_default()
        .into_owned();
    let code = error.get("code").unwrap_or("?");
    Err(Error::new(
        ErrorKind::Protocol,
        format!("{method} was refused with {code}: {message}"),
    ))
}

/// Returns the version in the result of `initialize`.
pub(super) fn version_of(result: &Bytes) -> Result<String> {
    let members = std::str::from_utf8(result)
        .ok()
        .and_then(Members::read)
        .unwrap_or_default();
    let version = members.get("protocolVersion").and_then(text);
    version.map(std::borrow::Cow::into_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            "the answer to initialize names no protocolVersion",
        )
    })
}
