//! Asks others over HTTP for something small: metadata, keys, a token. Bounded in time and size, over TLS with a provider
//! of its own, and only where the guard lets it.
//!
//! There is no pool: such a question is asked a few times an hour. Without a proxy, what a name resolved to is what is
//! connected to, so that nobody can answer the guard and the connection differently.

#[cfg(any(feature = "jwt", feature = "oauth"))]
mod ask;
#[cfg(any(feature = "jwt", feature = "oauth"))]
mod connection;
mod guard;
#[cfg(any(feature = "jwt", feature = "oauth"))]
mod site;

#[cfg(feature = "oauth")]
pub(crate) use self::ask::{Answer, FetchError};
#[cfg(any(feature = "jwt", feature = "oauth"))]
pub(crate) use self::ask::{Ask, Fetcher, Redirects, Trust, shown};
pub use self::guard::{AddressGuard, AllowedPrivate, InvalidAllowed};
#[cfg(feature = "oauth")]
pub(crate) use self::site::Site;
