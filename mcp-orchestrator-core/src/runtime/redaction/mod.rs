//! Redaction of an instance's own secrets in its stored output, in every usual encoding.

mod forms;
mod mask;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use self::forms::{forms, parts};
pub(super) use self::mask::Mask;
use super::{InstanceKey, LaunchSpec};
use crate::server::Launch;

/// Minimum length of a value to redact, in bytes; shorter ones occur in too many ordinary words.
const MIN_REDACTED_LEN: usize = 6;
/// Maximum number of values per instance; newer credentials displace the oldest.
const VALUES: usize = 64;

/// The secrets of all instances.
#[derive(Default)]
pub(super) struct Hidden(HashMap<InstanceKey, Kept>);

/// The secrets of one instance.
#[derive(Default)]
struct Kept {
    values: VecDeque<SecretString>,
    mask: Arc<Mask>,
}

impl Hidden {
    /// Redacts the secrets of this launch as well.
    pub(super) fn add(&mut self, key: &InstanceKey, launch: &LaunchSpec) {
        let found: Vec<&str> = secrets(launch).flat_map(values).collect();
        if found.is_empty() {
            return;
        }
        let kept = self.0.entry(key.clone()).or_default();
        let known = |value: &str| kept.values.iter().any(|old| old.expose_secret() == value);
        if found.iter().all(|value| known(value)) {
            return;
        }
        kept.values
            .retain(|old| !found.contains(&old.expose_secret()));
        kept.values
            .extend(found.into_iter().map(SecretString::from));
        let over = kept.values.len().saturating_sub(VALUES);
        kept.values.drain(..over);
        // Plain values come before encoded ones, newest first, because the mask drops what exceeds its limit.
        let newest = || kept.values.iter().rev().map(SecretString::expose_secret);
        let lines = newest().filter(|value| !value.contains('\n'));
        let lines = lines.map(str::to_owned);
        let encoded = newest().flat_map(|value| forms(value).into_iter().skip(1));
        kept.mask = Arc::new(Mask::new(lines.chain(encoded)));
    }

    /// Forgets the secrets of an instance.
    pub(super) fn forget(&mut self, key: &InstanceKey) {
        self.0.remove(key);
    }

    /// Returns the mask that redacts the secrets of this instance.
    pub(super) fn mask(&self, key: &InstanceKey) -> Option<Arc<Mask>> {
        self.0.get(key).map(|kept| Arc::clone(&kept.mask))
    }
}

fn secrets(launch: &LaunchSpec) -> impl Iterator<Item = &str> {
    let args = match &launch.server.launch {
        Launch::Program(program) => program.command.as_ref().map(|command| &command.args[..]),
        Launch::Remote(_) => None,
    };
    let texts = launch.server.env.values().chain(args.into_iter().flatten());
    let texts = texts.filter(|text| text.is_secret());
    let values = launch.credential.values.values();
    texts
        .map(crate::value::Text::expose)
        .chain(values.map(SecretString::expose_secret))
}

/// Returns the strings to look for: each line of the value, because output is stored by line; the whole value, which
/// may be encoded; and its parts.
fn values(secret: &str) -> impl Iterator<Item = &str> {
    let lines = secret.lines().map(str::trim);
    let all = lines.chain([secret.trim()]).chain(parts(secret));
    let mut seen = std::collections::HashSet::new();
    all.filter(move |value| value.len() >= MIN_REDACTED_LEN && seen.insert(*value))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::credential::{Credential, Owner, Revision};
    use crate::id::{ServerId, SlotName};
    use crate::runtime::{LogBook, LogSource, Scope, SpecDigest};
    use crate::server::ServerSpec;
    use crate::value::Text;

    fn launch() -> (InstanceKey, LaunchSpec) {
        let id = ServerId::new("a").unwrap();
        let args = [Text::from("--key"), Text::secret("argument-0001")];
        let mut server = ServerSpec::command(id.clone(), "x", args);
        server.env.insert("A".into(), Text::secret("token-0002"));
        server
            .env
            .insert("B".into(), Text::secret("token-0002-and-more"));
        server.env.insert("C".into(), Text::secret("short"));
        server.env.insert("D".into(), Text::from("not-secret"));
        let mut credential = Credential::none();
        let slot = SlotName::new("PEM").unwrap();
        let pem = SecretString::from("first line\nsecond line\n");
        credential.values.insert(slot, pem);
        let key = InstanceKey::new(
            id,
            Owner::Organization,
            Revision::none(),
            Scope::Shared,
            SpecDigest::from_text("0"),
        );
        let credential = Arc::new(credential);
        let server = Arc::new(server);
        (key, LaunchSpec { server, credential })
    }

    #[test]
    fn secrets_are_hidden_and_other_text_is_unchanged() {
        let (key, launch) = launch();
        let mut hidden = Hidden::default();
        hidden.add(&key, &launch);
        let redact = |hidden: &Hidden, text: &str| match hidden.mask(&key) {
            Some(mask) => mask.redact(None, text).into_owned(),
            None => text.to_owned(),
        };
        for (text, shown) in [
            ("all is well", "all is well"),
            ("a argument-0001, argument-0001!", "a [secret], [secret]!"),
            ("token-0002-and-more token-0002", "[secret] [secret]"),
            ("short not-secret token-", "short not-secret [secret]"),
            ("the second line of it", "the [secret] of it"),
            ("cut: token-0002-and", "cut: [secret]"),
        ] {
            assert_eq!(redact(&hidden, text), shown);
        }
        hidden.forget(&key);
        assert_eq!(redact(&hidden, "token-0002"), "token-0002");
    }

    #[test]
    fn log_book_stores_no_secrets_of_its_instances() {
        let (key, launch) = launch();
        let book = LogBook::default();
        book.hide(&key, &launch);
        book.note(&key, LogSource::Stderr, "token-0002");
        let long = format!("{}argument-0001", "x".repeat((8 << 10) - 8));
        book.note(&key, LogSource::Stderr, &long);
        let tail = book.tail(&key, 9);
        assert_eq!(tail[0], "[secret]");
        assert!(!tail[1].contains("argum"), "{}", tail[1]);
    }

    #[test]
    fn log_book_masks_encoded_and_split_secrets() {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

        let (key, mut launch) = launch();
        let mut credential = Credential::none();
        let slot = SlotName::new("PEM").unwrap();
        let secret = "ORG/SECRET&0123456789";
        credential.values.insert(slot, secret.into());
        launch.credential = Arc::new(credential);
        let book = LogBook::default();
        book.hide(&key, &launch);
        for text in [
            &format!("basic {}", STANDARD.encode(format!("ann:{secret}"))),
            &format!("url {}", URL_SAFE_NO_PAD.encode(format!("xy{secret}z"))),
            "query ORG%2FSECRET%260123456789",
            "html ORG/SECRET&amp;0123456789",
            "json ORG\\/SECRET\\u00260123456789",
            "hex 4f52472f5345435245542630313233343536373839",
            "part ORG/SECRET&01",
            "two ORG/SEC",
            "RET&0123456789",
        ] {
            book.note(&key, LogSource::Stderr, text);
        }
        let tail = book.tail(&key, 20);
        assert_eq!(tail.len(), 9);
        for line in &tail {
            assert!(line.contains("[secret]"), "{line}");
            for part in ["ORG", "SECR", "0123", "5345", "U0VD"] {
                assert!(!line.contains(part), "{line}");
            }
        }
    }

    #[test]
    fn number_of_hidden_values_is_bounded() {
        let (key, mut launch) = launch();
        let mut hidden = Hidden::default();
        for n in 0..200 {
            let mut credential = Credential::none();
            let slot = SlotName::new("PEM").unwrap();
            let value = SecretString::from(format!("generation-{n:04}"));
            credential.values.insert(slot, value);
            launch.credential = Arc::new(credential);
            hidden.add(&key, &launch);
        }
        assert!(hidden.0[&key].values.len() <= VALUES);
        let mask = hidden.mask(&key).unwrap();
        assert_eq!(mask.redact(None, "generation-0199."), "[secret].");
        assert_eq!(mask.redact(None, "token-0002"), "[secret]");
    }
}
