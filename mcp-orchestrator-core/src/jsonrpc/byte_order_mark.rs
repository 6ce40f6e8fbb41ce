//! The byte-order mark of UTF-8, which some programs put before JSON.

use bytes::Bytes;

/// The UTF-8 byte-order mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Removes a leading byte-order mark.
pub(super) fn without_mark(bytes: Bytes) -> Bytes {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return bytes.slice(BYTE_ORDER_MARK.len()..);
    }
    bytes
}
