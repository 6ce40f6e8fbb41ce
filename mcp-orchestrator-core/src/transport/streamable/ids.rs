//! Ids of the requests to one endpoint.
//!
//! Connections are shared by callers who choose the same ids, and an answer may come late, twice, or to the wrong
//! request. So each request gets an id that no other one to this endpoint has.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::jsonrpc::{Kind, Message, whole_number};

/// Gives out ids, each once.
#[derive(Debug)]
pub(super) struct Ids {
    first: u64,
    next: AtomicU64,
}

/// Which request a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// The one in question.
    This,
    /// It does not say; it can only be the one in question.
    Unnamed,
    /// Another one.
    Other,
}

impl Ids {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).expect("the system has a source of randomness");
        // Anywhere in the lower half of a positive i32: all servers can hold it, and no constant or leftover of an earlier
        // process is likely to meet it.
        let first = u64::from(u32::from_be_bytes(bytes) >> 2) + 1;
        Self {
            first,
            next: AtomicU64::new(first),
        }
    }

    /// An id that was not given out before, as JSON.
    pub(super) fn take(&self) -> Bytes {
        Bytes::from(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Which request a response answers that came to the one with the id `own`. `refused` says that it came with an HTTP
    /// status of 400 or more: then an error under an id that is none of ours is about this request too.
    pub(super) fn judge(&self, response: &Message, own: &[u8], refused: bool) -> Answers {
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
        if number.is_some_and(|number| number.to_string().as_bytes() == own) {
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
    fn an_answer_is_told_by_its_id() {
        let ids = Ids::new();
        let (other, own) = (ids.take(), ids.take());
        assert_ne!(other, own);
        let own_text = std::str::from_utf8(&own).unwrap();
        let other = std::str::from_utf8(&other).unwrap();
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
