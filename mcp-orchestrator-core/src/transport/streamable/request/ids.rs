//! Ids of the requests to one endpoint.
//!
//! Callers that share a connection choose the same ids, and a response may arrive late, twice, or for the wrong
//! request. Each request therefore gets an id that is unique for its endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::jsonrpc::{Kind, Message, whole_number};
use crate::transport::own_id::OwnId;

/// Generates ids; each is issued once.
#[derive(Debug)]
pub(crate) struct Ids {
    first: u64,
    next: AtomicU64,
}

/// Which request a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The request in question.
    This,
    /// The response names no request; it can only answer the one in question.
    Unnamed,
    /// Another request.
    Other,
}

impl Ids {
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).expect("the system has a source of randomness");
        // A random number in the lower half of the positive `i32` range: every server can represent it, and it is
        // unlikely to collide with a constant or with an id of an earlier process.
        let first = u64::from(u32::from_be_bytes(bytes) >> 2) + 1;
        Self {
            first,
            next: AtomicU64::new(first),
        }
    }

    /// Returns an id that was not issued before, as JSON.
    pub(crate) fn take(&self) -> OwnId {
        OwnId::from(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Determines which request a response answers that arrived for the request with the id `own`. `refused` means that
    /// it came with an HTTP status of 400 or more; an error with an id that was never issued then also belongs to this
    /// request.
    pub(crate) fn judge(&self, response: &Message, own: &[u8], refused: bool) -> Answers {
        let is_error = response.kind() == Kind::Error;
        let Some(id) = response.id() else {
            return if is_error {
                Answers::Unnamed
            } else {
                Answers::Other
            };
        };
        if id.as_bytes() == own {
            return Answers::This;
        }
        let number = whole_number(id);
        if number.is_some_and(|number| *OwnId::from(number) == *own) {
            return Answers::This;
        }
        let given_out = |number| (self.first..self.next.load(Ordering::Relaxed)).contains(&number);
        if is_error && refused && number.is_none_or(|number| !given_out(number)) {
            return Answers::Unnamed;
        }
        Answers::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_matched_by_its_id() {
        let ids = Ids::new();
        let (other, own) = (ids.take(), ids.take());
        assert_ne!(other, own);
        let (own_text, other) = (own.as_str(), other.as_str());
        let judge = |id: &str, body: &str, refused| {
            let text = format!("{{\"jsonrpc\":\"2.0\",{id}{body}}}");
            ids.judge(&crate::call::own(text.into()), &own, refused)
        };
        let (result, error) = ("\"result\":{}", "\"error\":{\"code\":1,\"message\":\"\"}");
        for id in [
            own_text.to_owned(),
            format!("\"{own_text}\""),
            format!("{own_text}.0"),
        ] {
            for body in [result, error] {
                assert_eq!(judge(&format!("\"id\":{id},"), body, false), Answers::This);
            }
        }
        for (id, refused, answers) in [
            ("\"id\":null,".to_owned(), false, Answers::Unnamed),
            (String::new(), true, Answers::Unnamed),
            (
                "\"id\":\"server-error\",".to_owned(),
                true,
                Answers::Unnamed,
            ),
            ("\"id\":\"server-error\",".to_owned(), false, Answers::Other),
            ("\"id\":-1,".to_owned(), true, Answers::Unnamed),
            ("\"id\":0,".to_owned(), true, Answers::Unnamed),
            (format!("\"id\":{other},"), true, Answers::Other),
            (format!("\"id\":\"{other}\","), true, Answers::Other),
        ] {
            assert_eq!(judge(&id, error, refused), answers, "{id} {refused}");
        }
        assert_eq!(judge("\"id\":99999999999,", result, true), Answers::Other);
        assert_eq!(judge("\"id\":\"x\",", result, true), Answers::Other);
    }
}
