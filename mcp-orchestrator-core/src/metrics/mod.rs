//! Metrics. Each orchestrator has its own registry; nothing global is used.

mod calls;
mod current;
mod instances;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::calls::CallMetrics;
pub(crate) use self::calls::{GatewaySeries, MethodIndex, ServerSeries};
use self::current::CurrentMetrics;
pub(crate) use self::current::{Current, ReadCurrent, ServerState};
use self::instances::InstanceMetrics;
pub(crate) use self::instances::{EndCause, Renewal, StartKind};
use crate::call::Reply;
use crate::error::Result;
use crate::id::{GatewayId, ServerId};
use crate::protocol::Era;

/// The metrics of one orchestrator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: CallMetrics,
    instances: InstanceMetrics,
}

impl Metrics {
    /// Creates the metrics. `current` is asked for the present state when they are read.
    pub(crate) fn new(current: Box<dyn ReadCurrent>) -> Self {
        let mut registry = Registry::with_prefix("mcp_orchestrator");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the gateway", build);
        let calls = CallMetrics::new(&mut registry);
        let instances = InstanceMetrics::new(&mut registry);
        registry.register_collector(Box::new(CurrentMetrics(current)));
        Self {
            registry,
            calls,
            instances,
        }
    }

    /// Records a call when the first part of its response, or an error, arrives.
    pub(crate) fn call(
        &self,
        series: &GatewaySeries,
        (method, era): (MethodIndex, Era),
        took: Duration,
        reply: &Result<Reply>,
    ) {
        self.calls.record(series, (method, era), took, reply);
    }

    /// Returns the series of calls that no server received. `exists` says whether the gateway exists.
    pub(crate) fn unrouted(
        &self,
        gateway: &GatewayId,
        exists: impl FnOnce() -> bool,
    ) -> Arc<GatewaySeries> {
        self.calls.unrouted(gateway, exists)
    }

    pub(crate) fn started(&self, server: &ServerId, kind: StartKind, took: Duration) {
        self.instances.started(server, kind, took);
    }

    pub(crate) fn start_failed(&self, server: &ServerId) {
        self.instances.start_failed(server);
    }

    pub(crate) fn ended(&self, server: &ServerId, cause: EndCause) {
        self.instances.ended(server, cause);
    }

    pub(crate) fn renewed(&self, server: &ServerId, outcome: Renewal) {
        self.instances.renewed(server, outcome);
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests;
