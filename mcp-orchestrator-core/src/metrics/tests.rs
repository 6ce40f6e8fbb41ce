use super::calls::METHODS;
use super::*;
use crate::error::{Error, ErrorKind};

/// A state with one server.
struct OneServer;

impl ReadCurrent for OneServer {
    fn current(&self) -> Option<Current> {
        Some(Current {
            servers: vec![ServerState {
                server: "git".to_owned(),
                running: 2,
                starting: 0,
                unreachable: 1,
                failed: 0,
                calls: 3,
            }],
            sessions: 4,
            parked_calls: 5,
        })
    }
}

/// Metrics with a sample of each.
fn sampled() -> Metrics {
    let metrics = Metrics::new(Box::new(OneServer));
    let server = ServerId::new("git").unwrap();
    metrics.started(&server, StartKind::Started, Duration::from_secs(3));
    metrics.start_failed(&server);
    metrics.ended(&server, EndCause::Exited);
    metrics.renewed(&server, Renewal::Failed);
    call(&metrics, "main", "tools/call", ErrorKind::StartFailed);
    metrics
}

fn call(metrics: &Metrics, gateway: &str, method: &str, kind: ErrorKind) {
    let gateway = GatewayId::new(gateway).unwrap();
    let series = metrics.unrouted(&gateway, || gateway.as_str() == "main");
    let method = (MethodIndex::of(method), Era::Modern);
    let reply = Err(Error::new(kind, "no"));
    metrics.call(&series, method, Duration::from_millis(7), &reply);
}

/// Returns the names of a sample's labels, as the page lists them.
fn labels(text: &str, sample: &str) -> String {
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(sample)?;
        rest.starts_with(['{', ' ']).then_some(rest)
    });
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
    let page = include_str!("../../../docs/observability.md");
    let text = sampled().text();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut count = 0;
    for (name, kind) in kinds.filter_map(|line| line.split_once(' ')) {
        let (name, sample) = match kind {
            "counter" => (format!("{name}_total"), format!("{name}_total")),
            "histogram" => (name.to_owned(), format!("{name}_count")),
            "info" => (format!("{name}_info"), format!("{name}_info")),
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

#[test]
fn names_that_clients_choose_become_no_labels() {
    let metrics = sampled();
    for n in 0..1000 {
        let (gateway, method) = (format!("g{n}"), format!("evil/{n}"));
        call(&metrics, &gateway, &method, ErrorKind::MethodNotFound);
    }
    let text = metrics.text();
    let calls = text
        .lines()
        .filter(|line| line.starts_with("mcp_orchestrator_calls_total"));
    let calls: Vec<_> = calls.collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let other = r#"{gateway="",server="",method="other",era="modern",outcome="error"} 1000"#;
    assert!(calls.iter().any(|line| line.ends_with(other)), "{calls:?}");
    assert!(!text.contains("evil"), "{text}");
}

#[test]
fn gateways_beyond_the_limit_share_a_label() {
    let (metrics, server) = (sampled(), ServerId::new("git").unwrap());
    let series = ServerSeries::default();
    let call = |n: usize| {
        let gateway = GatewayId::new(format!("g{n}")).unwrap();
        let of = series.of(&server, Some(&gateway));
        let reply = Err(Error::new(ErrorKind::Unavailable, "no"));
        let method = (MethodIndex::of("tools/call"), Era::Legacy);
        metrics.call(&of, method, Duration::ZERO, &reply);
    };
    (0..300).for_each(call);
    // A known gateway keeps its label.
    call(7);
    let text = metrics.text();
    let of = |gateway: &str| format!(r#"{{gateway="{gateway}",server="git",method="tools/call""#);
    assert_eq!(
        text.matches(r#"server="git",method="tools/call",era"#)
            .count(),
        257
    );
    let line = |gateway: &str| {
        let found = text.lines().find(|line| line.contains(&of(gateway)));
        found
            .unwrap_or_default()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!((line("g7"), line("")), ("2".to_owned(), "44".to_owned()));
}
