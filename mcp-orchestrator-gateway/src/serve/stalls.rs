//! HTTP/2 responses that a client does not read.
//!
//! Over HTTP/1, a client that stops reading blocks the writes of its connection. Over HTTP/2 it can close the window of
//! a single stream, and the bytes of that response stay in memory while the connection continues. Each piece of a
//! response therefore has a deadline, from the moment it is handed to HTTP/2 until it is written completely.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ConnectionLimits;

/// The unwritten pieces of one connection.
#[derive(Debug)]
pub(super) struct Stalls {
    pieces: Mutex<Pieces>,
    added: Notify,
    timeout: Duration,
    rate: usize,
}

#[derive(Debug, Default)]
struct Pieces {
    by_deadline: BTreeSet<(Instant, u64)>,
    next: u64,
}

/// The deadline of one piece, removed on drop.
#[derive(Debug)]
struct Deadline {
    stalls: Arc<Stalls>,
    key: (Instant, u64),
}

/// One piece of a response body.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    _deadline: Option<Deadline>,
}

impl Stalls {
    pub(super) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            pieces: Mutex::default(),
            added: Notify::new(),
            timeout: limits.write_timeout,
            rate: limits.min_body_rate.max(1),
        })
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock()
    }

    fn deadline(self: &Arc<Self>, len: usize) -> Deadline {
        let earned = Duration::from_secs((len / self.rate) as u64);
        let at = Instant::now() + self.timeout + earned;
        let mut pieces = self.pieces();
        pieces.next += 1;
        let key = (at, pieces.next);
        pieces.by_deadline.insert(key);
        drop(pieces);
        self.added.notify_one();
        Deadline {
            stalls: Arc::clone(self),
            key,
        }
    }

    /// Completes when a piece misses its deadline.
    pub(super) async fn stalled(&self) {
        loop {
            let first = self.pieces().by_deadline.first().map(|(at, _)| *at);
            match first {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.added.notified().await,
            }
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.stalls.pieces().by_deadline.remove(&self.key);
    }
}

impl Piece {
    /// Creates a piece, with a deadline if `stalls` is given (HTTP/2).
    pub(super) fn new(bytes: Bytes, stalls: Option<&Arc<Stalls>>) -> Self {
        Self {
            _deadline: stalls.map(|stalls| stalls.deadline(bytes.len())),
            bytes,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(dst)
    }

    fn advance(&mut self, cnt: usize) {
        self.bytes.advance(cnt);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.bytes.copy_to_bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn write_deadline_grows_with_the_size_of_a_piece() {
        let limits = ConnectionLimits::default();
        let stalls = Stalls::new(&limits);
        let large = Bytes::from(vec![0; 10 * limits.min_body_rate]);
        drop(Piece::new(large.clone(), Some(&stalls)));
        let piece = Piece::new(large, Some(&stalls));
        let begun = Instant::now();
        stalls.stalled().await;
        let longest = limits.write_timeout + Duration::from_secs(10);
        assert_eq!(begun.elapsed(), longest);
        drop(piece);
        let waiting = tokio::time::timeout(2 * longest, stalls.stalled()).await;
        assert!(waiting.is_err(), "nothing is left");
    }
}
