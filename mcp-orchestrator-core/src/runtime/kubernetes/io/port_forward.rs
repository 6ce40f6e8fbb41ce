//! Connections to a pod's port: directly from inside the cluster, by port-forward from outside.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::kubernetes::Access;
use crate::kubernetes::client::errors::Action;
use crate::runtime::{BoxedIo, Connect, TcpConnect};

/// Returns a connector to this port of a pod. Each connection is a new one.
///
/// `address` is the pod's IP address, which is used only from inside the cluster.
pub fn connect_to(access: &Access, pod: &str, address: &str, port: u16) -> Arc<dyn Connect> {
    if access.is_inside() {
        return Arc::new(ByAddress {
            pod: pod.to_owned(),
            tcp: TcpConnect::new(address, port),
        });
    }
    Arc::new(ByForward {
        access: access.clone(),
        pod: pod.to_owned(),
        port,
    })
}

/// Connects to the pod's IP address.
#[derive(Debug)]
struct ByAddress {
    pod: String,
    tcp: TcpConnect,
}

#[async_trait]
impl Connect for ByAddress {
    async fn connect(&self) -> io::Result<BoxedIo> {
        let stream = self.tcp.stream().await;
        let stream = stream
            .map_err(|error| io::Error::new(error.kind(), format!("pod {}: {error}", self.pod)))?;
        Ok(Box::new(stream))
    }
}

/// Connects through the API server and the kubelet of the pod's node.
#[derive(Debug)]
struct ByForward {
    access: Access,
    pod: String,
    port: u16,
}

#[async_trait]
impl Connect for ByForward {
    async fn connect(&self) -> io::Result<BoxedIo> {
        let namespace = self.access.namespace();
        let pods: Api<Pod> = Api::namespaced(self.access.client().clone(), namespace);
        let ports = [self.port];
        let action = Action::new("create", "pods/portforward", namespace).on(&self.pod);
        let forward = self
            .access
            .send(action, || pods.portforward(&self.pod, &ports));
        let forward = forward.await;
        let mut forwarder = forward.map_err(|refusal| io::Error::other(action.error(refusal)))?;
        let gone = || io::Error::other("the port-forward has no stream for its port");
        let stream = forwarder.take_stream(self.port).ok_or_else(gone)?;
        let refused = forwarder.take_error(self.port).ok_or_else(gone)?;
        Ok(Box::new(Forwarded {
            place: format!("pod {} port {}", self.pod, self.port),
            stream,
            refused: Some(refused.boxed()),
            forwarder,
        }))
    }
}

/// A connection through the API server. Dropping it closes the port-forward.
struct Forwarded {
    place: String,
    stream: DuplexStream,
    /// The node's error message if the port cannot be reached.
    refused: Option<BoxFuture<'static, Option<String>>>,
    forwarder: Portforwarder,
}

impl Forwarded {
    /// Returns the node's error if it has reported one by now.
    fn said(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(refused) = &mut self.refused else {
            return Ok(());
        };
        let Poll::Ready(said) = refused.poll_unpin(cx) else {
            return Ok(());
        };
        self.refused = None;
        said.map_or(Ok(()), |text| Err(refusal(&self.place, &text)))
    }
}

/// Converts the node's message into an error, without details of the node.
fn refusal(place: &str, said: &str) -> io::Error {
    if said.contains("connection refused") {
        let text = format!("{place}: connection refused");
        return io::Error::new(io::ErrorKind::ConnectionRefused, text);
    }
    let text = format!("the connection to {place} was lost: {}", cause(said));
    io::Error::new(io::ErrorKind::ConnectionAborted, text)
}

/// Returns the last part of the node's message; the parts before it contain IDs, paths and addresses of the node.
fn cause(said: &str) -> &str {
    let mut cause = said.trim();
    for before in [", uid : ", "in network namespace "] {
        cause = cause.split_once(before).map_or(cause, |(_, rest)| rest);
    }
    if let Some((_, rest)) = cause.strip_prefix('"').and_then(|it| it.split_once("\": ")) {
        cause = rest;
    }
    match cause.rsplit_once(": ") {
        Some((before, last)) if before.contains("tcp") => last,
        _ => cause,
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer)?;
        if read.is_ready() && (buffer.filled().len() > before || buffer.remaining() == 0) {
            return Poll::Ready(Ok(()));
        }
        // The node's error is checked before end-of-file is reported, so that it is not lost.
        self.said(cx)?;
        read.map(Ok)
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forwarded({})", self.place)
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn pod_address_upholds_the_connector_contract() {
        let peer = crate::testing::connect::HttpPeer::start().await;
        let connect = ByAddress {
            pod: "web".to_owned(),
            tcp: TcpConnect::new("127.0.0.1", peer.address().port()),
        };
        crate::testing::connect::suite(&connect).await;
    }

    #[test]
    fn node_errors_are_reported_without_node_paths() {
        let ids = "error forwarding port 8080 to pod 49e19b, uid : ";
        let inside = "failed to execute portforward in network namespace \"/run/netns/cni-0\": ";
        let broken = "readfrom tcp4 127.0.0.1:5->127.0.0.1:8: write tcp4 127.0.0.1:5->127.0.0.1:8: write: broken pipe";
        let lost = "the connection to pod a port 8080 was lost: ";
        for (said, kind, told) in [
            (
                format!("{ids}{inside}{broken}\n"),
                io::ErrorKind::ConnectionAborted,
                format!("{lost}broken pipe"),
            ),
            (
                format!("{ids}failed to find sandbox \"49e19b\" in store: not found"),
                io::ErrorKind::ConnectionAborted,
                format!("{lost}failed to find sandbox \"49e19b\" in store: not found"),
            ),
            (
                format!("{ids}{inside}dial tcp4 127.0.0.1:8080: connect: connection refused"),
                io::ErrorKind::ConnectionRefused,
                "pod a port 8080: connection refused".to_owned(),
            ),
        ] {
            let error = refusal("pod a port 8080", &said);
            assert_eq!((error.kind(), error.to_string()), (kind, told));
        }
    }
}
