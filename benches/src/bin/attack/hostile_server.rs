//! A hostile MCP server: its answers are valid enough that it keeps being called, and harmful otherwise.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Failure;

const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: &'a str,
}

pub(crate) async fn serve(tasks: &mut JoinSet<()>) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move { drop(converse(stream).await) });
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(address)
}

async fn converse(mut stream: TcpStream) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(Ok(0), str::parse)?;
        while buffer.len() < end + 4 + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = buffer[end + 4..end + 4 + length].to_vec();
        buffer.drain(..end + 4 + length);
        if head.starts_with("get") {
            // Ends at once and asks the client to reconnect without a delay.
            stream.write_all(STREAM).await?;
            stream.write_all(b"retry: 0\nid: 1\ndata:\n\n").await?;
            return Ok(());
        }
        let request: Request<'_> = serde_json::from_slice(&body)?;
        let Some(id) = request.id else {
            let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(accepted).await?;
            continue;
        };
        match request.method {
            "tools/call" => return flood(stream, id.get()).await,
            method => {
                let answer = answer(method, id);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
}

fn answer(method: &str, id: &RawValue) -> String {
    let templates = [
        "{+a}".repeat(100_000),
        "{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}!".to_owned(),
        "{+anything}".to_owned(),
    ]
    .map(|template| json!({"name": "t", "uriTemplate": template}));
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": true}, "resources": {"listChanged": true}},
            "serverInfo": {"name": "hostile", "version": "1"},
        }),
        "tools/list" => json!({
            "tools": [{"name": "flood", "inputSchema": {"type": "object"}}],
            // Every page names another page.
            "nextCursor": id.get(),
        }),
        "resources/list" => json!({"resources": [{"uri": "mem://a", "name": "a"}]}),
        "resources/templates/list" => json!({"resourceTemplates": templates}),
        _ => json!({}),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}")
}

/// Sends comments, list changes and responses to other requests, but never the response.
async fn flood(mut stream: TcpStream, id: &str) -> Result<(), Failure> {
    stream.write_all(STREAM).await?;
    let wrong = format!(
        "data: {{\"jsonrpc\":\"2.0\",\"id\":\"not {}\",\"result\":{{}}}}\n\n",
        id.len()
    );
    let changed = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    let piece = format!("{}{changed}{wrong}", ": \n".repeat(10_000));
    for _ in 0..2_000 {
        stream.write_all(piece.as_bytes()).await?;
    }
    Ok(())
}
