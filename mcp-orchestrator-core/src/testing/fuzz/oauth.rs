//! Documents of OAuth issuers, and tokens.

/// Parses metadata of resources and issuers, registrations, token responses, and challenges.
pub fn oauth_documents(data: &[u8]) {
    crate::credential::oauth_fuzz::documents(data);
}

/// Parses tokens of issuers with their claims and keys, and IDs of setup links.
pub fn tokens(data: &[u8]) {
    #[cfg(feature = "jwt")]
    crate::auth::jwt_fuzz::tokens(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(link) = crate::credential::LinkId::parse(text)
    {
        assert_eq!(link.as_str(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariants_hold_for_hostile_documents_and_tokens() {
        let seeds: [&[u8]; 12] = [
            b"",
            b"{}",
            b"null",
            b"\xff\xfe",
            br#"{"access_token":"a","expires_in":1e400,"scope":[null]}"#,
            br#"{"access_token":"a","expires_in":-1,"refresh_token":1}"#,
            b"access_token=a&expires_in=99999999999999999999",
            br#"{"client_id":"c","client_secret_expires_at":18446744073709551615}"#,
            br#"{"issuer":"i","token_endpoint":"t","scopes_supported":["a\u0000b","\""]}"#,
            br#"{"resource":"https://a.example@b.example/","authorization_servers":"a b"}"#,
            br#"{"sub":"ann","exp":1e400,"nbf":-1,"groups":["i:x","root",1]}"#,
            br#"Bearer resource_metadata="a\"b", scope="x"#,
        ];
        for seed in seeds {
            oauth_documents(seed);
            tokens(seed);
            // Truncated, and with one byte changed, at each position.
            for at in 0..seed.len() {
                let mut changed = seed.to_vec();
                changed[at] ^= 0x15;
                oauth_documents(&changed);
                tokens(&changed);
                oauth_documents(&seed[..at]);
                tokens(&seed[..at]);
            }
        }
    }
}
