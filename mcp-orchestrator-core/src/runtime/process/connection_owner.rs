//! Determines which process a local TCP connection reaches.
//!
//! Any user of a machine can listen on loopback ports: on a port that a child was assigned and has not bound yet, on
//! the address family that the child does not bind, or on a fixed port after the child has ended. So each connection
//! to a child is checked after it is established and before anything is sent: the socket at the other end, or every
//! socket that could accept the connection, must be held by the child or one of its descendants. The check applies to
//! the connected socket, not to the port, so nothing can change between the check and the first byte.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::process_tree::{Process, family};
use crate::limits::LOOPBACK_CONNECT_TIMEOUT;

/// Delay between two checks of a connection that has not been accepted yet.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Further checks before a foreign process is reported. A socket that is just being accepted or closed has an inode
/// but no holder.
const FOREIGN_LOOKS: usize = 3;

/// State codes in `/proc/net/tcp`.
const TIME_WAIT: &str = "06";
const LISTEN: &str = "0A";

/// A line of `/proc/net/tcp` or `/proc/net/tcp6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    user: u32,
    /// 0 if the connection has not been accepted yet.
    inode: u64,
}

/// The result of one check.
#[derive(Debug)]
enum Verdict {
    Ours,
    /// A description of the foreign process.
    Foreign(String),
    /// The connection has not been accepted yet, and a foreign process may still accept it.
    Open,
}

/// Checks that the other end of a connection belongs to one of these processes or groups, or to a descendant.
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) with the process that answers instead.
pub(super) async fn check(stream: &TcpStream, roots: &[i32]) -> io::Result<()> {
    let (here, there) = (stream.local_addr()?, stream.peer_addr()?);
    let deadline = Instant::now() + LOOPBACK_CONNECT_TIMEOUT;
    let mut foreign = 0;
    loop {
        let roots = roots.to_vec();
        // Blocking: on a machine with many connections this reads megabytes.
        let look = tokio::task::spawn_blocking(move || look(here, there, &roots));
        let who = match look.await.map_err(io::Error::other)?? {
            Verdict::Ours => return Ok(()),
            Verdict::Open if Instant::now() < deadline => {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Verdict::Foreign(_) if foreign < FOREIGN_LOOKS => {
                foreign += 1;
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            Verdict::Open => "it cannot be told which".to_owned(),
            Verdict::Foreign(who) => who,
        };
        let port = there.port();
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "port {port} is answered by another process than the server's: {who}; end it, or, where something else \
                 publishes the port for the server, as a container engine does, set `port_owner: any`"
            ),
        ));
    }
}

/// Describes the process that listens on an address, or on the same port of all addresses.
pub(super) fn listener(address: SocketAddr) -> Option<String> {
    let sockets = sockets(address.port()).ok()?;
    let listeners = sockets.iter().filter(|socket| {
        let ip = socket.local.ip();
        let all = ip.is_unspecified() || address.ip().is_unspecified();
        socket.listens && (all || ip == address.ip())
    });
    let mut holders = listeners.filter_map(|socket| holder(socket.inode));
    let (pid, name) = holders.next()?;
    Some(format!("process {pid} ({name})"))
}

fn look(here: SocketAddr, there: SocketAddr, roots: &[i32]) -> io::Result<Verdict> {
    let sockets = sockets(there.port())?;
    let family = family(roots);
    let accepted = sockets
        .iter()
        .find(|socket| !socket.listens && socket.local == there && socket.remote == here);
    if let Some(socket) = accepted.filter(|socket| socket.inode != 0) {
        return Ok(judge(socket, &family));
    }
    let listeners = sockets.iter().filter(|socket| {
        let ip = socket.local.ip();
        socket.listens && (ip == there.ip() || ip.is_unspecified())
    });
    let (ours, mut foreign): (Vec<_>, Vec<_>) = listeners
        .map(|socket| judge(socket, &family))
        .partition(|verdict| matches!(verdict, Verdict::Ours));
    Ok(match (ours.is_empty(), foreign.pop()) {
        (true, Some(who)) => who,
        // Without an entry for it, the connection leaves this network namespace or has been closed.
        (false, None) if accepted.is_some() => Verdict::Ours,
        _ => Verdict::Open,
    })
}

fn judge(socket: &Socket, family: &std::collections::BTreeSet<Process>) -> Verdict {
    let mut hidden = false;
    for process in family {
        match holds(process.pid, socket.inode) {
            Ok(true) => return Verdict::Ours,
            Ok(false) => {}
            Err(error) => hidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    // Only root can see the open files of a process that is not dumpable, so its user has to suffice.
    if hidden && socket.user == rustix::process::geteuid().as_raw() {
        return Verdict::Ours;
    }
    let user = socket.user;
    Verdict::Foreign(match holder(socket.inode) {
        Some((pid, name)) => format!("process {pid} ({name}) of user {user}"),
        None => format!("a process of user {user}"),
    })
}

fn holds(pid: i32, inode: u64) -> io::Result<bool> {
    let link = format!("socket:[{inode}]");
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        if fs::read_link(file?.path()).is_ok_and(|to| to.as_os_str() == link.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the process that holds a socket, and its name.
fn holder(inode: u64) -> Option<(i32, String)> {
    let all = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pid: i32 = pids.find(|pid| holds(*pid, inode).unwrap_or(false))?;
    Some((pid, name_of(pid)))
}

/// Returns the name of a process. The kernel keeps 15 bytes of it; a longer one is that of its program.
fn name_of(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.trim_end_matches('\n');
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    match name.len() == 15 && program.starts_with(name) {
        true => program.into_owned(),
        false => name.to_owned(),
    }
}

/// Returns the TCP sockets of both address families with this local port.
fn sockets(port: u16) -> io::Result<Vec<Socket>> {
    let mut sockets = parse(&fs::read_to_string("/proc/net/tcp")?, port);
    // The file does not exist on systems without IPv6.
    let six = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    sockets.extend(parse(&six, port));
    Ok(sockets)
}

fn parse(text: &str, port: u16) -> Vec<Socket> {
    let end = format!(":{port:04X}");
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let local = fields.nth(1).filter(|local| local.ends_with(&end))?;
            let remote = fields.next()?;
            let state = fields.next().filter(|state| *state != TIME_WAIT)?;
            let user = fields.nth(3)?.parse().ok()?;
            let inode = fields.nth(1)?.parse().ok()?;
            Some(Socket {
                local: address(local)?,
                remote: address(remote)?,
                listens: state == LISTEN,
                user,
                inode,
            })
        })
        .collect()
}

/// Parses an address as the kernel prints it: 32-bit words in native byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tokio::net::TcpListener;

    use super::*;

    fn own() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    #[tokio::test]
    async fn own_socket_is_found_in_every_address_family() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let hosts: &[&str] = match address {
                "[::1]:0" => &["::1"],
                "[::]:0" => &["127.0.0.1", "::1"],
                _ => &["127.0.0.1"],
            };
            for host in hosts {
                let stream = TcpStream::connect((*host, port)).await.unwrap();
                // Before and after the connection is accepted.
                check(&stream, &[own()]).await.unwrap();
                let _accepted = listener.accept().await.unwrap();
                check(&stream, &[own()]).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn socket_of_another_process_is_rejected_and_named() {
        let mut other = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let root = i32::try_from(other.id()).unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                continue;
            };
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
            let stream = stream.unwrap();
            let _accepted = listener.accept().await.unwrap();
            let refused = check(&stream, &[root]).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            let said = refused.to_string();
            assert!(said.contains(&format!("process {}", own())), "{said}");
            assert!(said.contains("port_owner: any"), "{said}");
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[tokio::test]
    async fn connection_that_another_process_could_accept_is_rejected() {
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        let root = i32::try_from(other.id()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(check(&stream, &[root]).await.is_err());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn kernel_address_format_is_parsed() {
        let expected = |text: &str| text.parse::<SocketAddr>().unwrap();
        if cfg!(target_endian = "little") {
            let cases = [
                ("0100007F:1F90", "127.0.0.1:8080"),
                ("00000000000000000000000001000000:0050", "[::1]:80"),
                ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
            ];
            for (printed, meant) in cases {
                assert_eq!(address(printed), Some(expected(meant)));
            }
        }
        for junk in ["", ":", "0100007F", "0100007:50", "ä100007F:0050", "01:zz"] {
            assert_eq!(address(junk), None, "{junk}");
        }
    }

    #[tokio::test]
    async fn long_name_of_a_process_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["short", "exactly-fifteen", "a-program-with-a-long-name"] {
            let program = folder.path().join(name);
            fs::copy("/bin/sleep", &program).unwrap();
            let mut child = Command::new(&program).arg("60").spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            // The kernel lets the parent go on before it has set the name.
            let mut named = name_of(pid);
            for _ in 0..10_000 {
                if named == name {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                named = name_of(pid);
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(named, name);
        }
    }
}
