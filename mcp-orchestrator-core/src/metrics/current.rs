//! Metrics of the present state. They are computed when they are read, so that keeping them costs a call nothing.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The present state of an orchestrator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    pub(crate) servers: Vec<ServerState>,
    pub(crate) sessions: usize,
    pub(crate) parked_calls: usize,
}

/// The instances of a server, by state, and their calls.
#[derive(Clone, Debug)]
pub(crate) struct ServerState {
    pub(crate) server: String,
    /// Instances that can be called.
    pub(crate) running: usize,
    pub(crate) starting: usize,
    /// Instances that run but cannot be reached.
    pub(crate) unreachable: usize,
    /// Instances whose last start failed.
    pub(crate) failed: usize,
    pub(crate) calls: usize,
}

/// Reports the present state. `None`: the orchestrator is gone.
pub(crate) trait ReadCurrent: Send + Sync {
    fn current(&self) -> Option<Current>;
}

pub(super) struct CurrentMetrics(pub(super) Box<dyn ReadCurrent>);

impl fmt::Debug for CurrentMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentMetrics").finish_non_exhaustive()
    }
}

impl Collector for CurrentMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let current = self.0.current().unwrap_or_default();
        let help = "Instances by state";
        let mut family = encoder.encode_descriptor("instances", help, None, MetricType::Gauge)?;
        for server in &current.servers {
            let states = [
                ("running", server.running),
                ("starting", server.starting),
                ("unreachable", server.unreachable),
                ("failed", server.failed),
            ];
            for (state, count) in states {
                let labels = [("server", &*server.server), ("state", state)];
                gauge(family.encode_family(&labels)?, count)?;
            }
        }
        let help = "Calls that instances are answering";
        let mut family =
            encoder.encode_descriptor("calls_in_flight", help, None, MetricType::Gauge)?;
        for server in &current.servers {
            let labels = [("server", &*server.server)];
            gauge(family.encode_family(&labels)?, server.calls)?;
        }
        let help = "Open legacy sessions";
        let sessions = encoder.encode_descriptor("sessions", help, None, MetricType::Gauge)?;
        gauge(sessions, current.sessions)?;
        let help = "Calls that wait for their client to answer a request of the server";
        let parked = encoder.encode_descriptor("parked_calls", help, None, MetricType::Gauge)?;
        gauge(parked, current.parked_calls)
    }
}

fn gauge(encoder: MetricEncoder<'_>, value: usize) -> fmt::Result {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(encoder)
}
