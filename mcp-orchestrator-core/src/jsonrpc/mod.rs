//! JSON-RPC messages, kept as the bytes they were received in.
//!
//! A gateway that converts messages to types and back loses what the types do not cover: unknown fields, key order,
//! long numbers. A [`Message`] therefore keeps the bytes and the ranges of the few members that routing needs. Changes
//! (an id, a name, a token) are spliced in ([`Splice`]); everything else is forwarded byte for byte.

mod byte_order_mark;
mod envelope;
mod kind;
mod lenient;
mod memory;
mod message;
mod outline;
mod params;
mod scan;
mod spelling;
mod splice;
mod write;

pub(crate) use self::byte_order_mark::BYTE_ORDER_MARK;
pub use self::kind::{Kind, ParseError};
pub(crate) use self::lenient::{batch, whole_number};
pub(crate) use self::memory::{Full, MessageMemory, Share, keeping};
pub use self::message::Message;
pub(crate) use self::outline::Outline;
pub use self::params::{Members, ParamsHead, ResultHead, text};
pub(crate) use self::spelling::is_taken_for;
pub use self::splice::Splice;
pub use self::write::{error_response, notification, quote, raw, request, response};

/// Range of a part of a message in its bytes.
pub type Span = std::ops::Range<usize>;

/// Returns the range of `part`, which must be a sub-slice of `whole`.
pub(crate) fn span_of(whole: &[u8], part: &str) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    debug_assert!(start + part.len() <= whole.len());
    start..start + part.len()
}
