//! Fuzzing entry points for tokens.

use super::claims;
use super::keys::{KeySet, Signed};
use super::options::{Audience, JwtOptions};
use super::token::Token;
use crate::auth::{Algorithm, TeamNames};

/// A set with one key. Its private half is not used anywhere, so no signature by it exists.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Parses the bytes as a token, as claims, and as a key set.
///
/// # Panics
/// If a signature verifies although none was made, or a principal is in a team outside its issuer's.
pub(crate) fn tokens(data: &[u8]) {
    let keys = KeySet::parse(KEYS.as_bytes()).expect("a key set");
    // An issuer's key set is untrusted input, too.
    let _ = KeySet::parse(data);
    let mut options = JwtOptions::new("https://i.example", Audience::OneOf(vec!["x".to_owned()]));
    options.prefix = "i:".to_owned();
    options.teams_claim = Some("groups".to_owned());
    options.teams = TeamNames::Own(vec!["ops".to_owned()]);
    let judge = |found: &claims::Claims| {
        let _ = claims::end(found, 1_000);
        let _ = claims::scopes(found, &["read".to_owned()]);
        claims::audience(found);
        if let Ok(principal) = claims::principal(found, &options) {
            assert!(principal.id.as_str().starts_with("i:"));
            let own = |team: &str| team == "ops" || team.starts_with("i:");
            assert!(principal.teams.iter().all(|team| own(team.as_str())));
        }
    };
    if let Some(found) = super::token::claims(data) {
        judge(&found);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(token) = Token::parse(text) else {
        return;
    };
    judge(&token.claims);
    let Ok(signature) = token.signature(&Algorithm::ALL) else {
        return;
    };
    let signed = Signed {
        key: signature.key.as_deref(),
        algorithm: signature.algorithm,
        message: token.message.as_bytes(),
        signature: &signature.bytes,
    };
    assert!(!keys.verifies(&signed), "nobody has signed this");
}
