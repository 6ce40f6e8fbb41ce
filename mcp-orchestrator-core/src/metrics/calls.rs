//! Metrics of calls. The series of a server, a gateway and a method are resolved once and kept, so that a call looks
//! nothing up by name.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, ServerId};
use crate::protocol::{Era, method as m};

/// Maximum number of gateways with series of their own, per server. Further ones share the empty label.
const MAX_GATEWAYS: usize = 256;

/// The methods with their own series; all others share one label, because clients choose the name.
pub(super) const METHODS: [&str; 9] = [
    m::TOOLS_CALL,
    m::TOOLS_LIST,
    m::PROMPTS_GET,
    m::PROMPTS_LIST,
    m::RESOURCES_READ,
    m::RESOURCES_LIST,
    m::COMPLETE,
    m::INITIALIZE,
    m::DISCOVER,
];

/// Index of a method's series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MethodIndex(usize);

impl MethodIndex {
    /// Returns the index of a method.
    pub(crate) fn of(method: &str) -> Self {
        let known = METHODS.iter().position(|known| *known == method);
        Self(known.unwrap_or(METHODS.len()))
    }

    fn label(self) -> &'static str {
        METHODS.get(self.0).copied().unwrap_or("other")
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Ok,
    /// The server responded with a JSON-RPC error.
    ServerError,
    /// The gateway responded with an error.
    Error,
}

impl Outcome {
    fn of(reply: &Result<Reply>) -> Self {
        match reply {
            Ok(reply) if reply.is_error() => Self::ServerError,
            Ok(_) => Self::Ok,
            Err(_) => Self::Error,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ServerError => "server_error",
            Self::Error => "error",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    gateway: String,
    server: String,
    method: &'static str,
    era: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    server: String,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    server: String,
    kind: String,
}

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

/// The families of the metrics of calls, and the series of calls that no server received.
#[derive(Debug)]
pub(super) struct CallMetrics {
    calls: Family<CallLabels, Counter>,
    durations: Durations,
    errors: Family<ErrorLabels, Counter>,
    /// Calls that no server received.
    unrouted: ServerSeries,
}

impl CallMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new: fn() -> Histogram =
            || Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]);
        let metrics = Self {
            calls: Family::default(),
            durations: Family::new_with_constructor(new),
            errors: Family::default(),
            unrouted: ServerSeries::default(),
        };
        let help = "Requests of clients";
        registry.register("calls", help, metrics.calls.clone());
        let (help, durations) = (
            "Time until the first part of a response",
            metrics.durations.clone(),
        );
        registry.register_with_unit("call_duration", help, Unit::Seconds, durations);
        let help = "Requests of clients that failed, by the kind of error";
        registry.register("call_errors", help, metrics.errors.clone());
        metrics
    }

    /// Returns the series of calls that no server received. `exists` says whether the gateway exists, because clients
    /// choose its name.
    pub(super) fn unrouted(
        &self,
        gateway: &GatewayId,
        exists: impl FnOnce() -> bool,
    ) -> Arc<GatewaySeries> {
        self.unrouted.find(gateway).unwrap_or_else(|| {
            let gateway = exists().then_some(gateway);
            self.unrouted.get(None, gateway)
        })
    }

    pub(super) fn record(
        &self,
        series: &GatewaySeries,
        (method, era): (MethodIndex, Era),
        took: Duration,
        reply: &Result<Reply>,
    ) {
        let outcome = Outcome::of(reply);
        let cells = &series.cells[method.0];
        let calls = cells.calls[era as usize][outcome as usize].get_or_init(|| {
            let labels = CallLabels {
                gateway: series.gateway.clone(),
                server: series.server.clone(),
                method: method.label(),
                era: era_label(era),
                outcome: outcome.label(),
            };
            self.calls.get_or_create_owned(&labels)
        });
        calls.inc();
        let duration = cells.duration.get_or_init(|| {
            let labels = DurationLabels {
                server: series.server.clone(),
                method: method.label(),
            };
            self.durations.get_or_create_owned(&labels)
        });
        duration.observe(took.as_secs_f64());
        if let Err(error) = reply {
            self.failed(&series.server, error);
        }
    }

    fn failed(&self, server: &str, error: &Error) {
        // Frequent and not a failure.
        if error.kind() == ErrorKind::Cancelled {
            return;
        }
        let labels = ErrorLabels {
            server: server.to_owned(),
            kind: error.kind().word(),
        };
        self.errors.get_or_create(&labels).inc();
    }
}

fn era_label(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

/// The series of the calls to a server, by gateway.
#[derive(Debug, Default)]
pub(crate) struct ServerSeries {
    gateways: ArcSwap<Vec<(Option<GatewayId>, Arc<GatewaySeries>)>>,
}

impl ServerSeries {
    /// Returns the series of calls through a gateway to this server; `None`: of calls past the gateways.
    pub(crate) fn of(&self, server: &ServerId, gateway: Option<&GatewayId>) -> Arc<GatewaySeries> {
        let found = gateway.and_then(|gateway| self.find(gateway));
        found.unwrap_or_else(|| self.get(Some(server), gateway))
    }

    fn find(&self, gateway: &GatewayId) -> Option<Arc<GatewaySeries>> {
        let gateways = self.gateways.load();
        let mut known = gateways.iter();
        let found = known.find(|(known, _)| known.as_ref() == Some(gateway));
        found.map(|(_, series)| Arc::clone(series))
    }

    /// Returns the series of a gateway and adds them if necessary.
    fn get(&self, server: Option<&ServerId>, gateway: Option<&GatewayId>) -> Arc<GatewaySeries> {
        let new = |gateway: Option<&GatewayId>| {
            let series = GatewaySeries {
                gateway: gateway.map_or("", GatewayId::as_str).to_owned(),
                server: server.map_or("", ServerId::as_str).to_owned(),
                cells: std::array::from_fn(|_| Cells::default()),
            };
            (gateway.cloned(), Arc::new(series))
        };
        let mut found = None;
        self.gateways.rcu(|before| {
            let gateway = gateway.filter(|gateway| {
                let is_known =
                    |(known, _): &(Option<GatewayId>, _)| known.as_ref() == Some(*gateway);
                before.len() < MAX_GATEWAYS || before.iter().any(is_known)
            });
            let known = before.iter().find(|(known, _)| known.as_ref() == gateway);
            if let Some((_, series)) = known {
                found = Some(Arc::clone(series));
                return Arc::clone(before);
            }
            let added = new(gateway);
            found = Some(Arc::clone(&added.1));
            let mut after = Vec::clone(before);
            after.push(added);
            Arc::new(after)
        });
        found.unwrap_or_else(|| new(None).1)
    }
}

/// The series of the calls through a gateway to a server.
#[derive(Debug)]
pub(crate) struct GatewaySeries {
    gateway: String,
    server: String,
    cells: [Cells; METHODS.len() + 1],
}

/// The series of a method, which appear with their first call.
#[derive(Debug, Default)]
struct Cells {
    /// By era and outcome.
    calls: [[OnceLock<Counter>; 3]; 2],
    duration: OnceLock<Histogram>,
}
