//! Fixed limits on what a caller, a server or a cluster can make this process keep, do or wait for.
//!
//! A limit that an operator may have a reason to change is a configuration key instead, and its default stands here.
//! `docs/limits.md` lists every limit with the error that a caller gets; a test compares it with [`ALL`].

use std::fmt;
use std::time::Duration;

/// A limit as `docs/limits.md` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// The value of a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A size in bytes.
    Bytes(usize),
    /// A number of things.
    Count(usize),
    /// A duration.
    Time(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        match *self {
            Self::Bytes(bytes) if bytes >= MIB && bytes.is_multiple_of(MIB) => {
                write!(f, "{} MiB", bytes / MIB)
            }
            Self::Bytes(bytes) if bytes >= KIB && bytes.is_multiple_of(KIB) => {
                write!(f, "{} KiB", bytes / KIB)
            }
            Self::Bytes(bytes) => write!(f, "{bytes} B"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) if time.subsec_millis() > 0 => write!(f, "{} ms", time.as_millis()),
            Self::Time(time) => match time.as_secs() {
                secs if secs >= 3600 && secs.is_multiple_of(3600) => write!(f, "{} h", secs / 3600),
                secs if secs >= 60 && secs.is_multiple_of(60) => write!(f, "{} min", secs / 60),
                secs => write!(f, "{secs} s"),
            },
        }
    }
}

/// Declares limits as constants and lists them in `ALL`.
///
/// `Bytes` and `Count` declare a `usize`, `Time` a [`Duration`].
#[macro_export]
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $crate::limits!(@type $kind) = $value;)*

        /// Every limit that is declared here.
        pub const ALL: &[$crate::limits::Limit] = &[
            $($crate::limits::Limit {
                name: stringify!($name),
                value: $crate::limits::Value::$kind($name),
            },)*
        ];
    };
    (@type Bytes) => { usize };
    (@type Count) => { usize };
    (@type Time) => { ::std::time::Duration };
}

/// The default of `limits.calls_per_principal`.
pub const CALLS_PER_PRINCIPAL: usize = 256;

limits! {
    // Routing and lists.

    // Sessions, streams, subscriptions and tasks.

    // Conversations with servers.

    // Child processes.

    // OAuth and tokens.

    // Kubernetes.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_limit_with_its_value() {
        let page = include_str!("../../docs/limits.md");
        for limit in ALL {
            let row = format!("| `{}` | {} |", limit.name, limit.value);
            assert!(page.contains(&row), "docs/limits.md lacks the row {row}");
        }
    }

    #[test]
    fn values_are_shown_in_the_largest_whole_unit() {
        let shown = [
            (Value::Bytes(8 * 1024), "8 KiB"),
            (Value::Bytes(100), "100 B"),
            (Value::Bytes(3 << 20), "3 MiB"),
            (Value::Count(16), "16"),
            (Value::Time(Duration::from_millis(500)), "500 ms"),
            (Value::Time(Duration::from_secs(90)), "90 s"),
            (Value::Time(Duration::from_mins(10)), "10 min"),
        ];
        for (value, text) in shown {
            assert_eq!(value.to_string(), text);
        }
    }
}
