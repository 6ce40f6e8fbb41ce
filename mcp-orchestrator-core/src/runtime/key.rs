//! Which instance: server, owner, credential revision, isolation scope and spec.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::{Generation, Owner, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, ServerId};
use crate::seal::{Digest, hex};

/// Names one instance. Two calls share an instance exactly where their keys are equal.
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

/// A key as it is written down.
#[derive(Serialize, Deserialize)]
struct Text {
    server: String,
    owner: String,
    revision: String,
    scope: String,
    spec: String,
}

/// Who may share an instance of the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All who may use the owner's credential.
    Shared,
    /// One principal.
    Principal(PrincipalId),
    /// One session, by a tag that says nothing of its id.
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

/// Which spec an instance was made from: 16 hex digits of a keyed hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpecDigest(Arc<str>);

impl SpecDigest {
    /// The short form of a spec's digest.
    pub fn new(digest: &Digest) -> Self {
        Self(digest.hex(8).into())
    }

    /// One that was written down before.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// That of an instance which cannot be given a newer token: each generation after the first makes another one.
    #[must_use]
    pub fn of_generation(&self, generation: Generation) -> Self {
        match generation.0 {
            0 => self.clone(),
            n => Self(format!("{}.{n}", self.0).into()),
        }
    }

    /// Whether it is of this spec, with a token of whatever generation.
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
    /// The key of these parts.
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
        // 63 is the longest name of a Kubernetes object that must be a label: `mcp-`, the server, `-`, 16 digits.
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

    /// The server.
    pub fn server(&self) -> &ServerId {
        &self.0.server
    }

    /// Whose credential it holds.
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// What was installed.
    pub fn revision(&self) -> &Revision {
        &self.0.revision
    }

    /// Who may share it.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The spec that it was made from.
    pub fn spec(&self) -> &SpecDigest {
        &self.0.spec
    }

    /// All of it as a text, for a backend whose instances outlive us; [`from_text`](Self::from_text) reads it.
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

    /// The key that was written as this text.
    ///
    /// # Errors
    /// [`InvalidParams`](ErrorKind::InvalidParams) where no key was.
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

    /// Its public name: `mcp-<server>-<16 hex digits>`, a DNS label.
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
    fn every_part_makes_another_name() {
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
    fn a_generation_makes_another_digest_of_the_same_spec() {
        let (spec, other) = (SpecDigest::from_text("0f"), SpecDigest::from_text("0f1"));
        assert_eq!(spec.of_generation(Generation(0)), spec);
        let third = spec.of_generation(Generation(3));
        assert_ne!(third, spec.of_generation(Generation(2)));
        assert!(third.is_of(&spec) && spec.is_of(&spec));
        assert!(!third.is_of(&other) && !other.is_of(&spec) && !spec.is_of(&third));
    }

    #[test]
    fn what_was_written_down_is_the_same_key() {
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
