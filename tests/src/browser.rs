//! A browser for pages without scripts: it keeps cookies, reads forms, and submits them with their origin.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait::within;

/// The browser of one person.
#[derive(Clone, Debug)]
pub struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    /// The origin that it states for its forms.
    pub origin: String,
}

/// A page as received.
#[derive(Clone, Debug)]
pub struct ReceivedPage {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The HTML.
    pub html: String,
}

impl ReceivedPage {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns the value of the hidden field with this name.
    pub fn hidden(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let rest = self.html.split(&field).nth(1).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    /// Creates a browser without cookies.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookies: BTreeMap::new(),
            origin: format!("http://{address}"),
        }
    }

    /// Opens an address of the gateway.
    pub async fn open(&mut self, url: &str) -> ReceivedPage {
        self.send("GET", url, "").await
    }

    /// Submits a form.
    pub async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> ReceivedPage {
        let mut body = String::new();
        for (name, value) in fields {
            if !body.is_empty() {
                body.push('&');
            }
            let _ = write!(body, "{}={}", escaped(name), escaped(value));
        }
        self.send("POST", url, &body).await
    }

    /// Opens a page and submits its form with these values.
    pub async fn fill(&mut self, url: &str, fields: &[(&str, &str)]) -> ReceivedPage {
        let page = self.open(url).await;
        let proof = page.hidden("form");
        let mut all = vec![("form", &*proof)];
        all.extend_from_slice(fields);
        self.submit(url, &all).await
    }

    async fn send(&mut self, method: &str, url: &str, body: &str) -> ReceivedPage {
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => url,
        };
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\naccept: text/html\r\ncookie: {}\r\n",
            self.address,
            cookies.join("; ")
        );
        if method == "POST" {
            let (length, origin) = (body.len(), &self.origin);
            let _ = write!(
                head,
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\norigin: {origin}\r\n"
            );
        }
        let shown = within(
            "a page",
            exchange(self.address, format!("{head}\r\n{body}")),
        )
        .await;
        let shown = shown.expect("the gateway answers");
        for (_, value) in shown
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let pair = value.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        shown
    }
}

async fn exchange(address: SocketAddr, request: String) -> std::io::Result<ReceivedPage> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, html) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok(ReceivedPage {
        status: status.unwrap_or(0),
        headers: headers.collect(),
        html: html.to_owned(),
    })
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
