//! Suggests the known name that was probably meant.

/// Returns the known name closest to the typed one, if it is close enough.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(typed);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &fold(name)), name))
        .filter(|(distance, name)| *distance <= 1.max(name.len().min(typed.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns `; did you mean "…"?`, otherwise a list of the known names, otherwise nothing.
pub(crate) fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(typed, known.clone()) {
        return format!("; did you mean {name:?}?");
    }
    let mut names: Vec<&str> = known.into_iter().collect();
    names.sort_unstable();
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > 30 { ", …" } else { "" };
    names.truncate(30);
    format!("; known names are {}{more}", names.join(", "))
}

/// Folds `tool-names`, `toolNames` and `tool_names` to the same text of limited length.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_suggested() {
        let known = ["command", "credentials", "idle_timeout", "url", "env"];
        for (typed, meant) in [
            ("comand", Some("command")),
            ("idleTimeout", Some("idle_timeout")),
            ("credential", Some("credentials")),
            ("evn", Some("env")),
            ("uri", Some("url")),
            ("zzzzzz", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert!(hint("zzzzzz", known).contains("known names are command, credentials"));
    }
}
