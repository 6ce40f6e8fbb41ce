//! Resource requests and limits: the server's values, completed by defaults that are adjusted so that no request
//! exceeds its limit.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::server::Resources;

const REQUESTS: [(&str, &str); 3] = [
    ("cpu", "50m"),
    ("memory", "128Mi"),
    ("ephemeral-storage", "256Mi"),
];
/// No CPU limit, because it would throttle a container even on an idle node.
const LIMITS: [(&str, &str); 2] = [("memory", "512Mi"), ("ephemeral-storage", "1Gi")];

/// Renders the `resources` of the container.
pub(super) fn resources(wanted: &Resources) -> Value {
    let given = |of: &BTreeMap<String, String>| of.clone();
    let (mut requests, mut limits) = (given(&wanted.requests), given(&wanted.limits));
    for (name, default) in LIMITS {
        let request = requests.get(name).filter(|request| more(request, default));
        let limit = request.map_or(default, String::as_str).to_owned();
        limits.entry(name.to_owned()).or_insert(limit);
    }
    for (name, default) in REQUESTS {
        let limit = limits.get(name).filter(|limit| more(default, limit));
        let request = limit.map_or(default, String::as_str).to_owned();
        requests.entry(name.to_owned()).or_insert(request);
    }
    json!({ "requests": requests, "limits": limits })
}

/// Returns `true` if `one` is the larger quantity; `false` if either cannot be parsed, which the API server reports.
fn more(one: &str, other: &str) -> bool {
    matches!((quantity(one), quantity(other)), (Some(one), Some(other)) if one > other)
}

/// Parses a Kubernetes quantity.
fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let found = SUFFIXES
        .iter()
        .find_map(|(suffix, by)| Some((text.strip_suffix(suffix)?, *by)));
    let (number, by) = found.unwrap_or((text, 1.0));
    Some(number.parse::<f64>().ok()? * by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Value {
        let map = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(n, q)| ((*n).to_owned(), (*q).to_owned()));
            owned.collect()
        };
        resources(&Resources {
            requests: map(requests),
            limits: map(limits),
        })
    }

    #[test]
    fn requested_resources_override_defaults() {
        let plain = of(&[], &[]);
        assert_eq!(plain["requests"]["cpu"], "50m");
        assert_eq!(plain["limits"]["memory"], "512Mi");
        assert_eq!(plain["limits"].get("cpu"), None);
        let large = of(&[("memory", "2Gi")], &[]);
        assert_eq!(large["limits"]["memory"], "2Gi");
        let small = of(&[], &[("memory", "64Mi"), ("cpu", "0.02")]);
        assert_eq!(small["requests"]["memory"], "64Mi");
        assert_eq!(small["requests"]["cpu"], "0.02");
        assert_eq!(of(&[("memory", "1e3")], &[])["limits"]["memory"], "512Mi");
    }
}
