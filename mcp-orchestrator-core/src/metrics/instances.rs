//! Metrics of instances and of their credentials, counted as they start, end and change.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::id::ServerId;

/// How an instance became ready.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StartKind {
    Started,
    /// It ran before and was reattached.
    Reattached,
}

/// How an instance ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EndCause {
    /// By itself.
    Exited,
    /// It was stopped.
    Stopped,
}

/// The outcome of a renewal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Renewal {
    Renewed,
    Failed,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServerLabels {
    server: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StartLabels {
    server: String,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabels {
    server: String,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RenewalLabels {
    server: String,
    outcome: &'static str,
}

type Durations = Family<ServerLabels, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct InstanceMetrics {
    starts: Family<StartLabels, Counter>,
    start_failures: Family<ServerLabels, Counter>,
    start_durations: Durations,
    ends: Family<EndLabels, Counter>,
    renewals: Family<RenewalLabels, Counter>,
}

impl InstanceMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new: fn() -> Histogram =
            || Histogram::new([0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0]);
        let metrics = Self {
            starts: Family::default(),
            start_failures: Family::default(),
            start_durations: Family::new_with_constructor(new),
            ends: Family::default(),
            renewals: Family::default(),
        };
        let help = "Instances that became ready";
        registry.register("instance_starts", help, metrics.starts.clone());
        let help = "Starts of instances that failed";
        registry.register(
            "instance_start_failures",
            help,
            metrics.start_failures.clone(),
        );
        let help = "Time from the start of an instance until it is ready";
        let durations = metrics.start_durations.clone();
        registry.register_with_unit("instance_start_duration", help, Unit::Seconds, durations);
        let help = "Instances that ended";
        registry.register("instance_ends", help, metrics.ends.clone());
        let help = "Renewals of credentials that running instances hold";
        registry.register("credential_renewals", help, metrics.renewals.clone());
        metrics
    }

    pub(super) fn started(&self, server: &ServerId, kind: StartKind, took: Duration) {
        let labels = StartLabels {
            server: server.to_string(),
            kind: match kind {
                StartKind::Started => "start",
                StartKind::Reattached => "reattach",
            },
        };
        self.starts.get_or_create(&labels).inc();
        if let StartKind::Started = kind {
            let server = labels.server;
            let durations = self.start_durations.get_or_create(&ServerLabels { server });
            durations.observe(took.as_secs_f64());
        }
    }

    pub(super) fn start_failed(&self, server: &ServerId) {
        let labels = ServerLabels {
            server: server.to_string(),
        };
        self.start_failures.get_or_create(&labels).inc();
    }

    pub(super) fn ended(&self, server: &ServerId, cause: EndCause) {
        let labels = EndLabels {
            server: server.to_string(),
            cause: match cause {
                EndCause::Exited => "exited",
                EndCause::Stopped => "stopped",
            },
        };
        self.ends.get_or_create(&labels).inc();
    }

    pub(super) fn renewed(&self, server: &ServerId, outcome: Renewal) {
        let labels = RenewalLabels {
            server: server.to_string(),
            outcome: match outcome {
                Renewal::Renewed => "ok",
                Renewal::Failed => "error",
            },
        };
        self.renewals.get_or_create(&labels).inc();
    }
}
