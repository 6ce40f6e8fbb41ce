//! The scanner and the splicer of JSON-RPC messages.
