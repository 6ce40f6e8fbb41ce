//! A collector of OTLP traces, over HTTP or gRPC.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use mcp_orchestrator_tests::wait::within;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span as SentSpan;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

/// A received span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    /// 2: server, 3: client.
    pub(crate) kind: i32,
    /// 2: error.
    pub(crate) status: i32,
    attributes: Vec<(String, String)>,
}

impl Span {
    /// Returns an attribute, or an empty text if there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

impl From<SentSpan> for Span {
    fn from(span: SentSpan) -> Self {
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        let attributes = span.attributes.into_iter().map(|pair| {
            let value = match pair.value.and_then(|value| value.value) {
                Some(Value::StringValue(text)) => text,
                other => format!("{other:?}"),
            };
            (pair.key, value)
        });
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            kind: span.kind,
            status: span.status.map_or(0, |status| status.code),
            attributes: attributes.collect(),
        }
    }
}

#[derive(Clone)]
struct Received {
    spans: mpsc::Sender<Span>,
    has_key: Arc<AtomicBool>,
}

impl Received {
    async fn take(&self, request: ExportTraceServiceRequest, key: bool) {
        self.has_key.fetch_or(key, Ordering::Relaxed);
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|it| it.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            self.spans.send(span.into()).await.unwrap();
        }
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let key = request.metadata().contains_key("x-collector-key");
        self.take(request.into_inner(), key).await;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn by_http(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let key = headers.contains_key("x-collector-key");
    received.take(request, key).await;
    ExportTraceServiceResponse::default().encode_to_vec()
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    spans: mpsc::Receiver<Span>,
    has_key: Arc<AtomicBool>,
    _server: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, spans) = mpsc::channel(10_000);
        let received = Received {
            spans: sender,
            has_key: Arc::default(),
        };
        let has_key = Arc::clone(&received.has_key);
        let mut server = JoinSet::new();
        let routes = match protocol {
            Protocol::Http => axum::Router::new()
                .route("/v1/traces", post(by_http))
                .with_state(received),
            Protocol::Grpc => tonic::service::Routes::new(TraceServiceServer::new(received))
                .prepare()
                .into_axum_router(),
        };
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            spans,
            has_key,
            _server: server,
        }
    }

    /// Returns the received spans once they are complete.
    pub(crate) async fn until(&mut self, is_complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut all = Vec::new();
        let received = async {
            while !is_complete(&all) {
                all.push(self.spans.recv().await.unwrap());
            }
        };
        within("the spans", received).await;
        all
    }

    /// Returns `true` if an export had the header that the environment sets.
    pub(crate) fn has_key(&self) -> bool {
        self.has_key.load(Ordering::Relaxed)
    }
}
