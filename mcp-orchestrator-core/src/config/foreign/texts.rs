//! The texts of an entry in which variables are expanded.

use std::time::Duration;

use crate::config::schema::oauth::OAuthChoice;
use crate::config::schema::server::ServerEntry;
use crate::config::schema::units::Span;
use crate::config::schema::value::{TextOr, Typed};

/// The position of a text in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum TextLocation<'n> {
    /// A key with one text, or an element of it.
    Key(&'static str),
    /// A variable of `env`.
    Env(&'n str),
    /// A header.
    Header(&'n str),
    /// The client secret of an OAuth client.
    ClientSecret,
}

/// Calls `change` for each text of the entry in which variables are expanded.
pub(in crate::config) fn for_each_text(
    entry: &mut ServerEntry,
    change: &mut dyn FnMut(TextLocation<'_>, &mut Typed),
) {
    match &mut entry.command {
        Some(TextOr::Text(program)) => change(TextLocation::Key("command"), program),
        Some(TextOr::Other(list)) => {
            for (index, text) in list.iter_mut().enumerate() {
                let key = if index == 0 { "command" } else { "args" };
                change(TextLocation::Key(key), text);
            }
        }
        None => {}
    }
    for text in entry.args.iter_mut().flatten() {
        change(TextLocation::Key("args"), text);
    }
    for (key, text) in [
        ("image", &mut entry.image),
        ("url", &mut entry.url),
        ("path", &mut entry.path),
        ("cwd", &mut entry.cwd),
        ("env_file", &mut entry.env_file),
    ] {
        if let Some(text) = text {
            change(TextLocation::Key(key), text);
        }
    }
    for slot in entry.credentials.iter_mut().flatten() {
        if let Some(file) = &mut slot.from_file {
            change(TextLocation::Key("credentials"), file);
        }
    }
    if let Some(OAuthChoice::Entry(oauth)) = &mut entry.oauth {
        let texts = [
            &mut oauth.client_id,
            &mut oauth.issuer,
            &mut oauth.metadata_url,
            &mut oauth.authorization_endpoint,
            &mut oauth.token_endpoint,
            &mut oauth.registration_endpoint,
        ];
        let scopes = oauth.scopes.iter_mut().flatten();
        for text in texts.into_iter().flatten().chain(scopes) {
            change(TextLocation::Key("oauth"), text);
        }
        if let Some(secret) = &mut oauth.client_secret {
            change(TextLocation::ClientSecret, secret);
        }
    }
    for (name, value) in entry.env.iter_mut().flatten() {
        change(TextLocation::Env(name), value);
    }
    for (name, value) in entry.headers.iter_mut().flatten() {
        change(TextLocation::Header(name), value);
    }
}

/// Replaces a leading `~` by the home directory.
pub(super) fn home(text: &mut Typed) {
    if text.0 == "~" || text.0.starts_with("~/") {
        text.0.replace_range(..1, "${userHome}");
    }
}

/// Converts seconds to a duration, or returns `None` if it is shorter than a millisecond or longer than a week.
pub(super) fn span(seconds: f64) -> Option<Span> {
    let most = f64::from(7 * 24 * 3600);
    let fits = seconds >= 0.001 && seconds <= most;
    let span = fits.then(|| Duration::from_secs_f64(seconds))?;
    let whole = u64::try_from(span.as_millis()).ok()?;
    Some(Span(Duration::from_millis(whole)))
}
