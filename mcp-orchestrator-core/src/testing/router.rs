//! The contract suite of [`Router`](crate::router::Router).
