//! Durations (`90s`, `1h30m`) and sizes (`64MiB`) in configuration files.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The longest accepted duration in milliseconds: ten years.
const MAX_DURATION_MILLIS: u64 = 3650 * 86_400_000;

/// A duration as written: `500ms`, `90s`, `5m`, `1h30m`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A size in bytes as written: `4096`, `512KiB`, `64MiB`, `1MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

/// A duration, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanOrNever(pub Option<Duration>);

/// Why a text is not a valid duration or size.
type Invalid = &'static str;

/// Splits `1h30m` into its numbers and units.
fn parts(text: &str) -> Result<Vec<(u64, &str)>, Invalid> {
    let mut rest = text.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number = number.parse().map_err(|_| "must start with a number")?;
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        parts.push((number, unit.trim()));
        rest = tail;
    }
    Ok(parts)
}

fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
}

/// Parses a duration.
///
/// # Errors
/// Why it is invalid.
pub(crate) fn duration(text: &str) -> Result<Duration, Invalid> {
    let parts = parts(text)?;
    if parts.is_empty() {
        return Err("must be a duration, e.g. 30s, 5m or 1h30m");
    }
    let mut total: u64 = 0;
    for (number, unit) in parts {
        if unit.is_empty() {
            return Err("a duration needs a unit, e.g. 30s, 5m or 1h30m");
        }
        let factor =
            factor(&TIME_UNITS, unit).ok_or("the units of a duration are ms, s, m, h and d")?;
        let part = number.checked_mul(factor).ok_or("too long")?;
        total = total.checked_add(part).ok_or("too long")?;
    }
    if total > MAX_DURATION_MILLIS {
        return Err("longer than ten years");
    }
    Ok(Duration::from_millis(total))
}

/// Parses a size.
///
/// # Errors
/// Why it is invalid.
pub(crate) fn size(text: &str) -> Result<usize, Invalid> {
    let [(number, unit)] = parts(text)?[..] else {
        return Err("must be a size, e.g. 4096, 512KiB or 64MiB");
    };
    let factor =
        factor(&SIZE_UNITS, unit).ok_or("the units of a size are B, kB, MB, KiB, MiB and GiB")?;
    let bytes = number.checked_mul(factor).ok_or("too large")?;
    usize::try_from(bytes).map_err(|_| "too large")
}

fn write_duration(duration: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut left = duration.as_millis();
    if left == 0 {
        return f.write_str("0s");
    }
    for (unit, factor) in TIME_UNITS.iter().rev() {
        let number = left / u128::from(*factor);
        if number > 0 {
            write!(f, "{number}{unit}")?;
        }
        left %= u128::from(*factor);
    }
    Ok(())
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_duration(self.0, f)
    }
}

impl fmt::Display for SpanOrNever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write_duration(duration, f),
            None => f.write_str("never"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS[5..].iter().rev().find(|(_, factor)| {
            self.0 as u64 >= *factor && (self.0 as u64).is_multiple_of(*factor)
        });
        match unit {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 as u64 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

fn span_or_never(text: &str) -> Result<SpanOrNever, Invalid> {
    if text == "never" {
        return Ok(SpanOrNever(None));
    }
    duration(text).map(|duration| SpanOrNever(Some(duration)))
}

macro_rules! as_text {
    ($name:ident, $read:expr, $schema_name:literal, $schema:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $read(&text).map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

as_text!(
    Span,
    |text: &str| duration(text).map(Span),
    "Duration",
    json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "description": "A duration: 500ms, 30s, 5m, 1h30m, 1d."})
);
as_text!(
    SpanOrNever,
    span_or_never,
    "DurationOrNever",
    json_schema!({"type": "string", "pattern": "^(never|([0-9]+(ms|s|m|h|d))+)$", "description": "A duration, or `never`."})
);
as_text!(
    Size,
    |text: &str| size(text).map(Size),
    "Size",
    json_schema!({"type": ["string", "integer"], "minimum": 0, "pattern": "^[0-9]+(B|kB|KB|MB|KiB|MiB|GiB)?$", "description": "A size in bytes: 4096, 512KiB, 64MiB."})
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read, Duration::from_millis(millis));
            assert_eq!(Span(read).to_string(), text);
        }
        for wrong in [
            "",
            "30",
            "s",
            "1x",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "20000000d",
            "1h30",
            "1µs",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(span_or_never("never").unwrap().to_string(), "never");
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("4097", 4097),
            ("1GiB", 1 << 30),
            ("512KiB", 512 << 10),
        ] {
            let read = size(text).unwrap();
            assert_eq!(read, bytes);
            assert_eq!(Size(read).to_string(), text);
        }
        assert_eq!(size("1MB").unwrap(), 1_000_000);
        for wrong in ["", "MiB", "1TiB", "1MiB2", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
