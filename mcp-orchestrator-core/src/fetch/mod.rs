//! HTTP client for small requests: metadata, keys, tokens. Requests are bounded in time and size, use the crate's own
//! TLS provider, and are subject to an address guard.
//!
//! There is no connection pool, since such requests are made a few times an hour. Without a proxy, the connection
//! uses exactly the addresses that were checked, so that a name cannot resolve differently for the check and for the
//! connection.

#[cfg(any(feature = "jwt", feature = "oauth"))]
mod connection;
#[cfg(any(feature = "jwt", feature = "oauth"))]
mod exchange;
#[cfg(any(feature = "jwt", feature = "oauth"))]
mod fetcher;
mod guard;
#[cfg(any(feature = "jwt", feature = "oauth"))]
mod site;

#[cfg(any(feature = "jwt", feature = "oauth"))]
pub(crate) use self::exchange::{Answer, Ask, FetchError, Redirects, Trust};
#[cfg(any(feature = "jwt", feature = "oauth"))]
pub(crate) use self::fetcher::{Fetcher, shown};
pub use self::guard::{AddressGuard, AllowedPrivate, InvalidAllowed};
#[cfg(any(feature = "jwt", feature = "oauth"))]
pub(crate) use self::site::Site;
