//! Public keys of an issuer (RFC 7517), and signature verification with them.
//!
//! Signatures are verified by `ring`, which TLS already depends on. The key decides what it may verify: an algorithm
//! from the token's header is used only if the key's type, and its `alg` if present, allow it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use crate::auth::Algorithm;
use crate::limits::MAX_ISSUER_KEYS;

/// An issuer's keys as fetched at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet(Vec<Key>);

/// One signature key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    material: KeyMaterial,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyMaterial {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key as serialized (RFC 7517). Unknown members are ignored.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Parses a key set. Keys of other types and for other uses are skipped.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let set: Jwks = serde_json::from_slice(bytes)
            .map_err(|_| "the response is not a key set (RFC 7517)".to_owned())?;
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .take(MAX_ISSUER_KEYS)
            .filter_map(|value| serde_json::from_value(value).ok())
            .filter_map(Key::read)
            .collect();
        if keys.is_empty() {
            return Err("the key set contains no supported signature key".to_owned());
        }
        Ok(Self(keys))
    }

    /// Returns `true` if the set has a key with this ID that allows `algorithm`; any such key matches if `id` is
    /// `None`.
    pub(super) fn has(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.matching(id, algorithm).next().is_some()
    }

    /// Returns `true` if no key of `earlier` has been removed.
    pub(super) fn has_all_of(&self, earlier: &Self) -> bool {
        earlier.0.iter().all(|key| self.0.contains(key))
    }

    /// Returns `true` if one of the matching keys made this signature.
    pub(super) fn verifies(&self, signed: &Signed<'_>) -> bool {
        self.matching(signed.key, signed.algorithm)
            .any(|key| key.verifies(signed))
    }

    fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            let named = id.is_none_or(|id| key.id.as_deref().is_none_or(|known| known == id));
            named && key.allows(algorithm)
        })
    }
}

/// A signed message, with the algorithm and key ID from its header.
pub(super) struct Signed<'t> {
    pub(super) key: Option<&'t str>,
    pub(super) algorithm: Algorithm,
    pub(super) message: &'t [u8],
    pub(super) signature: &'t [u8],
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        if jwk.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        if jwk
            .key_ops
            .is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let point = |size: usize| {
            let (x, y) = (bytes(jwk.x.clone())?, bytes(jwk.y.clone())?);
            // Uncompressed point: the byte 4, then both coordinates at full length.
            (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => KeyMaterial::Rsa {
                n: bytes(jwk.n)?,
                e: bytes(jwk.e)?,
            },
            ("EC", Some("P-256")) => KeyMaterial::P256(point(32)?),
            ("EC", Some("P-384")) => KeyMaterial::P384(point(48)?),
            ("OKP", Some("Ed25519")) => KeyMaterial::Ed25519(bytes(jwk.x)?),
            _ => return None,
        };
        let algorithm = match jwk.alg {
            // An unknown algorithm makes the key unusable.
            Some(name) => Some(Algorithm::named(&name)?),
            None => None,
        };
        Some(Self {
            id: jwk.kid,
            algorithm,
            material,
        })
    }

    fn allows(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let kind = match self.material {
            KeyMaterial::Rsa { .. } => matches!(
                algorithm,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ),
            KeyMaterial::P256(_) => algorithm == A::Es256,
            KeyMaterial::P384(_) => algorithm == A::Es384,
            KeyMaterial::Ed25519(_) => algorithm == A::EdDsa,
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn verifies(&self, signed: &Signed<'_>) -> bool {
        if !self.allows(signed.algorithm) {
            return false;
        }
        let (message, signature) = (signed.message, signed.signature);
        let verified = match &self.material {
            KeyMaterial::Rsa { n, e } => match rsa(signed.algorithm) {
                Some(parameters) => {
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
                }
                None => return false,
            },
            KeyMaterial::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
            }
            KeyMaterial::P384(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
            }
            KeyMaterial::Ed25519(key) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

/// Returns the verification parameters, which reject keys shorter than 2048 bits.
fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Public keys, and signatures over [`MESSAGE`] made with them by an independent implementation.
    const VECTORS: &str = include_str!("vectors.json");
    const MESSAGE: &[u8] = b"what is signed";

    /// Returns the algorithm, key ID and signature of each vector.
    fn signatures() -> Vec<(Algorithm, String, Vec<u8>)> {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let read = |one: &Value| {
            let algorithm = Algorithm::named(one["alg"].as_str().unwrap()).unwrap();
            let signature = one["signature"].as_str().unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            (
                algorithm,
                one["kid"].as_str().unwrap().to_owned(),
                signature,
            )
        };
        vectors["signatures"]
            .as_array()
            .unwrap()
            .iter()
            .map(read)
            .collect()
    }

    fn verifies(algorithm: Algorithm, key: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let keys = KeySet::parse(VECTORS.as_bytes()).unwrap();
        keys.verifies(&Signed {
            key,
            algorithm,
            message,
            signature,
        })
    }

    #[test]
    fn every_algorithm_verifies_reference_signatures_and_nothing_else() {
        let mut seen = Vec::new();
        for (algorithm, key, signature) in signatures() {
            if key == "short" {
                // This key has only 1024 bits.
                assert!(!verifies(algorithm, Some(&key), MESSAGE, &signature));
                continue;
            }
            seen.push(algorithm);
            assert!(
                verifies(algorithm, Some(&key), MESSAGE, &signature),
                "{algorithm}"
            );
            assert!(
                verifies(algorithm, None, MESSAGE, &signature),
                "{algorithm}"
            );
            assert!(
                !verifies(algorithm, Some(&key), b"another", &signature),
                "{algorithm}"
            );
            assert!(
                !verifies(algorithm, Some(&key), MESSAGE, b""),
                "{algorithm}"
            );
            for other in Algorithm::ALL
                .into_iter()
                .filter(|other| *other != algorithm)
            {
                let taken = verifies(other, Some(&key), MESSAGE, &signature);
                assert!(!taken, "{algorithm} as {other}");
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, Algorithm::ALL);
    }

    #[test]
    fn keys_for_other_uses_are_skipped() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for (member, value, taken) in [
            ("use", "enc", false),
            ("alg", "HS256", false),
            ("alg", "RSA-OAEP", false),
            ("alg", "PS256", false),
            ("alg", "RS256", true),
            ("use", "sig", true),
        ] {
            let mut key = vectors["keys"][0].clone();
            key[member] = value.into();
            let other = vectors["keys"][1].clone();
            let set = serde_json::json!({"keys": [key, {"kty": "oct", "k": "AA"}, 3, other]});
            let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
            assert_eq!(
                set.has(Some("rsa"), Algorithm::Rs256),
                taken,
                "{member} {value}"
            );
        }
        for none in [
            r#"{"keys": []}"#,
            "{}",
            "x",
            r#"{"keys": [{"kty": "oct", "k": "AA"}]}"#,
        ] {
            assert!(KeySet::parse(none.as_bytes()).is_err(), "{none}");
        }
    }
}
