//! A request with everything that it is sent with.

use bytes::Bytes;

use super::connections::Repeat;
use crate::trace_context::TraceContext;
use crate::transport::Check;
use crate::transport::own_id::OwnId;

/// A request that is ready to be sent.
pub(crate) struct Ready<'a> {
    pub(crate) body: Bytes,
    /// The request's id.
    pub(crate) id: OwnId,
    pub(crate) repeat: Repeat,
    /// Whether it may still be sent.
    pub(crate) check: Check<'a>,
    /// The trace that it belongs to, for its headers.
    pub(crate) trace: Option<&'a TraceContext>,
}
