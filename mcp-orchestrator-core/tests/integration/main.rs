//! Tests of the library from outside, in one program.
//!
//! A module that needs features is compiled with these features only. Tests in `kubernetes` are ignored: they need a
//! cluster, and `.ci/kubernetes` selects them by the name of the module.

mod authority;
#[cfg(all(
    feature = "config",
    feature = "oauth",
    feature = "jwt",
    feature = "test-util"
))]
mod corpus;
mod decisions;
#[cfg(all(feature = "kubernetes", feature = "test-util"))]
mod kubernetes;
#[cfg(all(target_os = "linux", feature = "local-store"))]
mod local_store;
#[cfg(all(unix, feature = "process", feature = "test-util"))]
mod process;
mod renewal;
