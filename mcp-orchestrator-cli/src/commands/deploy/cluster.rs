//! The cluster section of `check`: which cluster is used, and whether it grants all required permissions.

use mcp_orchestrator_core::app::ClusterReview;
use mcp_orchestrator_core::config::KubernetesSettings;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::output;

/// The result of the review.
#[derive(Debug)]
pub(crate) struct Cluster(Result<ClusterReview, String>);

impl Cluster {
    /// Reviews the cluster. Starts and changes nothing.
    pub(crate) async fn look(settings: &KubernetesSettings) -> Self {
        Self(settings.review().await.map_err(|error| error.to_string()))
    }

    /// Returns `true` if the cluster is reachable and grants all required permissions.
    pub(crate) fn is_right(&self) -> bool {
        self.0.as_ref().is_ok_and(|found| found.denied.is_empty())
    }

    /// Returns the result as JSON.
    pub(crate) fn json(&self) -> Value {
        match &self.0 {
            Ok(found) => json!({"chosen": found.said, "denied": found.denied}),
            Err(error) => json!({"error": error}),
        }
    }

    /// Prints the result as text.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        match &self.0 {
            Ok(found) => {
                output::line(&found.said)?;
                for denied in &found.denied {
                    output::line(&format!("error: {denied}"))?;
                }
                match found.denied.len() {
                    0 => output::line("it allows all that is needed"),
                    count => output::line(&format!("{count} rights are missing there")),
                }
            }
            Err(error) => output::line(&format!("error: {error}")),
        }
    }
}
