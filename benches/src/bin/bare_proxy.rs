//! A reverse proxy that only forwards: the baseline for the gateway's own work.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A reverse proxy that only forwards
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to forward to
    #[arg(long)]
    upstream: SocketAddr,
}

type Sender = client::SendRequest<Incoming>;

/// Idle connections to the upstream.
struct Pool {
    upstream: SocketAddr,
    host: HeaderValue,
    idle: Mutex<Vec<Sender>>,
    drivers: Mutex<JoinSet<()>>,
}

impl Pool {
    async fn take(&self) -> io::Result<Sender> {
        let kept = self.idle.lock().pop();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let mut drivers = self.drivers.lock();
        while drivers.try_join_next().is_some() {}
        drivers.spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn forward(&self, mut request: Request<Incoming>) -> io::Result<Response<Incoming>> {
        let mut sender = self.take().await?;
        let headers = request.headers_mut();
        headers.remove(CONNECTION);
        headers.insert(HOST, self.host.clone());
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        // The next request waits in `ready` until this response has been read.
        self.idle.lock().push(sender);
        Ok(response)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is the output")]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let pool = Arc::new(Pool {
        upstream: args.upstream,
        host: HeaderValue::try_from(args.upstream.to_string()).map_err(io::Error::other)?,
        idle: Mutex::default(),
        drivers: Mutex::default(),
    });
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while connections.try_join_next().is_some() {}
        let pool = Arc::clone(&pool);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let pool = Arc::clone(&pool);
                async move { pool.forward(request).await }
            });
            // A client that disconnects is not an error of this proxy.
            let _ = server::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
