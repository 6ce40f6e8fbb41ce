//! Just enough HTTP/1.1 to call and to attack: requests are written by hand, responses are read with their bodies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::Failure;

/// Longer responses are an error.
const MAX_ANSWER: usize = 32 << 20;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Connects from an address of the loopback network.
    pub(crate) async fn from(source: Ipv4Addr, to: SocketAddr) -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Waits until the peer closes the connection.
    pub(crate) async fn closed(&mut self) {
        let mut byte = [0; 1024];
        while matches!(self.stream.read(&mut byte).await, Ok(1..)) {}
    }

    /// Sends a request, adding the content length to its head, and reads the response.
    pub(crate) async fn exchange(&mut self, head: &str, body: &str) -> Result<Answer, Failure> {
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        self.write(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed".into());
            }
            if let Some(answer) = read(&self.buffer)? {
                return Ok(answer);
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err("an answer without an end".into());
            }
        }
    }
}

/// Parses the response once it is complete.
fn read(bytes: &[u8]) -> Result<Option<Answer>, Failure> {
    let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head.get(9..12).ok_or("no status")?.parse()?;
    let (mut session, mut length, mut chunked) = (None, 0, false);
    for (name, value) in head.split("\r\n").filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "mcp-session-id" => session = Some(value.to_owned()),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    let rest = &bytes[end + 4..];
    let body = if chunked {
        // A stream ends with the last chunk. Callers only search it for what they sent, so chunks are not decoded.
        rest.ends_with(b"0\r\n\r\n").then(|| rest.to_vec())
    } else {
        (rest.len() >= length).then(|| rest[..length].to_vec())
    };
    Ok(body.map(|body| Answer {
        status,
        session,
        body,
    }))
}
