//! Serves the control endpoint on a Unix socket in the state directory. Anyone who can open the socket can control the
//! gateway, so only this user may.
//!
//! A socket's path is limited to about a hundred bytes. If the state directory's path is longer, the socket is in
//! `$XDG_RUNTIME_DIR`, and the file `control.path` in the state directory holds its path.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

const SOCKET: &str = "control.sock";
const POINTER: &str = "control.path";
/// The shortest path limit of the supported systems (macOS), without the terminating byte.
const MAX_SOCKET_PATH_LEN: usize = 103;
/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// The pause before accepting again after `accept` failed.
const REFUSED: Duration = Duration::from_millis(100);

/// A listening socket. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens for this state directory. The caller must hold the directory's lock.
    ///
    /// # Errors
    /// If there is no place for the socket, or another process answers there.
    pub(crate) async fn bind(state_dir: &Path) -> io::Result<Self> {
        let path = place(state_dir)?;
        clear(&path).await?;
        let listener = UnixListener::bind(&path)?;
        let socket = Self { listener, path };
        fs::set_permissions(&socket.path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Serves requests until dropped.
    pub(crate) async fn serve(self, router: Router) {
        let mut connections = JoinSet::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a control connection was not accepted");
                    tokio::time::sleep(REFUSED).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A file that remains is removed by the next gateway, because no process answers there.
        let _ = fs::remove_file(&self.path);
    }
}

async fn connection(stream: UnixStream, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "a control connection ended");
    }
}

/// Returns the path of the socket for a state directory, as its gateway recorded it.
pub(super) fn find(state_dir: &Path) -> PathBuf {
    match fs::read_to_string(state_dir.join(POINTER)) {
        Ok(path) => PathBuf::from(path.trim_end_matches('\n')),
        Err(_) => state_dir.join(SOCKET),
    }
}

/// Returns the path for a gateway's socket, and records it if it is outside the state directory.
fn place(state_dir: &Path) -> io::Result<PathBuf> {
    let pointer = state_dir.join(POINTER);
    let path = state_dir.join(SOCKET);
    if path.as_os_str().len() <= MAX_SOCKET_PATH_LEN {
        if let Err(error) = fs::remove_file(&pointer)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        return Ok(path);
    }
    let short = elsewhere(
        state_dir,
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
    );
    let short = short.ok_or_else(|| {
        let text = format!(
            "{} is too long for a socket's path ({MAX_SOCKET_PATH_LEN} bytes): name a shorter --state-dir, or set XDG_RUNTIME_DIR",
            path.display()
        );
        io::Error::new(ErrorKind::InvalidInput, text)
    })?;
    if let Some(folder) = short.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut line = short.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    fs::write(&pointer, line)?;
    Ok(short)
}

/// Returns a short path that is unique to this state directory.
fn elsewhere(state_dir: &Path, runtime: Option<PathBuf>) -> Option<PathBuf> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let full = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_path_buf());
    let mut hasher = DefaultHasher::new();
    full.hash(&mut hasher);
    let name = format!("mcp-orchestrator/{:016x}.sock", hasher.finish());
    let path = runtime.filter(|folder| folder.is_absolute())?.join(name);
    (path.as_os_str().len() <= MAX_SOCKET_PATH_LEN).then_some(path)
}

/// Removes the socket file of a gateway that was killed.
async fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let taken = |what: &str| {
        let text = format!("{} is {what}", path.display());
        Err(io::Error::new(ErrorKind::AddrInUse, text))
    };
    if !metadata.file_type().is_socket() {
        return taken("no socket: take it away");
    }
    if UnixStream::connect(path).await.is_ok() {
        return taken("answered by another process");
    }
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::bind(dir.path()).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let error = Socket::bind(dir.path()).await.unwrap_err();
        assert!(
            error.to_string().contains("answered by another process"),
            "{error}"
        );
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(Socket::bind(dir.path()).await.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn long_socket_path_is_replaced_by_a_short_one() {
        let long = PathBuf::from(format!("/{}", "x".repeat(200)));
        let short = elsewhere(&long, Some("/run/user/1".into())).unwrap();
        assert!(short.starts_with("/run/user/1/mcp-orchestrator"));
        assert_eq!(elsewhere(&long, None), None);
        assert_eq!(elsewhere(&long, Some("relative".into())), None);
        assert_eq!(elsewhere(&long, Some(long.clone())), None);
    }
}
