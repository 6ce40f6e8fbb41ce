//! Metrics. Each orchestrator has its own registry; nothing global is used.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::error::ErrorKind;
use crate::id::ServerId;
use crate::protocol::method as m;

/// The metrics of one orchestrator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: [PerMethod; METHODS.len() + 1],
    starts: Family<OfServer, Counter>,
    ends: Family<OfEnd, Counter>,
    instances: Family<OfServer, Gauge>,
    sessions: Gauge,
}

/// The methods with their own metrics; all others share one label.
const METHODS: [&str; 9] = [
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

#[derive(Debug, Clone)]
struct PerMethod {
    ok: Counter,
    failed: Counter,
    seconds: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfServer {
    server: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfEnd {
    server: String,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfMethod {
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCall {
    method: &'static str,
    outcome: &'static str,
}

/// Returns the index of a method's metrics.
pub(crate) fn method_label(method: &str) -> usize {
    METHODS
        .iter()
        .position(|known| *known == method)
        .unwrap_or(METHODS.len())
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mcp_orchestrator");
        let calls: Family<OfCall, Counter> = Family::default();
        let seconds: Family<OfMethod, Histogram> = Family::new_with_constructor(|| {
            Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
        });
        let starts = Family::default();
        let ends = Family::default();
        let instances = Family::default();
        let sessions = Gauge::default();
        registry.register("calls", "Requests of clients", calls.clone());
        let help = "Time until the first of an answer";
        registry.register_with_unit("call_duration", help, Unit::Seconds, seconds.clone());
        registry.register("instance_starts", "Instances started", starts.clone());
        registry.register(
            "instance_ends",
            "Instances ended, by themselves or by us",
            ends.clone(),
        );
        registry.register("instances", "Instances that run", instances.clone());
        registry.register(
            "sessions",
            "Legacy sessions that are open",
            sessions.clone(),
        );
        let calls = std::array::from_fn(|at| {
            let method = METHODS.get(at).copied().unwrap_or("other");
            // A family's guard must be dropped before the next one is acquired.
            let ok = calls
                .get_or_create(&OfCall {
                    method,
                    outcome: "ok",
                })
                .clone();
            let failed = calls
                .get_or_create(&OfCall {
                    method,
                    outcome: "error",
                })
                .clone();
            let seconds = seconds.get_or_create(&OfMethod { method }).clone();
            PerMethod {
                ok,
                failed,
                seconds,
            }
        });
        Self {
            registry,
            calls,
            starts,
            ends,
            instances,
            sessions,
        }
    }
}

impl Metrics {
    /// Records a call when the first part of its response, or an error, arrives.
    pub(crate) fn call(&self, method: usize, took: Duration, error: Option<ErrorKind>) {
        let per = &self.calls[method];
        if error.is_none() {
            per.ok.inc()
        } else {
            per.failed.inc()
        };
        per.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn started(&self, server: &ServerId) {
        let of = OfServer {
            server: server.to_string(),
        };
        self.starts.get_or_create(&of).inc();
        self.instances.get_or_create(&of).inc();
    }

    pub(crate) fn ended(&self, server: &ServerId, by_itself: bool) {
        let cause = if by_itself { "exited" } else { "stopped" };
        self.ends
            .get_or_create(&OfEnd {
                server: server.to_string(),
                cause,
            })
            .inc();
        self.instances
            .get_or_create(&OfServer {
                server: server.to_string(),
            })
            .dec();
    }

    pub(crate) fn sessions(&self, open: usize) {
        self.sessions.set(i64::try_from(open).unwrap_or(i64::MAX));
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
mod tests {
    use super::*;

    /// Returns the names of a sample's labels, as the page lists them.
    fn labels(text: &str, sample: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        let line = line.unwrap_or_else(|| panic!("{sample} has no sample in\n{text}"));
        let inside = line.strip_prefix('{').and_then(|line| line.split_once('}'));
        let Some((pairs, _)) = inside else {
            return String::new();
        };
        let names = pairs.split(',').filter_map(|pair| pair.split_once('='));
        let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
        format!("{} ", names.join(", "))
    }

    #[test]
    fn documentation_lists_every_metric() {
        let page = include_str!("../../docs/observability.md");
        let metrics = Metrics::default();
        let server = ServerId::new("git").unwrap();
        metrics.started(&server);
        metrics.ended(&server, true);
        let text = metrics.text();
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut count = 0;
        for (name, kind) in kinds.filter_map(|line| line.split_once(' ')) {
            let (name, sample) = match kind {
                "counter" => (format!("{name}_total"), format!("{name}_total")),
                "histogram" => (name.to_owned(), format!("{name}_count")),
                _ => (name.to_owned(), name.to_owned()),
            };
            let row = format!("| `{name}` | {kind} | {}| ", labels(&text, &sample));
            assert!(
                page.contains(&row),
                "docs/observability.md lacks the row {row}"
            );
            count += 1;
        }
        let rows = page.matches("\n| `mcp_orchestrator_").count();
        assert_eq!(rows, count, "the page lists a metric that does not exist");
        for method in METHODS {
            assert!(page.contains(&format!("`{method}`")), "{method}");
        }
    }
}
