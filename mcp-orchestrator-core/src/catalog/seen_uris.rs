//! The URIs that results carried to principals, within limits.
//!
//! The URIs from a server's results displace only URIs from the same server's earlier results, so that no server can
//! make the gateway forget which server another URI belongs to.

use std::collections::{HashMap, VecDeque};

use crate::auth::Principal;
use crate::id::{PrincipalId, ServerId};
use crate::limits::{MAX_CARRIED_BYTES, MAX_CARRIED_TOTAL, MAX_CARRIED_URIS, MAX_URI_LEN};

/// Overhead in bytes of a remembered URI, in addition to its text, which is stored twice.
const OVERHEAD: usize = 64;

/// Addresses of skills, whose files belong to the server of the skill.
const SKILL_SCHEME: &str = "skill://";

#[derive(Debug, Default)]
pub(super) struct Carried {
    principals: HashMap<PrincipalId, HashMap<ServerId, Uris>>,
    /// Least recently served first.
    order: VecDeque<PrincipalId>,
    bytes: usize,
    /// The number of the next URI.
    next: usize,
}

#[derive(Debug, Default)]
struct Uris {
    numbers: HashMap<String, usize>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Carried {
    pub(super) fn add(&mut self, server: &ServerId, principal: &Principal, uris: Vec<String>) {
        self.touch(&principal.id);
        let servers = self.principals.entry(principal.id.clone()).or_default();
        let known = servers.entry(server.clone()).or_default();
        let before = known.bytes;
        for uri in uris {
            if uri.len() <= MAX_URI_LEN && !known.numbers.contains_key(&uri) {
                known.add(uri, self.next);
                self.next += 1;
            }
        }
        self.bytes = self.bytes - before + known.bytes;
        while self.bytes > MAX_CARRIED_TOTAL
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.principals.remove(&oldest).unwrap_or_default();
            let gone: usize = gone.values().map(|uris| uris.bytes).sum();
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }

    /// Returns the number of the URI if a result of the server carried it to the principal. The first URI has the
    /// smallest number.
    pub(super) fn number(
        &self,
        server: &ServerId,
        principal: &Principal,
        uri: &str,
    ) -> Option<usize> {
        let uris = self.principals.get(&principal.id)?.get(server)?;
        // A file that a result named belongs to the server that had its skill first.
        let direct = uris.numbers.get(uri).into_iter();
        direct.chain(uris.of_skill(uri)).min().copied()
    }

    /// Marks the principal as the most recently served.
    fn touch(&mut self, principal: &PrincipalId) {
        if self.order.back() == Some(principal) {
            return;
        }
        if self.principals.contains_key(principal) {
            self.order.retain(|known| known != principal);
        }
        self.order.push_back(principal.clone());
    }
}

impl Uris {
    /// Returns the number of the skill that contains a file: its address up to a slash.
    fn of_skill(&self, uri: &str) -> Option<&usize> {
        let start = uri
            .starts_with(SKILL_SCHEME)
            .then_some(SKILL_SCHEME.len())?;
        let slashes = uri
            .bytes()
            .enumerate()
            .skip(start)
            .filter(|(_, byte)| *byte == b'/');
        let mut roots = slashes.map(|(at, _)| &uri[..=at]);
        let within = roots.find_map(|root| self.numbers.get(root));
        // The directory of the skill itself is usually named without a slash at its end.
        within.or_else(|| self.numbers.get(&format!("{uri}/")))
    }

    fn add(&mut self, uri: String, number: usize) {
        self.bytes += cost(&uri);
        self.order.push_back(uri.clone());
        self.numbers.insert(uri, number);
        while self.order.len() > MAX_CARRIED_URIS || self.bytes > MAX_CARRIED_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.bytes -= cost(&oldest);
            self.numbers.remove(&oldest);
        }
    }
}

const fn cost(uri: &str) -> usize {
    uri.len() * 2 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerId {
        ServerId::new(name).unwrap()
    }

    fn user(name: &str) -> Principal {
        Principal::user(PrincipalId::new(name).unwrap(), "test")
    }

    fn uris(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{prefix}://{n}")).collect()
    }

    #[test]
    fn server_evicts_only_its_own_uris() {
        let mut carried = Carried::default();
        let (good, bad, ann) = (server("good"), server("bad"), user("ann"));
        carried.add(&good, &ann, uris("report", 1));
        carried.add(&bad, &ann, uris("flood", 10 * MAX_CARRIED_URIS));
        carried.add(&bad, &ann, vec!["x".repeat(MAX_URI_LEN); 100]);
        assert!(carried.number(&good, &ann, "report://0").is_some());
        assert_eq!(carried.number(&bad, &ann, "flood://0"), None);
        assert_eq!(carried.number(&good, &user("bob"), "report://0"), None);
        let of_bad = &carried.principals[&ann.id][&bad];
        assert!(of_bad.bytes <= MAX_CARRIED_BYTES && of_bad.order.len() <= MAX_CARRIED_URIS);
    }

    #[test]
    fn first_server_to_return_a_uri_keeps_precedence() {
        let mut carried = Carried::default();
        let (good, bad, ann) = (server("good"), server("bad"), user("ann"));
        for from in [&good, &bad, &good] {
            carried.add(from, &ann, uris("report", 1));
        }
        let number = |server| carried.number(server, &ann, "report://0");
        assert!(number(&good) < number(&bad) && number(&good).is_some());
    }

    #[test]
    fn files_of_a_skill_belong_to_the_first_server_that_has_it() {
        let mut carried = Carried::default();
        let (first, second, ann) = (server("first"), server("second"), user("ann"));
        for from in [&first, &second] {
            carried.add(from, &ann, vec!["skill://acme/one/".into()]);
        }
        carried.add(&first, &ann, vec!["skill://acme/one/x".into()]);
        for uri in [
            "skill://acme/one",
            "skill://acme/one/",
            "skill://acme/one/x",
            "skill://acme/one/SKILL.md",
            "skill://acme/one/a/b.txt",
        ] {
            let number = |server| carried.number(server, &ann, uri);
            assert!(number(&first).is_some(), "{uri}");
            assert!(number(&first) < number(&second), "{uri}");
        }
        for uri in [
            "skill://acme",
            "skill://acme/",
            "skill://acme/oneself",
            "x://acme/one/x",
        ] {
            assert_eq!(carried.number(&first, &ann, uri), None, "{uri}");
        }
    }

    #[test]
    fn total_size_across_principals_is_bounded() {
        let mut carried = Carried::default();
        let long = |n: usize| vec![format!("{n}{}", "x".repeat(MAX_URI_LEN - 20)); 1];
        for n in 0..MAX_CARRIED_TOTAL / MAX_URI_LEN {
            carried.add(&server("a"), &user(&format!("u{n}")), long(n));
            assert!(carried.bytes <= MAX_CARRIED_TOTAL);
        }
        assert!(carried.principals.len() < MAX_CARRIED_TOTAL / MAX_URI_LEN);
        assert_eq!(carried.principals.len(), carried.order.len());
        let last = MAX_CARRIED_TOTAL / MAX_URI_LEN - 1;
        let number = carried.number(&server("a"), &user(&format!("u{last}")), &long(last)[0]);
        assert!(number.is_some());
    }
}
