//! What must not stand in an instance's kept output: the values of its own secrets.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use memchr::memmem;
use secrecy::{ExposeSecret as _, SecretString};

use super::{InstanceKey, LaunchSpec};
use crate::server::Launch;

/// What stands in a secret's place.
const MARK: &str = "[secret]";
/// Shorter values stand in too many words.
const SHORTEST: usize = 6;
/// Values of one instance; with each newer credential the oldest go.
const VALUES: usize = 64;

/// The secrets of all instances.
#[derive(Default)]
pub(super) struct Hidden(HashMap<InstanceKey, VecDeque<SecretString>>);

impl Hidden {
    /// From now on these are hidden too.
    pub(super) fn add(&mut self, key: &InstanceKey, launch: &LaunchSpec) {
        let found: Vec<SecretString> = secrets(launch).flat_map(lines).collect();
        if found.is_empty() {
            return;
        }
        let kept = self.0.entry(key.clone()).or_default();
        kept.retain(|old| {
            !found
                .iter()
                .any(|new| old.expose_secret() == new.expose_secret())
        });
        kept.extend(found);
        let over = kept.len().saturating_sub(VALUES);
        kept.drain(..over);
    }

    /// The instance is gone.
    pub(super) fn forget(&mut self, key: &InstanceKey) {
        self.0.remove(key);
    }

    /// The text without secrets, nor the beginning of one where the text may be cut.
    pub(super) fn redact<'a>(&self, key: &InstanceKey, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        let known = self.0.get(key).into_iter().flatten();
        let mut known: Vec<&str> = known.map(SecretString::expose_secret).collect();
        // A value that holds another one goes first.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in known {
            if memmem::find(text.as_bytes(), secret.as_bytes()).is_some() {
                text = Cow::Owned(text.replace(secret, MARK));
            }
            if let Some(part) = begun(&text, secret) {
                let end = text.len() - part;
                text = Cow::Owned(format!("{}{MARK}", &text[..end]));
            }
        }
        text
    }
}

/// How many bytes of a secret the text ends with, where they are too many.
fn begun(text: &str, secret: &str) -> Option<usize> {
    let longest = secret.len().min(text.len());
    let mut parts = (SHORTEST..=longest).rev();
    parts.find(|part| secret.is_char_boundary(*part) && text.ends_with(&secret[..*part]))
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

/// Output is kept by lines.
fn lines(secret: &str) -> impl Iterator<Item = SecretString> {
    let lines = secret.lines().map(str::trim);
    lines
        .filter(|line| line.len() >= SHORTEST)
        .map(SecretString::from)
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
    fn secrets_are_hidden_and_all_else_stays() {
        let (key, launch) = launch();
        let mut hidden = Hidden::default();
        hidden.add(&key, &launch);
        for (text, shown) in [
            ("all is well", "all is well"),
            ("a argument-0001, argument-0001!", "a [secret], [secret]!"),
            ("token-0002-and-more token-0002", "[secret] [secret]"),
            ("short not-secret token-", "short not-secret [secret]"),
            ("the second line of it", "the [secret] of it"),
            ("cut: token-0002-and", "cut: [secret]"),
        ] {
            assert_eq!(hidden.redact(&key, text), shown);
        }
        hidden.forget(&key);
        assert_eq!(hidden.redact(&key, "token-0002"), "token-0002");
    }

    #[test]
    fn a_book_keeps_no_secret_of_its_instances() {
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
    fn values_of_many_credentials_are_bounded() {
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
        assert!(hidden.0[&key].len() <= VALUES);
        assert_eq!(hidden.redact(&key, "generation-0199."), "[secret].");
        assert_eq!(hidden.redact(&key, "token-0002"), "[secret]");
    }
}
