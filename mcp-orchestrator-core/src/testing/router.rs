//! The suite of [`Router`](crate::router::Router).
