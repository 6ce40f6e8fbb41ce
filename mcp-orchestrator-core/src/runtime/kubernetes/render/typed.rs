//! Validates Kubernetes structures that the configuration passes on.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Failed;

/// Returns the value if it deserializes as `T`, the Kubernetes type that it should have.
pub(super) fn checked<T: DeserializeOwned>(
    key: &'static str,
    kind: &'static str,
    value: &Value,
) -> Result<Value, Failed> {
    match T::deserialize(value) {
        Ok(_) => Ok(value.clone()),
        Err(error) => Err(Failed::Json { key, kind, error }),
    }
}
