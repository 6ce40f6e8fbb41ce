//! Checks for Kubernetes quantities, labels and object names. Messages never contain the value.

/// The units of a quantity.
const UNITS: [&str; 16] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
];

/// Checks a resource quantity: `250m`, `1.5`, `128Mi`, `1e3`.
pub(crate) fn quantity(text: &str) -> Result<(), String> {
    let wrong = || "not a valid quantity; expected e.g. 250m, 1.5 or 128Mi".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.parse::<f64>().is_err() {
        return Err(wrong());
    }
    let exponent = unit
        .strip_prefix(['e', 'E'])
        .is_some_and(|exponent| exponent.parse::<i8>().is_ok());
    if UNITS.contains(&unit) || exponent {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// Checks a DNS label, such as the name of a namespace or volume.
pub(crate) fn label_name(text: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = !text.is_empty() && text.len() <= 63 && text.bytes().all(inner);
    if !fits || text.starts_with('-') || text.ends_with('-') {
        return Err("must be 1 to 63 lower-case letters, digits and '-'".to_owned());
    }
    Ok(())
}

/// Checks an object name, which is a DNS subdomain.
pub(crate) fn object_name(text: &str) -> Result<(), String> {
    let fits = text.len() <= 253 && text.split('.').all(|label| label_name(label).is_ok());
    fits.then_some(()).ok_or_else(|| {
        "not a valid object name; use lower-case letters, digits, '-' and '.'".to_owned()
    })
}

/// Checks a key in the data of a Secret.
pub(crate) fn data_key(text: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = !text.is_empty() && text.len() <= 253 && text.bytes().all(inner);
    fits.then_some(()).ok_or_else(|| {
        "not a valid key of a Secret; use letters, digits, '-', '_' and '.'".to_owned()
    })
}

/// Checks a label key: `name` or `domain/name`.
pub(crate) fn label_key(text: &str) -> Result<(), String> {
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, text),
    };
    if domain.is_none_or(|domain| object_name(domain).is_ok()) && is_label_word(name) {
        return Ok(());
    }
    Err("not a valid label key; expected e.g. disktype or example.com/disktype".to_owned())
}

/// Checks a label value.
pub(crate) fn label_value(text: &str) -> Result<(), String> {
    if text.is_empty() || is_label_word(text) {
        return Ok(());
    }
    Err("not a valid label value; use up to 63 letters, digits, '-', '_' and '.'".to_owned())
}

fn is_label_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(inner)
        && edge(text.bytes().next())
        && edge(text.bytes().last())
}

/// Checks the path of a directory in a container.
pub(crate) fn mount_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') || text.contains(':') || text.contains("/../") {
        return Err("must be an absolute path in the container, without ':'".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_validated() {
        for good in ["250m", "1.5", "128Mi", "1e3", "2", "0.5Gi", "1E"] {
            assert!(quantity(good).is_ok(), "{good}");
        }
        for wrong in ["", "Mi", "1MiB", "1 Gi", "-1", "1.2.3", "1mb", "."] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_labels_are_validated() {
        assert!(object_name("a.b-c.d1").is_ok() && object_name("A").is_err());
        assert!(object_name("").is_err() && object_name("a..b").is_err());
        assert!(label_key("example.com/x_y").is_ok() && label_key("/x").is_err());
        assert!(label_value("").is_ok() && label_value("a b").is_err());
        assert!(label_name("team-a").is_ok() && label_name("-a").is_err());
        assert!(mount_path("/data").is_ok() && mount_path("data").is_err());
    }
}
