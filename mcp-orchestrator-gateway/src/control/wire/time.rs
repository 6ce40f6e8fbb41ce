//! Times as they appear in JSON: `2026-01-31T08:00:00.250Z`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Formats a time in UTC, to the millisecond.
pub(crate) fn utc(time: SystemTime) -> String {
    let milli = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_millis();
    let seconds = mcp_orchestrator_core::time::utc(time);
    format!("{}.{milli:03}Z", seconds.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_formatted_as_utc_calendar_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_007, "2025-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }
}
