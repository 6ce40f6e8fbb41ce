//! The state key, which makes issued tokens unforgeable and derived names opaque.
//!
//! It seals what travels through clients (task IDs, cursors, request state) and keys every hash of a secret, so that
//! no plain hash of a secret appears in a key, a name or an annotation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// 32 secret bytes of one orchestrator, created at its first start and stored with its state.
pub struct StateKey(SecretBox<[u8; 32]>);

/// A keyed hash of several parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

const NONCE: usize = 24;

impl StateKey {
    /// Creates a key from these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// Generates a random key.
    ///
    /// # Panics
    /// If the system has no source of randomness.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system has a source of randomness");
        Self::new(bytes)
    }

    /// Exposes the bytes for storing them.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// Returns a keyed hash of these parts. Different labels yield unrelated hashes.
    pub fn digest<'a>(&self, label: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        let mut mac = self.mac(label);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }

    /// Seals bytes for a round trip through a client. They open only with the same label and context.
    ///
    /// # Panics
    /// If the system has no source of randomness.
    pub fn seal(&self, label: &str, context: &[u8], plain: &[u8]) -> String {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the system has a source of randomness");
        self.seal_with(nonce, label, context, plain)
    }

    /// Seals bytes deterministically: the same text, label and context always yield the same result, which clients
    /// can compare. This reveals whether two texts are equal, and nothing else.
    pub fn seal_same(&self, label: &str, context: &[u8], plain: &[u8]) -> String {
        let digest = self.digest("nonce", [label.as_bytes(), context, plain]);
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&digest.0[..NONCE]);
        self.seal_with(nonce, label, context, plain)
    }

    /// Same as [`seal`](Self::seal), but returns the sealed bytes without encoding them as text.
    ///
    /// # Panics
    /// If the system has no source of randomness.
    pub fn seal_bytes(&self, label: &str, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the system has a source of randomness");
        self.sealed(nonce, label, context, plain)
    }

    /// Opens the result of [`seal_bytes`](Self::seal_bytes). Returns `None` for anything else.
    pub fn open_bytes(
        &self,
        label: &str,
        context: &[u8],
        sealed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload {
            msg: text,
            aad: context,
        };
        let plain = self.cipher(label).decrypt(&XNonce::from(nonce), payload);
        plain.ok().map(Zeroizing::new)
    }

    fn seal_with(&self, nonce: [u8; NONCE], label: &str, context: &[u8], plain: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.sealed(nonce, label, context, plain))
    }

    fn sealed(&self, nonce: [u8; NONCE], label: &str, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: plain,
            aad: context,
        };
        let sealed = self.cipher(label).encrypt(&XNonce::from(nonce), payload);
        let mut out = nonce.to_vec();
        out.extend_from_slice(&sealed.expect("a short text can be sealed"));
        out
    }

    /// Opens the result of [`seal`](Self::seal) or [`seal_same`](Self::seal_same). Returns `None` for anything else.
    pub fn open(&self, label: &str, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let mut plain = self.open_bytes(label, context, &bytes)?;
        Some(std::mem::take(&mut *plain))
    }

    fn mac(&self, label: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.expose()).expect("HMAC takes a key of any length");
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac
    }

    fn cipher(&self, label: &str) -> XChaCha20Poly1305 {
        let key: [u8; 32] = self.mac(label).finalize().into_bytes().into();
        XChaCha20Poly1305::new(&key.into())
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(..)")
    }
}

impl Digest {
    /// Returns the first `bytes` bytes (at most 32) in lower-case hex.
    pub fn hex(&self, bytes: usize) -> String {
        hex(&self.0[..bytes.min(32)])
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex(8))
    }
}

/// Encodes bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Returns `bytes` random bytes as text that is valid in a URL or a header.
///
/// # Panics
/// If the system has no source of randomness.
pub fn random_text(bytes: usize) -> String {
    let mut out = vec![0; bytes];
    getrandom::fill(&mut out).expect("the system has a source of randomness");
    URL_SAFE_NO_PAD.encode(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_only_with_the_same_key_and_context() {
        let key = StateKey::random();
        let sealed = key.seal("task", b"ann", b"secret text");
        assert!(!sealed.contains("secret"));
        assert_eq!(
            key.open("task", b"ann", &sealed).as_deref(),
            Some(&b"secret text"[..])
        );
        assert_eq!(key.open("task", b"bob", &sealed), None);
        assert_eq!(key.open("cursor", b"ann", &sealed), None);
        assert_eq!(StateKey::random().open("task", b"ann", &sealed), None);
        assert_eq!(key.open("task", b"ann", "x"), None);
        let same = key.seal_same("task", b"ann", b"secret text");
        assert_eq!(same, key.seal_same("task", b"ann", b"secret text"));
        assert_ne!(same, key.seal_same("task", b"bob", b"secret text"));
        assert_eq!(
            key.open("task", b"ann", &same).as_deref(),
            Some(&b"secret text"[..])
        );
    }

    #[test]
    fn digest_separates_its_parts() {
        let key = StateKey::new([7; 32]);
        let one = key.digest("x", [&b"ab"[..], b"c"]);
        assert_ne!(one, key.digest("x", [&b"a"[..], b"bc"]));
        assert_ne!(one, key.digest("y", [&b"ab"[..], b"c"]));
        assert_ne!(one, StateKey::new([8; 32]).digest("x", [&b"ab"[..], b"c"]));
        assert_eq!(one.hex(2).len(), 4);
    }
}
