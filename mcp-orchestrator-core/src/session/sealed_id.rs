//! Session ids.
//!
//! An id is sealed with the state key for its principal and gateway. It contains what another process needs to continue
//! the session: the negotiated version and what the client declared. So a session outlives the process that opened it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::client_facts::shortened;
use crate::auth::{Principal, PrincipalKind};
use crate::id::{GatewayId, SessionId};
use crate::limits::{MAX_SEALED_FACTS_LEN, MAX_SESSION_ID_AGE};
use crate::protocol::version;
use crate::runtime::Scope;
use crate::seal::StateKey;
use crate::transport::ClientFacts;

/// Prefix of ids of this format. A later format gets another prefix, so that two versions of the program can run side by
/// side.
const PREFIX: &str = "s1.";
const LABEL: &str = "session";
/// Length of the part that identifies a session: the nonce, in base64.
const NONCE_LEN: usize = 32;
const TAG_LEN: usize = 9;
const VERSION_LEN: usize = "2025-11-25".len();
/// Clocks of two machines may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// The part of an id that differs for each session.
pub(super) type IdKey = [u8; NONCE_LEN];

/// Returns the part of an id that identifies its session; `None` if no process issued the id.
pub(super) fn id_key(id: &SessionId) -> Option<IdKey> {
    let sealed = id.as_str().strip_prefix(PREFIX)?.as_bytes();
    sealed.first_chunk().copied()
}

/// What a session id contains.
#[derive(Debug, PartialEq)]
pub(crate) struct SealedSession {
    /// The process that opened the session.
    pub(super) process: u64,
    opened: SystemTime,
    /// Names the scope of the instances that belong to this session only.
    tag: [u8; TAG_LEN],
    pub(super) version: &'static str,
    pub(super) facts: ClientFacts,
}

impl SealedSession {
    /// Describes a session that this process opens now.
    pub(crate) fn new(process: u64, version: &'static str, facts: ClientFacts) -> Self {
        let mut tag = [0; TAG_LEN];
        getrandom::fill(&mut tag).expect("the system has a source of randomness");
        Self {
            process,
            opened: SystemTime::now(),
            tag,
            version,
            facts,
        }
    }

    /// Returns the scope of the instances that belong to this session only.
    pub(super) fn scope(&self) -> Scope {
        Scope::Session(URL_SAFE_NO_PAD.encode(self.tag).into())
    }

    /// Returns a new id for this session. An id is at most `MAX_SESSION_ID_LEN` characters long: if the client declared
    /// more than fits, the id contains less of it.
    pub(crate) fn seal(
        &self,
        key: &StateKey,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> SessionId {
        let (info, capabilities) = fitting(&self.facts);
        let opened = self.opened.duration_since(UNIX_EPOCH).unwrap_or_default();
        let info_len = u16::try_from(info.len()).unwrap_or_default();
        let plain = [
            &self.process.to_be_bytes()[..],
            &opened.as_secs().to_be_bytes(),
            &self.tag,
            self.version.as_bytes(),
            &info_len.to_be_bytes(),
            info.as_bytes(),
            capabilities.as_bytes(),
        ]
        .concat();
        let sealed = key.seal(LABEL, &binding(principal, gateway), &plain);
        SessionId::new(format!("{PREFIX}{sealed}")).expect("base64url is visible ASCII")
    }

    /// Opens an id. Returns `None` if it was altered, if it was issued for another principal or gateway or under another
    /// state key, or if it is too old.
    pub(crate) fn open(
        id: &SessionId,
        key: &StateKey,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Option<Self> {
        let sealed = id.as_str().strip_prefix(PREFIX)?;
        let plain = key.open(LABEL, &binding(principal, gateway), sealed)?;
        let read = Self::read(&plain)?;
        let now = SystemTime::now();
        let is_recent = match now.duration_since(read.opened) {
            Ok(age) => age <= MAX_SESSION_ID_AGE,
            Err(ahead) => ahead.duration() <= CLOCK_SKEW,
        };
        is_recent.then_some(read)
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (process, rest) = plain.split_first_chunk()?;
        let (opened, rest) = rest.split_first_chunk()?;
        let (tag, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_at_checked(VERSION_LEN)?;
        let (info_len, rest) = rest.split_first_chunk()?;
        let (info, capabilities) = rest.split_at_checked(u16::from_be_bytes(*info_len).into())?;
        let mut versions = version::LEGACY.into_iter();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self {
            process: u64::from_be_bytes(*process),
            opened: UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*opened)))?,
            tag: *tag,
            version: versions.find(|known| known.as_bytes() == version)?,
            facts: ClientFacts {
                info: text(info)?,
                capabilities: text(capabilities)?,
                log_level: None,
            },
        })
    }
}

fn binding(principal: &Principal, gateway: &GatewayId) -> Vec<u8> {
    let kind: &[u8] = match principal.kind {
        PrincipalKind::User => b"user",
        PrincipalKind::Team => b"team",
        PrincipalKind::Organization => b"organization",
    };
    let parts = [
        gateway.as_str().as_bytes(),
        kind,
        principal.id.as_str().as_bytes(),
    ];
    parts.join(&b'\0')
}

/// Returns what of the client's info and capabilities fits into an id: all of it for usual clients.
fn fitting(facts: &ClientFacts) -> (String, String) {
    let (info, capabilities) = (&facts.info, &facts.capabilities);
    if info.len() + capabilities.len() <= MAX_SEALED_FACTS_LEN {
        return (info.clone(), capabilities.clone());
    }
    let info = shortened(info, MAX_SEALED_FACTS_LEN / 16);
    let room = MAX_SEALED_FACTS_LEN.saturating_sub(info.len());
    (info, members_within(capabilities, room))
}

/// Returns the capabilities that fit into `room` bytes, those that servers ask for first.
fn members_within(capabilities: &str, room: usize) -> String {
    const FIRST: [&str; 5] = ["elicitation", "sampling", "roots", "tasks", "extensions"];
    let mut all: Map<String, Value> = serde_json::from_str(capabilities).unwrap_or_default();
    let mut kept = Map::new();
    let mut left = room.saturating_sub("{}".len());
    let first = FIRST.into_iter().filter_map(|name| all.remove_entry(name));
    for (name, value) in first.collect::<Vec<_>>().into_iter().chain(all) {
        let len = format!("{}:{value},", Value::from(name.as_str())).len();
        if len <= left {
            left -= len;
            kept.insert(name, value);
        }
    }
    Value::Object(kept).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::PrincipalId;
    use crate::limits::MAX_SESSION_ID_LEN;

    fn ann() -> Principal {
        Principal::user(PrincipalId::new("ann").unwrap(), "test")
    }

    fn facts(info: &Value, capabilities: &Value) -> ClientFacts {
        ClientFacts {
            info: info.to_string(),
            capabilities: capabilities.to_string(),
            log_level: None,
        }
    }

    fn usual() -> ClientFacts {
        let info = json!({ "name": "client", "version": "1.2.3" });
        facts(
            &info,
            &json!({ "roots": { "listChanged": true }, "sampling": {} }),
        )
    }

    fn reopened(facts: ClientFacts) -> SealedSession {
        let (key, gateway) = (StateKey::random(), GatewayId::default_gateway());
        let id = SealedSession::new(7, version::LATEST_LEGACY, facts).seal(&key, &ann(), &gateway);
        assert!(id.as_str().len() <= MAX_SESSION_ID_LEN, "{id}");
        SealedSession::open(&id, &key, &ann(), &gateway).unwrap()
    }

    #[test]
    fn id_contains_what_the_client_declared() {
        for version in version::LEGACY {
            let (key, gateway) = (StateKey::random(), GatewayId::default_gateway());
            let sealed = SealedSession::new(7, version, usual());
            let id = sealed.seal(&key, &ann(), &gateway);
            assert!(!id.as_str().contains("client"));
            let opened = SealedSession::open(&id, &key, &ann(), &gateway).unwrap();
            assert_eq!((opened.version, &opened.facts), (version, &usual()));
            assert_eq!((opened.process, opened.scope()), (7, sealed.scope()));
        }
    }

    #[test]
    fn id_opens_only_for_its_principal_gateway_and_key() {
        let (key, gateway) = (StateKey::random(), GatewayId::default_gateway());
        let id =
            SealedSession::new(7, version::LATEST_LEGACY, usual()).seal(&key, &ann(), &gateway);
        let bob = Principal::user(PrincipalId::new("bob").unwrap(), "test");
        let team = Principal {
            kind: PrincipalKind::Team,
            ..ann()
        };
        for other in [&bob, &team] {
            assert_eq!(SealedSession::open(&id, &key, other, &gateway), None);
        }
        let elsewhere = GatewayId::new("elsewhere").unwrap();
        assert_eq!(SealedSession::open(&id, &key, &ann(), &elsewhere), None);
        let other_key = StateKey::random();
        assert_eq!(SealedSession::open(&id, &other_key, &ann(), &gateway), None);
        for at in [0, 5, 40, id.as_str().len() - 2] {
            let mut altered = id.as_str().as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = SessionId::new(String::from_utf8(altered).unwrap()).unwrap();
            assert_eq!(SealedSession::open(&altered, &key, &ann(), &gateway), None);
        }
        for text in ["s1.", "s1.AAAA", "x", &"s1.A".repeat(100)] {
            let made_up = SessionId::new(text).unwrap();
            assert_eq!(SealedSession::open(&made_up, &key, &ann(), &gateway), None);
        }
    }

    #[test]
    fn id_is_refused_when_it_is_too_old_or_from_the_future() {
        let (key, gateway) = (StateKey::random(), GatewayId::default_gateway());
        let opened_at = |opened| {
            let sealed = SealedSession {
                opened,
                ..SealedSession::new(7, version::LATEST_LEGACY, usual())
            };
            let id = sealed.seal(&key, &ann(), &gateway);
            SealedSession::open(&id, &key, &ann(), &gateway).is_some()
        };
        let (now, minute) = (SystemTime::now(), Duration::from_mins(1));
        assert!(opened_at(now - MAX_SESSION_ID_AGE + minute));
        assert!(!opened_at(now - MAX_SESSION_ID_AGE - minute));
        assert!(opened_at(now + minute));
        assert!(!opened_at(now + Duration::from_hours(1)));
    }

    #[test]
    fn long_declarations_are_reduced_to_what_servers_ask_for() {
        let long = "x".repeat(2000);
        let capabilities = json!({
            "experimental": { "a": long },
            "roots": { "listChanged": true },
            "elicitation": { "form": {}, "url": {} },
            "extensions": { "b": long },
            "sampling": { "tools": {} },
        });
        let info = json!({ "name": "é".repeat(3000), "version": "1", "icons": [long] });
        let opened = reopened(facts(&info, &capabilities));
        let kept: Value = serde_json::from_str(&opened.facts.capabilities).unwrap();
        assert_eq!(
            kept,
            json!({
                "roots": { "listChanged": true },
                "elicitation": { "form": {}, "url": {} },
                "sampling": { "tools": {} },
            })
        );
        let info: Value = serde_json::from_str(&opened.facts.info).unwrap();
        assert_eq!(info["version"], "1");
        assert!(info["name"].as_str().unwrap().starts_with('é'));
    }

    #[test]
    fn every_declaration_fits_into_an_id() {
        for len in [0, 100, 300, 600, 640, 700, 5000, 16_000] {
            let text = "\"\\".repeat(len / 2);
            let name = json!({ "name": text, "version": text, "title": text });
            reopened(facts(&name, &json!({ "experimental": { text: {} } })));
            reopened(facts(
                &json!({}),
                &json!({ "elicitation": { "x": "y".repeat(len) } }),
            ));
        }
    }
}
