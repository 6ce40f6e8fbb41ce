use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

fn pair(buffer: usize) -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(buffer);
    (Connection::new(Box::new(ours)), theirs)
}

/// Sends `text` as the response to one request, in pieces of this size, and closes the connection if `close` is set.
async fn answer(text: &[u8], piece: usize, close: bool) -> Result<(Head, Vec<u8>), Broken> {
    let (mut connection, mut server) = pair(1 << 20);
    let mut held = None;
    let serving = async {
        let mut request = [0; 1024];
        let _ = server.read(&mut request).await;
        for piece in text.chunks(piece) {
            server.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if !close {
            held = Some(server);
        }
    };
    let asking = async {
        let head = connection.send(&[b"GET / HTTP/1.1\r\n"], b"").await?;
        let (mut body, mut all) = (head.body.clone(), Vec::new());
        while let Some(part) = connection.part(&mut body).await? {
            all.extend_from_slice(&part);
        }
        Ok((head, all))
    };
    let both = async { tokio::join!(serving, asking).1 };
    tokio::time::timeout(Duration::from_secs(5), both)
        .await
        .expect("it ends")
}

#[tokio::test]
async fn bodies_end_where_their_framing_ends() {
    for (text, body, last) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
            false,
        ),
        (
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
            "",
            false,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            "abc0123456789",
            false,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "x",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 1\r\n\r\nx",
            "x",
            true,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", "x", true),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
            "x",
            false,
        ),
    ] {
        for piece in [1, 7, 1000] {
            let (head, all) = answer(text.as_bytes(), piece, false).await.unwrap();
            assert_eq!(String::from_utf8(all).unwrap(), body, "{text}");
            assert_eq!(head.last, last, "{text}");
        }
    }
    let (head, all) = answer(b"HTTP/1.1 200 OK\r\n\r\nall of it", 4, true)
        .await
        .unwrap();
    assert_eq!((&all[..], head.last), (&b"all of it"[..], true));
}

#[tokio::test]
async fn malformed_http_is_an_error() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9);
    for text in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        &long,
        &many,
        &interim,
    ] {
        let told = answer(text.as_bytes(), 1000, false).await;
        assert!(
            matches!(told, Err(Broken::Invalid(_))),
            "{text:.60} {told:?}"
        );
    }
    let cut = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", 10, true).await;
    assert!(matches!(cut, Err(Broken::Cut)), "{cut:?}");
    let closed = answer(b"HTTP/1.1 200", 10, true).await;
    assert!(matches!(closed, Err(Broken::Closed)), "{closed:?}");
}

#[tokio::test]
async fn early_response_is_received() {
    let (mut connection, mut server) = pair(1024);
    let serving = async {
        let mut some = [0; 100];
        server.read_exact(&mut some).await.unwrap();
        let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
        server.write_all(refusal).await.unwrap();
        drop(server);
    };
    let body = vec![b'x'; 1 << 20];
    let (head, ()) = tokio::join!(connection.send(&[b"POST / HTTP/1.1\r\n"], &body), serving);
    let head = head.unwrap();
    assert_eq!((head.status.as_u16(), head.last), (413, true));
}

#[tokio::test]
async fn kept_connection_is_quiet_until_its_server_sends_or_closes() {
    let (mut connection, mut server) = pair(1024);
    assert!(connection.is_quiet());
    server.write_all(b"x").await.unwrap();
    assert!(!connection.is_quiet());
    let (mut connection, server) = pair(1024);
    drop(server);
    assert!(!connection.is_quiet());
}

#[tokio::test]
async fn long_request_body_is_sent_in_full() {
    let (mut connection, mut server) = pair(4096);
    let body: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let serving = async {
        let mut all = Vec::new();
        while !all.windows(4).any(|w| w == b"\r\n\r\n") || all.len() < body.len() {
            server.read_buf(&mut all).await.unwrap();
        }
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        while all.len() < at + body.len() {
            server.read_buf(&mut all).await.unwrap();
        }
        server
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        all.split_off(at)
    };
    let (head, got) = tokio::join!(connection.send(&[b"POST / HTTP/1.1\r\n"], &body), serving);
    assert_eq!(head.unwrap().status.as_u16(), 204);
    assert_eq!(got, body);
}

proptest! {
    /// Chunks are joined correctly, however the input is split.
    #[test]
    fn chunks_are_joined(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20), piece in 1_usize..64) {
        let mut text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for part in &parts {
            text.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            text.extend_from_slice(part);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_, all) = runtime.block_on(answer(&text, piece, false)).unwrap();
        prop_assert_eq!(all, parts.concat());
    }

    /// Any input leads to a response or an error.
    #[test]
    fn arbitrary_input_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..400), body in prop::collection::vec(any::<u8>(), 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _ = runtime.block_on(answer(&text, 50, true));
        let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        chunked.extend_from_slice(&body);
        let _ = runtime.block_on(answer(&chunked, 50, true));
    }
}
