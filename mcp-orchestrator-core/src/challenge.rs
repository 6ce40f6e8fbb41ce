//! Parses the `Bearer` challenge in a server's `WWW-Authenticate` header.

/// The relevant parts of a challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// URL of the server's metadata (RFC 9728).
    pub(crate) resource_metadata: Option<String>,
    /// The scopes that a token needs.
    pub(crate) scopes: Vec<String>,
    /// The error code, such as `invalid_token` or `insufficient_scope`.
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// Returns the first `Bearer` challenge in these header values, if there is one.
    pub(crate) fn parse<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        values.into_iter().find_map(bearer)
    }

    /// Returns `true` if the token is valid but lacks scopes.
    pub(crate) fn is_insufficient_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

fn bearer(value: &str) -> Option<Challenge> {
    let mut rest = value.trim_start();
    let mut found: Option<Challenge> = None;
    while !rest.is_empty() {
        let (token, after) = token(rest);
        if token.is_empty() {
            // A comma, or a character that is not part of any challenge.
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str().trim_start();
            continue;
        }
        let spaced = after.trim_start();
        match spaced.strip_prefix('=') {
            Some(value) => {
                let (value, after) = parameter(value.trim_start());
                if let Some(challenge) = &mut found {
                    challenge.take(token, value);
                }
                rest = after.trim_start();
            }
            // The next authentication scheme begins.
            None if found.is_some() => return found,
            None => {
                found = token
                    .eq_ignore_ascii_case("bearer")
                    .then(Challenge::default);
                rest = spaced;
            }
        }
    }
    found
}

impl Challenge {
    fn take(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => self.resource_metadata = Some(value),
            "scope" => self.scopes = value.split_ascii_whitespace().map(Into::into).collect(),
            "error" => self.error = Some(value),
            _ => {}
        }
    }
}

/// Splits off the leading token (RFC 9110).
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// Splits off a parameter value, quoted or not.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(values: &[&str]) -> Option<(Option<String>, String, Option<String>)> {
        let challenge = Challenge::parse(values.iter().copied())?;
        let scopes = challenge.scopes.join(" ");
        Some((challenge.resource_metadata, scopes, challenge.error))
    }

    #[test]
    fn bearer_challenge_is_found_among_others_and_parsed() {
        let full = r#"Bearer error="insufficient_scope", scope="a b",resource_metadata="https://x.example/y?z=1, 2""#;
        let place = Some("https://x.example/y?z=1, 2".to_owned());
        let insufficient = Some("insufficient_scope".to_owned());
        assert_eq!(
            parsed(&[full]),
            Some((place, "a b".to_owned(), insufficient))
        );
        let plain = Some((None, String::new(), None));
        assert_eq!(parsed(&["Bearer"]), plain);
        assert_eq!(parsed(&["Basic realm=\"x\"", "bearer"]), plain);
        let several = r#"Basic realm="a \"b\", Bearer", DPoP algs="ES256", Bearer scope=one, Digest scope="two""#;
        assert_eq!(parsed(&[several]), Some((None, "one".to_owned(), None)));
        assert_eq!(parsed(&["Basic realm=\"x\"", "", ",,;\u{fc}"]), None);
        assert_eq!(parsed(&["Bearer scope=\"open"]).unwrap().1, "open");
        assert_eq!(parsed(&[]), None);
    }
}
