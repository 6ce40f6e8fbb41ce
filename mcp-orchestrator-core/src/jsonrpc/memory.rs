//! Memory that the large messages of one sender take, from their first byte until they are delivered.
//!
//! A receiver that reads slowly, or a sender that does not complete its messages, can make the gateway hold many
//! messages of the maximum size. The large ones of each sender are therefore counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::limits::{
    GUARANTEED_MESSAGE_MEMORY, MAX_MESSAGE_MEMORY, MAX_TOTAL_MESSAGE_MEMORY, UNCOUNTED_MESSAGE_LEN,
};

/// The memory that the messages of one sender take, and that of all senders.
#[derive(Debug)]
pub(crate) struct MessageMemory {
    taken: AtomicUsize,
    total: Arc<AtomicUsize>,
}

/// The part of it that one message takes, returned on drop.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<MessageMemory>,
    len: usize,
}

/// The messages of this sender, or of all senders, take all the memory that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error(
        "large messages of this server that were not delivered yet take all the memory that they may; call again later"
    )]
    OfSender,
    #[error(
        "large messages of all servers that were not delivered yet take all the memory that they may; call again later"
    )]
    OfAll,
}

impl Default for MessageMemory {
    /// Counts towards the memory of all senders of this process.
    fn default() -> Self {
        static TOTAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
        Self::within(Arc::clone(&TOTAL))
    }
}

impl MessageMemory {
    fn within(total: Arc<AtomicUsize>) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            total,
        }
    }

    /// Raises the share of a message to `len` bytes. A short message takes none. A message of any length is accepted if
    /// it is the only one.
    ///
    /// # Errors
    /// [`Full`] if the messages of this sender would take more than [`MAX_MESSAGE_MEMORY`], or more than
    /// [`GUARANTEED_MESSAGE_MEMORY`] while those of all senders take [`MAX_TOTAL_MESSAGE_MEMORY`].
    pub(crate) fn grow(
        self: &Arc<Self>,
        share: &mut Option<Share>,
        len: usize,
    ) -> Result<(), Full> {
        let own = share.as_ref().map_or(0, |share| share.len);
        if len <= UNCOUNTED_MESSAGE_LEN || len <= own {
            return Ok(());
        }
        let more = len - own;
        let fits = |taken: usize| {
            let all = taken + more;
            (all <= MAX_MESSAGE_MEMORY || taken == own).then_some(all)
        };
        let before = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .map_err(|_| Full::OfSender)?;
        let is_guaranteed = before + more <= GUARANTEED_MESSAGE_MEMORY;
        let fits = |total: usize| {
            let all = total + more;
            (is_guaranteed || all <= MAX_TOTAL_MESSAGE_MEMORY || total == own).then_some(all)
        };
        let grown = self
            .total
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        if grown.is_err() {
            self.taken.fetch_sub(more, Ordering::AcqRel);
            return Err(Full::OfAll);
        }
        match share {
            Some(share) => share.len = len,
            None => {
                *share = Some(Share {
                    memory: Arc::clone(self),
                    len,
                });
            }
        }
        Ok(())
    }

    /// Returns the share of a complete message.
    ///
    /// # Errors
    /// As [`grow`](Self::grow).
    pub(crate) fn share(self: &Arc<Self>, len: usize) -> Result<Option<Arc<Share>>, Full> {
        let mut share = None;
        self.grow(&mut share, len)?;
        Ok(share.map(Arc::new))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.len, Ordering::AcqRel);
        self.memory.total.fetch_sub(self.len, Ordering::AcqRel);
    }
}

/// Bytes that keep something else that stands for their memory.
struct Held<T> {
    bytes: Bytes,
    _with: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns bytes that keep this share until the last reference to them is dropped.
pub(super) fn held(bytes: Bytes, share: Option<Arc<Share>>) -> Bytes {
    match share {
        None => bytes,
        Some(share) => keeping(bytes, share),
    }
}

/// Returns bytes that keep `with` until the last reference to them is dropped.
pub(crate) fn keeping(bytes: Bytes, with: impl Send + 'static) -> Bytes {
    Bytes::from_owner(Held { bytes, _with: with })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::Message;

    fn taken(memory: &MessageMemory) -> usize {
        memory.taken.load(Ordering::Acquire)
    }

    /// The memory of a sender that shares `total` with others.
    fn sender(total: &Arc<AtomicUsize>) -> Arc<MessageMemory> {
        Arc::new(MessageMemory::within(Arc::clone(total)))
    }

    #[test]
    fn memory_is_taken_until_the_last_copy_of_a_message_is_gone() {
        let memory = sender(&Arc::default());
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#,
            "x".repeat(2 * UNCOUNTED_MESSAGE_LEN)
        );
        let share = memory.share(text.len()).unwrap();
        let message = Message::parse(text.clone().into()).unwrap().holding(share);
        assert_eq!(taken(&memory), text.len());
        let renumbered = message.with_id(b"2");
        drop(message);
        let bytes = renumbered.into_bytes();
        let part = bytes.slice(..10);
        drop(bytes);
        assert_eq!(taken(&memory), text.len());
        drop(part);
        assert_eq!(taken(&memory), 0);
        assert!(memory.share(UNCOUNTED_MESSAGE_LEN).unwrap().is_none());
    }

    #[test]
    fn messages_beyond_the_memory_are_refused_but_never_the_only_one() {
        let memory = sender(&Arc::default());
        let mut one = None;
        memory.grow(&mut one, UNCOUNTED_MESSAGE_LEN + 1).unwrap();
        memory.grow(&mut one, 2 * MAX_MESSAGE_MEMORY).unwrap();
        let mut two = None;
        assert!(memory.grow(&mut two, UNCOUNTED_MESSAGE_LEN + 1).is_err());
        memory.grow(&mut two, UNCOUNTED_MESSAGE_LEN).unwrap();
        drop(one);
        memory.grow(&mut two, MAX_MESSAGE_MEMORY).unwrap();
        assert!(memory.share(UNCOUNTED_MESSAGE_LEN + 1).is_err());
        drop(two);
        assert_eq!(taken(&memory), 0);
    }

    #[test]
    fn messages_of_all_senders_have_a_limit_and_each_sender_keeps_a_part() {
        let total = Arc::default();
        let senders: Vec<_> = (0..MAX_TOTAL_MESSAGE_MEMORY / MAX_MESSAGE_MEMORY)
            .map(|_| sender(&total))
            .collect();
        let mut shares: Vec<_> = senders
            .iter()
            .map(|sender| sender.share(MAX_MESSAGE_MEMORY).unwrap())
            .collect();
        let late = sender(&total);
        let refused = late.share(GUARANTEED_MESSAGE_MEMORY + 1).unwrap_err();
        assert_eq!(refused, Full::OfAll);
        assert_eq!(taken(&late), 0, "nothing is left of a refused message");
        let small = late.share(GUARANTEED_MESSAGE_MEMORY).unwrap();
        assert!(small.is_some());
        assert_eq!(
            late.share(GUARANTEED_MESSAGE_MEMORY).unwrap_err(),
            Full::OfAll
        );
        shares.pop();
        let large = late.share(MAX_MESSAGE_MEMORY / 2).unwrap();
        drop((large, small, shares));
        assert_eq!(total.load(Ordering::Acquire), 0);
    }
}
