//! Messages that belong to no call, between instances and clients.

mod delivery;
mod from_clients;
mod listen;
mod observer;
mod upstream;
