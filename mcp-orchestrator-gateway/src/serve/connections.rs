//! The connections of a listener: their number, their addresses, and which of them may be closed for new ones.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ConnectionLimits;
use crate::limits::MAX_RESET_REQUESTS;

/// At a limit, one in this many connections is closed at once, so that not every new connection causes a search.
const EVICTED_SHARE: usize = 16;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    epoch: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: HashMap<u64, Arc<Slot>>,
    by_address: HashMap<IpAddr, usize>,
    next: u64,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All connections are in use.
    Total,
    /// All connections of this address are in use.
    Address,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    /// The address that this connection counts towards; `None` for a shared address, which is not counted.
    address: Option<IpAddr>,
    epoch: Instant,
    /// Requests without a complete response.
    busy: AtomicUsize,
    /// Whether the connection has had a request.
    used: AtomicBool,
    /// When the connection last became idle, in milliseconds since `epoch`.
    idle_since: AtomicU64,
    /// Requests that the client reset before their response, minus answered ones.
    resets: AtomicUsize,
    /// Cancelled to close the connection.
    pub(super) closed: CancellationToken,
}

/// A counted connection. Dropping it releases its place.
#[derive(Debug)]
pub(super) struct Admitted {
    connections: Arc<Connections>,
    pub(super) slot: Arc<Slot>,
}

/// A running request. Dropping it before [`answered`](Self::answered) counts as a reset by the client.
#[derive(Debug)]
pub(super) struct Busy {
    slot: Arc<Slot>,
    answered: bool,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            epoch: Instant::now(),
            open: Mutex::default(),
        })
    }

    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }

    /// Admits a connection, counted for this address if given. Closes idle connections if a limit is reached.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Admitted, Full> {
        let address = peer.map(network);
        let mut open = self.open();
        if let Some(address) = address
            && open.by_address.get(&address).copied().unwrap_or(0)
                >= self.limits.connections_per_address
            && open.evict(Some(address), self.limits.connections_per_address) == 0
        {
            return Err(Full::Address);
        }
        if open.all.len() >= self.limits.connections
            && open.evict(None, self.limits.connections) == 0
        {
            return Err(Full::Total);
        }
        open.next += 1;
        let slot = Arc::new(Slot::new(open.next, address, self.epoch));
        open.all.insert(slot.number, Arc::clone(&slot));
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        Ok(Admitted {
            connections: Arc::clone(self),
            slot,
        })
    }

    /// Closes some of the connections that have been idle longest, and returns their number.
    pub(super) fn evict(&self) -> usize {
        let mut open = self.open();
        let count = open.all.len();
        open.evict(None, count)
    }
}

impl Open {
    fn evict(&mut self, address: Option<IpAddr>, limit: usize) -> usize {
        let idle = self.all.values().filter(|slot| {
            (address.is_none() || slot.address == address) && slot.busy.load(Ordering::Acquire) == 0
        });
        let mut idle: Vec<(u64, u64)> = idle
            .map(|slot| (slot.idle_since.load(Ordering::Relaxed), slot.number))
            .collect();
        let count = (limit / EVICTED_SHARE).max(1).min(idle.len());
        if count == 0 {
            return 0;
        }
        idle.select_nth_unstable(count - 1);
        for (_, number) in &idle[..count] {
            if let Some(slot) = self.remove(*number) {
                slot.closed.cancel();
            }
        }
        count
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Slot>> {
        let slot = self.all.remove(&number)?;
        if let Some(address) = slot.address
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(slot)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.open().remove(self.slot.number);
    }
}

impl Slot {
    fn new(number: u64, address: Option<IpAddr>, epoch: Instant) -> Self {
        let slot = Self {
            number,
            address,
            epoch,
            busy: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            resets: AtomicUsize::new(0),
            closed: CancellationToken::new(),
        };
        slot.idle_since.store(slot.now(), Ordering::Relaxed);
        slot
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Marks the start of a request.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.used.store(true, Ordering::Relaxed);
        Busy {
            slot: Arc::clone(self),
            answered: false,
        }
    }

    /// Completes when the connection has been idle for too long.
    pub(super) async fn idle(&self, limits: &ConnectionLimits) {
        loop {
            let allowed = if self.used.load(Ordering::Relaxed) {
                limits.idle_timeout
            } else {
                limits.head_timeout
            };
            let mut left = allowed;
            if self.busy.load(Ordering::Acquire) == 0 {
                let since = self.idle_since.load(Ordering::Relaxed);
                let idle = Duration::from_millis(self.now().saturating_sub(since));
                left = allowed.saturating_sub(idle);
                if left.is_zero() {
                    return;
                }
            }
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
    }
}

impl Busy {
    /// Marks the request as answered.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let slot = &self.slot;
        if self.answered {
            let less = |count: usize| count.checked_sub(1);
            // The count never goes below zero.
            let _ = slot
                .resets
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if slot.resets.fetch_add(1, Ordering::Relaxed) >= MAX_RESET_REQUESTS {
            tracing::debug!("connection closed: its client resets its requests");
            slot.closed.cancel();
        }
        if slot.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            slot.idle_since.store(slot.now(), Ordering::Relaxed);
        }
    }
}

/// The unit in which clients are counted: an IPv4 address or an IPv6 /64 network, because a client can use every
/// address of such a network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, each: usize) -> Arc<Connections> {
        Connections::new(ConnectionLimits {
            connections: total,
            connections_per_address: each,
            ..ConnectionLimits::default()
        })
    }

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn longest_idle_connection_is_closed_first() {
        let all = connections(3, 3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(all.admit(None).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let busy = held[0].slot.request();
        let fourth = all.admit(None).unwrap();
        let closed: Vec<_> = held
            .iter()
            .map(|one| one.slot.closed.is_cancelled())
            .collect();
        assert_eq!(closed, [false, true, false]);
        let _also = (held[2].slot.request(), fourth.slot.request());
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        drop(busy);
        assert!(all.admit(None).is_ok());
    }

    #[test]
    fn connections_per_address_are_limited() {
        let all = connections(100, 2);
        let from = |text| all.admit(peer(text));
        let (one, two) = (
            from("2001:db8::1").unwrap(),
            from("2001:db8::ffff:2").unwrap(),
        );
        let _busy = (one.slot.request(), two.slot.request());
        assert_eq!(from("2001:db8::3").unwrap_err(), Full::Address);
        assert!(from("2001:db8:0:1::3").is_ok());
        let v4: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1"]
            .map(|text| from(text).unwrap())
            .into();
        let _busy: Vec<_> = v4.iter().map(|one| one.slot.request()).collect();
        assert_eq!(from("192.0.2.1").unwrap_err(), Full::Address);
        drop(v4);
        assert!(from("192.0.2.1").is_ok());
        // Many clients may share an address that is not counted.
        let shared: Vec<_> = (0..10).map(|_| all.admit(None).unwrap()).collect();
        assert!(shared.iter().all(|one| !one.slot.closed.is_cancelled()));
    }

    #[test]
    fn only_clients_that_keep_resetting_requests_are_disconnected() {
        let all = connections(10, 10);
        let (honest, hostile) = (all.admit(None).unwrap(), all.admit(None).unwrap());
        for _ in 0..=MAX_RESET_REQUESTS {
            drop(hostile.slot.request());
            drop(honest.slot.request());
            honest.slot.request().answered();
        }
        assert!(hostile.slot.closed.is_cancelled());
        assert!(!honest.slot.closed.is_cancelled());
    }
}
