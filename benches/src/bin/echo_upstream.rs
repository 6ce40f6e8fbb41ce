//! The cheapest possible upstream: a legacy MCP server with one echo tool, over HTTP (JSON responses, keep-alive, no
//! delay) or, with `--stdio`, over its standard streams.

use std::convert::Infallible;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;

use bytes::Bytes;
use clap::Parser;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_orchestrator_benches::echo::{SESSION, answer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A legacy MCP server with one tool that echoes
#[derive(Parser)]
struct Args {
    /// Speak lines over the standard streams
    #[arg(long)]
    stdio: bool,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    if args.stdio {
        return lines();
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(args.listen))
}

fn lines() -> std::io::Result<()> {
    let mut input = std::io::BufReader::with_capacity(64 << 10, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let (mut line, mut answers) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if let Some(answer) = answer(&line) {
            answers.extend_from_slice(&answer);
            answers.push(b'\n');
        }
        // Lines that arrived together are answered together.
        if !input.buffer().contains(&b'\n') {
            output.write_all(&answers)?;
            output.flush()?;
            answers.clear();
        }
    }
}

#[expect(clippy::print_stdout, reason = "the address is the output")]
async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A client that disconnects is not an error of this server.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(respond))
                .await;
        });
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.method() != Method::POST {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Ok(response);
    }
    let known = request.headers().contains_key("mcp-session-id");
    let Ok(body) = request.into_body().collect().await else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let Some(answer) = answer(&body.to_bytes()) else {
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    };
    *response.body_mut() = Full::new(answer.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !known {
        let name = HeaderName::from_static("mcp-session-id");
        headers.insert(name, HeaderValue::from_static(SESSION));
    }
    Ok(response)
}
