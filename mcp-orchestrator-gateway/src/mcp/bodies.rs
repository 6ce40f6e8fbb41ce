//! Request bodies and their memory. Each is read whole, within its own limit and within the memory limits per principal
//! and overall. Responses that their callers have not read yet have such limits too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt as _;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::limits::{
    MAX_BODY_MEMORY, MAX_BODY_MEMORY_PER_PRINCIPAL, MAX_RESPONSE_MEMORY,
    MAX_RESPONSE_MEMORY_PER_PRINCIPAL, UNCOUNTED_BODY_LEN,
};
use crate::request::connection::is_too_slow;

/// When a refused request may be sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bodies that one account counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bodies {
    /// Requests, from their first byte until the server has received them.
    Requests,
    /// Responses, until their callers have read them.
    Responses,
}

/// The memory that large bodies take. Clones share one account.
#[derive(Clone, Debug)]
pub(crate) struct BodyMemory {
    taken: Arc<Mutex<Taken>>,
    of: Bodies,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_principal: HashMap<Arc<str>, usize>,
}

/// The memory that one body takes, released on drop.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    memory: &'a BodyMemory,
    principal: &'a Principal,
    taken: usize,
}

/// Bytes with the memory that they take. It is released with the last reference to them, so that a message counts as
/// long as any part of the gateway keeps it.
struct Kept {
    bytes: Bytes,
    memory: BodyMemory,
    principal: Arc<str>,
    taken: usize,
}

impl Bodies {
    /// Returns the limit for one principal and the limit for all.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Requests => (MAX_BODY_MEMORY_PER_PRINCIPAL, MAX_BODY_MEMORY),
            Self::Responses => (MAX_RESPONSE_MEMORY_PER_PRINCIPAL, MAX_RESPONSE_MEMORY),
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Requests => (
                "the large requests that you send at once",
                "the large requests of all callers",
            ),
            Self::Responses => (
                "the large responses that you have not read",
                "the large responses that all callers have not read",
            ),
        }
    }
}

impl BodyMemory {
    /// Creates an account.
    pub(crate) fn new(of: Bodies) -> Self {
        Self {
            taken: Arc::default(),
            of,
        }
    }

    /// Returns a response body that counts towards the memory of this principal until it is written.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) if the principal has not read too many others.
    pub(crate) fn response(&self, bytes: Bytes, principal: &Principal) -> Result<Bytes> {
        if bytes.len() <= UNCOUNTED_BODY_LEN {
            return Ok(bytes);
        }
        let mut reservation = self.reservation(principal);
        reservation.take(bytes.len())?;
        Ok(reservation.keep(bytes))
    }

    fn release(&self, principal: &str, len: usize) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(len);
        if let Some(own) = taken.by_principal.get_mut(principal) {
            *own = own.saturating_sub(len);
            if *own == 0 {
                taken.by_principal.remove(principal);
            }
        }
    }

    /// Creates an empty reservation for a body of this principal.
    pub(crate) fn reservation<'a>(&'a self, principal: &'a Principal) -> Reservation<'a> {
        Reservation {
            memory: self,
            principal,
            taken: 0,
        }
    }
}

impl Reservation<'_> {
    /// Raises the reservation to `len` bytes. A body larger than a limit is accepted if no other counts towards it.
    fn take(&mut self, len: usize) -> Result<()> {
        if len <= UNCOUNTED_BODY_LEN || len <= self.taken {
            return Ok(());
        }
        let more = len - self.taken;
        let mut taken = self.memory.taken.lock();
        let key = self.principal.id.as_str();
        let own = taken.by_principal.get(key).copied().unwrap_or_default();
        let is_only = own == self.taken;
        let (most, most_of_all) = self.memory.of.limits();
        let (yours, of_all) = self.memory.of.words();
        if own + more > most && !is_only {
            return Err(full(yours));
        }
        if taken.all + more > most_of_all && taken.all > self.taken {
            return Err(full(of_all));
        }
        taken.all += more;
        match taken.by_principal.get_mut(key) {
            Some(own) => *own += more,
            None => drop(taken.by_principal.insert(key.into(), more)),
        }
        self.taken = len;
        Ok(())
    }

    /// Returns a body that was read, which keeps the reservation.
    fn keep(&mut self, bytes: Bytes) -> Bytes {
        if self.taken == 0 {
            return bytes;
        }
        let taken = std::mem::take(&mut self.taken);
        Bytes::from_owner(Kept {
            bytes,
            memory: self.memory.clone(),
            principal: self.principal.id.as_str().into(),
            taken,
        })
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.release(&self.principal, self.taken);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.memory.release(self.principal.id.as_str(), self.taken);
        }
    }
}

fn full(what: &str) -> Error {
    let text = format!("{what} take all the memory that they may; send this one again later");
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

/// Reads the whole body, within `limit`. If `reservation` is given, a body of more than [`UNCOUNTED_BODY_LEN`] is reserved in
/// it, and the returned bytes keep the reservation.
///
/// # Errors
/// [`TooLarge`](ErrorKind::TooLarge), [`Overloaded`](ErrorKind::Overloaded) if the memory limit is reached, or the
/// reason why the body did not arrive.
pub(crate) async fn read<B>(
    parts: &Parts,
    mut body: B,
    limit: usize,
    mut reservation: Option<&mut Reservation<'_>>,
) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Unpin,
{
    let too_large = || {
        let text = format!("the body is larger than {limit} bytes");
        Error::new(ErrorKind::TooLarge, text)
    };
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut whole: Option<BytesMut> = None;
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken_off(&*error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.is_empty() && whole.is_none() {
            first = data;
        } else {
            let so_far = whole.as_ref().map_or(first.len(), BytesMut::len) + data.len();
            if so_far > limit {
                return Err(too_large());
            }
            if let Some(reservation) = &mut reservation {
                reservation.take(length.unwrap_or(so_far).max(so_far))?;
            }
            let whole = whole.get_or_insert_with(|| {
                let mut whole = BytesMut::with_capacity(length.unwrap_or(so_far).min(limit));
                whole.extend_from_slice(&first);
                whole
            });
            whole.extend_from_slice(&data);
        }
        if first.len() > limit {
            return Err(too_large());
        }
    }
    let whole = whole.map_or(first, BytesMut::freeze);
    Ok(match reservation {
        Some(reservation) => reservation.keep(whole),
        None => whole,
    })
}

fn broken_off(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if is_too_slow(error) {
        return Error::new(ErrorKind::SlowRequest, "the request body came too slowly");
    }
    Error::new(ErrorKind::InvalidRequest, "the body broke off")
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::id::PrincipalId;

    use super::*;

    fn user(name: &str) -> Principal {
        Principal::clone(&Principal::user(PrincipalId::new(name).unwrap(), "test"))
    }

    #[test]
    fn large_bodies_are_limited_per_sender_and_in_total() {
        let memory = BodyMemory::new(Bodies::Requests);
        let users: Vec<_> = (0..9).map(|n| user(&format!("u{n}"))).collect();
        let ann = &users[0];
        let half = MAX_BODY_MEMORY_PER_PRINCIPAL / 2;
        let (mut one, mut two) = (memory.reservation(ann), memory.reservation(ann));
        one.take(half).unwrap();
        two.take(half).unwrap();
        let mut three = memory.reservation(ann);
        let refused = three.take(UNCOUNTED_BODY_LEN + 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert!(refused.retry_after().is_some());
        three.take(UNCOUNTED_BODY_LEN).unwrap();
        drop(one);
        three.take(half).unwrap();
        drop((two, three));
        assert_eq!(memory.taken.lock().all, 0);
        assert!(memory.taken.lock().by_principal.is_empty());

        let fits = MAX_BODY_MEMORY / MAX_BODY_MEMORY_PER_PRINCIPAL;
        let mut rooms: Vec<_> = users.iter().map(|user| memory.reservation(user)).collect();
        for reservation in &mut rooms[..fits] {
            reservation.take(MAX_BODY_MEMORY_PER_PRINCIPAL).unwrap();
        }
        assert!(
            rooms[fits]
                .take(half)
                .unwrap_err()
                .to_string()
                .contains("all callers")
        );
    }

    #[test]
    fn body_larger_than_the_budget_is_accepted_one_at_a_time() {
        let memory = BodyMemory::new(Bodies::Requests);
        let ann = user("ann");
        let (mut one, mut two) = (memory.reservation(&ann), memory.reservation(&ann));
        one.take(2 * MAX_BODY_MEMORY).unwrap();
        assert!(two.take(UNCOUNTED_BODY_LEN + 1).is_err());
        drop(one);
        two.take(2 * MAX_BODY_MEMORY).unwrap();
    }

    #[test]
    fn response_counts_until_its_last_byte_is_gone() {
        let memory = BodyMemory::new(Bodies::Responses);
        let (ann, bob) = (user("ann"), user("bob"));
        let large = || Bytes::from(vec![b'x'; MAX_RESPONSE_MEMORY_PER_PRINCIPAL / 2 + 1]);
        let mut first = memory.response(large(), &ann).unwrap();
        let refused = memory.response(large(), &ann).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        memory.response(large(), &bob).unwrap();
        memory.response(Bytes::from_static(b"short"), &ann).unwrap();
        let rest = first.split_off(10);
        drop(first);
        assert!(memory.response(large(), &ann).is_err());
        drop(rest);
        memory.response(large(), &ann).unwrap();
        assert_eq!(memory.taken.lock().all, 0);
    }
}
