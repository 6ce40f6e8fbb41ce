//! A limit and its value, as the documentation shows them, and the macro that declares limits.

use std::fmt;
use std::time::Duration;

/// Declares limits as constants and lists them in `ALL`.
///
/// `Bytes` and `Count` declare a `usize`, `Time` a [`Duration`].
#[macro_export]
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $crate::limits!(@type $kind) = $value;)*

        /// Every limit declared here.
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

/// A limit, as listed in `docs/limits.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Name of the constant.
    pub name: &'static str,
    /// Value of the constant.
    pub value: Value,
}

/// The value of a [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A size in bytes.
    Bytes(usize),
    /// A number of items.
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
