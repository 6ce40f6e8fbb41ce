//! JSON-RPC messages as the bytes they came in.
//!
//! A gateway that turns a message into types and back loses what the types do not know: unknown fields, key order,
//! long numbers. So a [`Message`] keeps the bytes and the places of the few members that routing reads; what must
//! change (an id, a name, a token) is spliced in ([`Splice`]), and all else is forwarded byte for byte.

mod envelope;
mod lenient;
mod message;
mod outline;
mod params;
mod scan;
mod spelling;
mod splice;
mod write;

pub(crate) use self::lenient::{MARK, batch, whole_number};
pub use self::message::{Kind, Message, ParseError};
pub(crate) use self::outline::Outline;
pub use self::params::{Members, ParamsHead, ResultHead, text};
pub use self::splice::Splice;
pub use self::write::{error_response, notification, quote, raw, request, response};

/// Where a part of a message stands in its bytes.
pub type Span = std::ops::Range<usize>;

/// The place of `part` in `whole`, of which it is a sub-slice.
pub(crate) fn span_of(whole: &[u8], part: &str) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    debug_assert!(start + part.len() <= whole.len());
    start..start + part.len()
}
