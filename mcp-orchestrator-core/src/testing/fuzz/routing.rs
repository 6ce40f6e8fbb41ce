//! URI templates: matching agrees with a reference matcher and takes linear time.

use crate::limits::MAX_URI_LEN;
use crate::router::uri_matches;

/// Maximum length of URIs and templates that are compared with the reference matcher.
const COMPARED: usize = 64;

/// Matches a template against a URI; the input is both, separated by the first line feed.
///
/// # Panics
/// If the result differs from that of the reference matcher.
pub fn uri_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((template, uri)) = text.split_once('\n') else {
        return;
    };
    if uri.len() > MAX_URI_LEN {
        return;
    }
    let found = uri_matches(template, uri);
    if template.len() > COMPARED || uri.len() > COMPARED {
        return;
    }
    let Some(found) = found else {
        return;
    };
    assert_eq!(
        found,
        reference(template, uri),
        "template {template:?}, URI {uri:?}"
    );
}

/// A part of a template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Segment,
    Any,
}

/// The reference matcher: tracks the set of reachable positions in the URI, piece by piece.
fn reference(template: &str, uri: &str) -> bool {
    let Some(pieces) = pieces(template) else {
        return false;
    };
    let uri: Vec<char> = uri.chars().collect();
    let mut reached = vec![false; uri.len() + 1];
    reached[0] = true;
    for piece in pieces {
        let mut next = vec![false; uri.len() + 1];
        for (start, is_reached) in reached.iter().enumerate() {
            if !is_reached {
                continue;
            }
            match piece {
                Piece::Literal(wanted) if uri.get(start) == Some(&wanted) => next[start + 1] = true,
                Piece::Literal(_) => {}
                Piece::Any => next[start..].fill(true),
                Piece::Segment => {
                    let length = uri[start..].iter().take_while(|one| **one != '/').count();
                    next[start + 1..=start + length].fill(true);
                }
            }
        }
        reached = next;
    }
    reached[uri.len()]
}

fn pieces(template: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template.chars();
    while let Some(one) = rest.next() {
        if one != '{' {
            pieces.push(Piece::Literal(one));
            continue;
        }
        let expression: String = rest.by_ref().take_while(|one| *one != '}').collect();
        // Without a closing brace, the expression extends to the end of the template.
        if rest.as_str().is_empty() && !template.ends_with('}') {
            return None;
        }
        let open = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']);
        pieces.push(if open || expression.ends_with('*') {
            Piece::Any
        } else {
            Piece::Segment
        });
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares all short templates with short URIs over the relevant characters.
    #[test]
    fn matching_agrees_with_the_reference() {
        const PARTS: [&str; 6] = ["a", "b", "/", "{x}", "{+y}", "a/"];
        const CHARACTERS: [char; 3] = ['a', 'b', '/'];
        let mut uris = vec![String::new()];
        for length in 0..6 {
            let longer: Vec<String> = uris
                .iter()
                .filter(|uri| uri.len() == length)
                .flat_map(|uri| CHARACTERS.map(|one| format!("{uri}{one}")))
                .collect();
            uris.extend(longer);
        }
        let mut templates = vec![(0, String::new())];
        for length in 0..5 {
            let longer: Vec<_> = templates
                .iter()
                .filter(|(parts, _)| *parts == length)
                .flat_map(|(_, text)| PARTS.map(|part| (length + 1, format!("{text}{part}"))))
                .collect();
            templates.extend(longer);
        }
        for (_, template) in &templates {
            // Each template is compared with a sample of the URIs; all pairs would take minutes.
            let skip = template.len() % 7;
            for uri in uris.iter().skip(skip).step_by(7) {
                uri_template(format!("{template}\n{uri}").as_bytes());
            }
        }
    }

    #[test]
    fn any_input_is_accepted() {
        let long = format!("{}\n{}", "{+a}".repeat(1000), "a".repeat(MAX_URI_LEN));
        for data in [
            b"".as_slice(),
            b"\n",
            b"{\n{",
            b"\xff",
            b"{a\xc3\xa9}\n\xc3\xa9",
            long.as_bytes(),
        ] {
            uri_template(data);
        }
    }
}
