//! Reports whether spans can be exported: once when it begins to fail, and once when it works again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Logs the outcome of exports where it changes, so that a collector that is away does not fill the log.
#[derive(Debug)]
pub(super) struct ReportingExporter<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E> ReportingExporter<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self {
            exporter,
            is_failing: AtomicBool::new(false),
        }
    }

    /// Records an outcome. Returns `true` if it differs from the one before.
    fn changed(&self, outcome: &OTelSdkResult) -> bool {
        let fails = outcome.is_err();
        self.is_failing.swap(fails, Ordering::Relaxed) != fails
    }
}

impl<E: SpanExporter> SpanExporter for ReportingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        if self.changed(&outcome) {
            match &outcome {
                Ok(()) => tracing::info!("traces are exported again"),
                Err(error) => tracing::warn!(
                    %error,
                    "cannot export traces: spans are dropped until the collector is available"
                ),
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn only_changes_of_the_outcome_are_reported() {
        let exporter = ReportingExporter::new(());
        let failed = || Err(OTelSdkError::InternalFailure("refused".to_owned()));
        let outcomes = [
            Ok(()),
            failed(),
            failed(),
            failed(),
            Ok(()),
            Ok(()),
            failed(),
        ];
        let reported = outcomes.map(|outcome| exporter.changed(&outcome));
        assert_eq!(reported, [false, true, false, false, true, false, true]);
    }
}
