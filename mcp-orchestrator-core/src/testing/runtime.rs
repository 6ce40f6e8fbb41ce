//! The suite of [`RuntimeBackend`](crate::runtime::RuntimeBackend).
