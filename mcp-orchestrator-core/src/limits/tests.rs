//! Tests of the list of limits.

use super::*;

#[test]
fn the_documentation_lists_every_limit_with_its_value() {
    let page = include_str!("../../../docs/limits.md");
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
