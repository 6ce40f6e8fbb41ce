//! Converts records to Secrets and back. User and team names are kept in the data only, never in the metadata.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::credential::{Record, RecordKey, RecordKind, Version};
use crate::error::{Error, ErrorKind};
use crate::id::RecordName;
use crate::kubernetes::names::component_labels;
use crate::seal::{StateKey, random_text};

/// The value of the component label on all records.
const CREDENTIAL: &str = "credential";
/// Label with the record's kind.
const KIND_LABEL: &str = "mcp-orchestrator.dev/record";
/// Annotation that identifies a write, so that writing the same content again is a distinct write, and a write that
/// was sent twice is recognized.
const WRITE: &str = "mcp-orchestrator.dev/write";
const SECRET_TYPE: &str = "mcp-orchestrator.dev/credential";

const KIND: &str = "kind";
const NAME: &str = "name";
const VALUE: &str = "value";
const EXPIRES: &str = "expires-at";

/// Names and labels of one orchestrator's Secrets.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) orchestrator: String,
    pub(super) key: std::sync::Arc<StateKey>,
}

impl Names {
    /// Returns the name of a record's Secret: a keyed hash, which reveals nothing about the record.
    pub(super) fn of(&self, key: &RecordKey) -> String {
        let parts = [key.kind.as_str(), key.name.as_str()].map(str::as_bytes);
        let digest = self.key.digest("credential secret", parts).hex(16);
        format!("{}-cr-{digest}", self.orchestrator)
    }

    /// Returns the label selector of all records, or of those of one kind.
    pub(super) fn selector(&self, kind: Option<RecordKind>) -> String {
        let own = component_labels(&self.orchestrator, CREDENTIAL);
        let mut parts: Vec<_> = own
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        parts.extend(kind.map(|kind| format!("{KIND_LABEL}={kind}")));
        parts.join(",")
    }

    fn labels(&self, kind: RecordKind) -> BTreeMap<String, String> {
        let mut labels = component_labels(&self.orchestrator, CREDENTIAL);
        labels.insert(KIND_LABEL.to_owned(), kind.to_string());
        labels
    }
}

/// A write in progress, identified by its mark.
pub(super) struct Write<'a> {
    pub(super) key: &'a RecordKey,
    pub(super) record: &'a Record,
    mark: String,
}

impl<'a> Write<'a> {
    pub(super) fn new(key: &'a RecordKey, record: &'a Record) -> Self {
        let mark = random_text(12);
        Self { key, record, mark }
    }

    /// Returns `true` if this write produced `secret`.
    pub(super) fn made(&self, secret: &Secret) -> bool {
        let annotations = secret.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(WRITE)) == Some(&self.mark)
    }

    /// Returns a new Secret. It has no owner reference, so that it outlives the objects of its orchestrator.
    pub(super) fn created(&self, names: &Names) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(names.of(self.key)),
                labels: Some(names.labels(self.key.kind)),
                annotations: Some([(WRITE.to_owned(), self.mark.clone())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(self.data()),
            ..Secret::default()
        }
    }

    /// Returns the patch for a Secret that still has this version.
    pub(super) fn changed(&self, names: &Names, version: &str) -> serde_json::Value {
        let mut data = json!(self.data());
        if self.record.expires_at.is_none() {
            data[EXPIRES] = serde_json::Value::Null;
        }
        json!({
            "metadata": {
                "resourceVersion": version,
                "labels": names.labels(self.key.kind),
                "annotations": { WRITE: self.mark },
            },
            "data": data,
        })
    }

    fn data(&self) -> BTreeMap<String, ByteString> {
        let text = |name: &str, text: &str| (name.to_owned(), ByteString(text.into()));
        let mut data = BTreeMap::from([
            text(KIND, self.key.kind.as_str()),
            text(NAME, self.key.name.as_str()),
            text(VALUE, self.record.value.expose_secret()),
        ]);
        data.extend(self.record.expires_at.map(|at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            text(
                EXPIRES,
                &format!("{}.{:09}", since.as_secs(), since.subsec_nanos()),
            )
        }));
        data
    }
}

/// The properties of a record's Secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) key: RecordKey,
    pub(super) version: String,
    pub(super) expires_at: Option<SystemTime>,
}

impl Facts {
    /// Reads the properties of a Secret. Returns `None` if it is not a record.
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        let kind = RecordKind::of(entry(secret, KIND)?)?;
        let name = RecordName::new(entry(secret, NAME)?).ok()?;
        let expires_at = match entry(secret, EXPIRES) {
            Some(text) => Some(time(text)?),
            None => None,
        };
        Some(Self {
            key: RecordKey::new(kind, name),
            version: secret.metadata.resource_version.clone()?,
            expires_at,
        })
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(super) fn version(&self) -> Version {
        Version(self.version.clone())
    }
}

/// Returns the record in a Secret.
pub(super) fn record(secret: &Secret) -> Option<(Facts, Record)> {
    let facts = Facts::of(secret)?;
    let record = Record {
        value: SecretString::from(entry(secret, VALUE)?),
        expires_at: facts.expires_at,
    };
    Some((facts, record))
}

/// Returns the error for a Secret that has a record's name but is not that record.
pub(super) fn foreign(key: &RecordKey, secret: &str) -> Error {
    let text = format!(
        "secret {secret} is not the {key} that it is named for: somebody changed it; take it away"
    );
    Error::new(ErrorKind::Internal, text)
}

fn entry<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    let bytes = secret.data.as_ref()?.get(name)?;
    std::str::from_utf8(&bytes.0).ok()
}

fn time(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.split_once('.')?;
    let since = Duration::from_secs(seconds.parse().ok()?)
        .checked_add(Duration::from_nanos(nanos.parse().ok()?))?;
    UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::names::COMPONENT;

    #[test]
    fn record_round_trips_and_its_metadata_names_no_owner() {
        let names = Names {
            orchestrator: "main".to_owned(),
            key: StateKey::random().into(),
        };
        let name = RecordName::new("git/user/ann@example.org").unwrap();
        let key = RecordKey::new(RecordKind::Installation, name);
        let end = UNIX_EPOCH + Duration::new(4_000_000_000, 7);
        let written = Record::new("canary").expiring(end);
        let write = Write::new(&key, &written);
        let mut secret = write.created(&names);
        assert!(Facts::of(&secret).is_none(), "it has no version yet");
        secret.metadata.resource_version = Some("7".to_owned());
        let (facts, read) = record(&secret).unwrap();
        assert_eq!((&facts.key, facts.expires_at), (&key, Some(end)));
        assert_eq!(read.value.expose_secret(), "canary");
        assert!(write.made(&secret) && !Write::new(&key, &written).made(&secret));
        let metadata = serde_json::to_string(&secret.metadata).unwrap();
        assert!(
            !metadata.contains("example.org") && !metadata.contains("canary"),
            "{metadata}"
        );
        assert_eq!(
            secret.metadata.labels.as_ref().unwrap()[COMPONENT],
            CREDENTIAL
        );
        let forever = Record::new("x");
        let change = Write::new(&key, &forever).changed(&names, "7");
        assert!(
            change["data"][EXPIRES].is_null(),
            "the end goes with the change"
        );
        for wrong in ["", "1", "a.b", "1.", "99999999999999999999.0"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
