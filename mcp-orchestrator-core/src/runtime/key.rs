//! The key of an instance: server, owner, credential revision, isolation scope and spec.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::{Generation, Owner, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, ServerId};
use crate::seal::{Digest, hex};

/// Identifies one instance. Two calls share an instance if and only if their keys are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InstanceKey(Arc<Parts>);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    server: ServerId,
    owner: Owner,
    revision: Revision,
    scope: Scope,
    spec: SpecDigest,
    name: String,
}

/// The serialized form of a key.
#[derive(Serialize, Deserialize)]
struct Text {
    server: String,
    owner: String,
    revision: String,
    scope: String,
    spec: String,
}

/// Which callers may share an instance of the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All callers that may use the owner's credential.
    Shared,
    /// One principal.
    Principal(PrincipalId),
    /// One session, identified by a tag that does not reveal the session ID.
    Session(Arc<str>),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => f.write_str("shared"),
            Self::Principal(id) => write!(f, "principal/{id}"),
            Self::Session(tag) => write!(f, "session/{tag}"),
        }
    }
}

/// Identifies the spec of an instance: 16 hex digits of a keyed hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpecDigest(Arc<str>);

impl SpecDigest {
    /// Truncates the digest of a spec.
    pub fn new(digest: &Digest) -> Self {
        Self(digest.hex(8).into())
    }

    /// Restores a digest from its text form.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the digest for an instance that cannot receive a newer token: every generation after the first yields
    /// a different digest.
    #[must_use]
    pub fn of_generation(&self, generation: Generation) -> Self {
        match generation.0 {
            0 => self.clone(),
            n => Self(format!("{}.{n}", self.0).into()),
        }
    }

    /// Returns `true` if this digest is of the given spec, whatever the token generation.
    pub fn is_of(&self, spec: &Self) -> bool {
        let rest = self.0.strip_prefix(&*spec.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Debug for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl InstanceKey {
    /// Creates the key of these parts.
    pub fn new(
        server: ServerId,
        owner: Owner,
        revision: Revision,
        scope: Scope,
        spec: SpecDigest,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [
            server.as_str(),
            &owner.to_string(),
            revision.as_str(),
            &scope.to_string(),
            spec.as_str(),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        // A name that is also a label value has at most 63 bytes: `mcp-`, 42 bytes of the server, `-`, 16 digits.
        let short = &server.as_str()[..server.as_str().len().min(42)];
        let name = format!(
            "mcp-{}-{}",
            short.trim_end_matches('-'),
            hex(&hash.finalize()[..8])
        );
        Self(Arc::new(Parts {
            server,
            owner,
            revision,
            scope,
            spec,
            name,
        }))
    }

    /// Returns the server.
    pub fn server(&self) -> &ServerId {
        &self.0.server
    }

    /// Returns the owner of the instance's credential.
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// Returns the revision of the credential.
    pub fn revision(&self) -> &Revision {
        &self.0.revision
    }

    /// Returns the isolation scope: which callers may share the instance.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// Returns the digest of the spec that the instance was created from.
    pub fn spec(&self) -> &SpecDigest {
        &self.0.spec
    }

    /// Serializes the whole key, for backends that keep instances beyond the end of this process. The inverse of
    /// [`from_text`](Self::from_text).
    pub fn to_text(&self) -> String {
        let parts = &*self.0;
        let text = Text {
            server: parts.server.as_str().into(),
            owner: parts.owner.to_string(),
            revision: parts.revision.as_str().into(),
            scope: parts.scope.to_string(),
            spec: parts.spec.as_str().into(),
        };
        serde_json::to_string(&text).expect("texts are JSON")
    }

    /// Parses a key serialized by [`to_text`](Self::to_text).
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) if the text is not a valid key.
    pub fn from_text(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            let message = format!("the text of an instance's key has no valid {what}");
            Error::new(ErrorKind::InvalidParams, message)
        };
        let text: Text = serde_json::from_str(text).map_err(|_| wrong("form"))?;
        let principal = |id: &str| PrincipalId::new(id).ok();
        let owner = text.owner.parse().ok();
        let scope = match text.scope.split_once('/') {
            None if text.scope == "shared" => Some(Scope::Shared),
            Some(("principal", id)) => principal(id).map(Scope::Principal),
            Some(("session", tag)) => Some(Scope::Session(tag.into())),
            _ => None,
        };
        Ok(Self::new(
            ServerId::new(&text.server).map_err(|_| wrong("server"))?,
            owner.ok_or_else(|| wrong("owner"))?,
            Revision::new(&text.revision),
            scope.ok_or_else(|| wrong("scope"))?,
            SpecDigest::from_text(&text.spec),
        ))
    }

    /// Returns the public name, `mcp-<server>-<16 hex digits>`, which is a valid DNS label.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        write!(
            f,
            "{} ({} {} {} {:?})",
            parts.name, parts.owner, parts.revision, parts.scope, parts.spec
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TeamId;

    #[test]
    fn every_part_of_a_key_changes_its_name() {
        let server = |name: &str| ServerId::new(name).unwrap();
        let spec = || SpecDigest::from_text("00");
        let key = |s: &str, owner, scope| {
            InstanceKey::new(server(s), owner, Revision::none(), scope, spec())
        };
        let user = |id: &str| PrincipalId::new(id).unwrap();
        let base = key("git", Owner::Organization, Scope::Shared);
        assert_eq!(base, key("git", Owner::Organization, Scope::Shared));
        let others = [
            key("gat", Owner::Organization, Scope::Shared),
            key("git", Owner::User(user("organization")), Scope::Shared),
            key("git", Owner::Organization, Scope::Principal(user("a"))),
            InstanceKey::new(
                server("git"),
                Owner::Organization,
                Revision::new("2"),
                Scope::Shared,
                spec(),
            ),
        ];
        for other in others {
            assert_ne!(base.name(), other.name());
        }
        let long = key(&"x".repeat(63), Owner::Organization, Scope::Shared);
        assert_eq!(long.name().len(), 63);
    }

    #[test]
    fn generation_changes_the_digest_of_the_same_spec() {
        let (spec, other) = (SpecDigest::from_text("0f"), SpecDigest::from_text("0f1"));
        assert_eq!(spec.of_generation(Generation(0)), spec);
        let third = spec.of_generation(Generation(3));
        assert_ne!(third, spec.of_generation(Generation(2)));
        assert!(third.is_of(&spec) && spec.is_of(&spec));
        assert!(!third.is_of(&other) && !other.is_of(&spec) && !spec.is_of(&third));
    }

    #[test]
    fn key_round_trips_through_text() {
        let ann = || PrincipalId::new("ann/of@example").unwrap();
        for (owner, scope) in [
            (Owner::Organization, Scope::Shared),
            (Owner::User(ann()), Scope::Principal(ann())),
            (
                Owner::Team(TeamId::new("ops").unwrap()),
                Scope::Session("s/1".into()),
            ),
        ] {
            let server = ServerId::new("git").unwrap();
            let (revision, spec) = (Revision::new("r/1"), SpecDigest::from_text("0f"));
            let key = InstanceKey::new(server, owner, revision, scope, spec);
            assert_eq!(InstanceKey::from_text(&key.to_text()).unwrap(), key);
        }
        for wrong in [
            "",
            "{}",
            r#"{"server":"a","owner":"x","revision":"","scope":"shared","spec":""}"#,
        ] {
            assert!(InstanceKey::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
