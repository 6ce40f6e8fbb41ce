//! Detects that a program accepts connections before the kubelet reports it.

use std::time::Duration;

use crate::kubernetes::Access;
use crate::runtime::kubernetes::observe::objects::ObservedPod;
use crate::runtime::kubernetes::render::port_of;
use crate::runtime::{LaunchSpec, TcpConnect};
use crate::server::{Launch, ServerSpec};

/// Pause between attempts. The kubelet probes once per second, and its result arrives up to a second later.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// A node or policy that drops packets must not delay the next attempt for long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// Completes once the program of this pod accepts a connection.
///
/// Never completes if the kubelet decides: from outside the cluster, where each attempt would be a request to the API
/// server, and for a program with probes of its own.
pub(super) async fn accepts(access: &Access, launch: &LaunchSpec, pod: &ObservedPod) {
    let address = pod.address.as_deref().filter(|_| access.is_inside());
    match program(&launch.server, address) {
        Some(program) => until_open(&program).await,
        None => std::future::pending().await,
    }
}

/// Returns how the program is reached, or `None` if the kubelet decides when it accepts connections. `address` is
/// absent outside the cluster.
fn program(server: &ServerSpec, address: Option<&str>) -> Option<TcpConnect> {
    let port = port_of(server).filter(|_| !has_probes(server))?;
    Some(TcpConnect::new(address?, port))
}

fn has_probes(server: &ServerSpec) -> bool {
    match &server.launch {
        Launch::Program(program) => {
            let probes = &program.container.probes;
            probes.startup.is_some() || probes.readiness.is_some()
        }
        Launch::Remote(_) => false,
    }
}

async fn until_open(program: &TcpConnect) {
    loop {
        let attempt = tokio::time::timeout(ATTEMPT_TIMEOUT, program.stream());
        if let Ok(Ok(_)) = attempt.await {
            return;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::id::ServerId;
    use crate::server::{PortOwner, Program, ProgramTransport};

    fn web(change: impl FnOnce(&mut Program)) -> ServerSpec {
        let mut program = Program {
            transport: ProgramTransport::Http {
                port: Some(8080),
                path: "/mcp".into(),
                owner: PortOwner::default(),
            },
            ..Program::default()
        };
        change(&mut program);
        ServerSpec::new(ServerId::new("web").unwrap(), Launch::Program(program))
    }

    #[test]
    fn only_programs_without_probes_are_asked_from_inside_the_cluster() {
        let (plain, address) = (web(|_| {}), Some("10.0.0.1"));
        assert!(program(&plain, address).is_some());
        assert!(program(&plain, None).is_none());
        let stdio = web(|program| program.transport = ProgramTransport::Stdio);
        assert!(program(&stdio, address).is_none());
        let probe = || Some(serde_json::json!({ "tcpSocket": { "port": 1 } }));
        let own = web(|program| program.container.probes.startup = probe());
        assert!(program(&own, address).is_none());
        let own = web(|program| program.container.probes.readiness = probe());
        assert!(program(&own, address).is_none());
    }

    #[tokio::test]
    async fn program_that_opens_its_port_late_is_found() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let program = TcpConnect::new("127.0.0.1", address.port());
        let mut opened = std::pin::pin!(until_open(&program));
        let refused = tokio::time::timeout(3 * RETRY_INTERVAL, &mut opened).await;
        assert!(refused.is_err(), "nothing listens yet");
        let _listener = TcpListener::bind(address).await.unwrap();
        opened.await;
    }
}
