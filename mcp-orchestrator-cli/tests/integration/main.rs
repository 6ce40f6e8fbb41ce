//! Tests of the command line: each runs the program, most of them with a gateway.

mod children;
mod commands;
mod deploy;
mod first_hour;
mod inspect;
mod support;
