//! Servers that run elsewhere. An instance is a URL, a way to connect to it, and the headers of one credential.
//!
//! Starting an instance opens no connection: the first call shows whether the server is reachable.

mod headers;
mod instances;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::Uri;
use http::uri::Scheme;

use self::instances::Instances;
use super::{
    BoxedIo, Connect, Description, Endpoint, Instance, InstanceEvent, InstanceKey, LaunchSpec,
    LogLine, LogOptions, Progress, RuntimeBackend, TcpConnect,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::outbound::{Connector, Target};
use crate::server::{Launch, Remote, ServerSpec};

/// Connects to remote servers over HTTP and HTTPS.
#[derive(Debug)]
pub struct RemoteBackend {
    connector: Connector,
    instances: Instances,
}

impl RemoteBackend {
    /// Creates a backend that uses this connector.
    pub fn new(connector: Connector) -> Self {
        Self {
            connector,
            instances: Instances::default(),
        }
    }

    async fn connect(&self, server: &ServerSpec, uri: &Uri) -> Result<Arc<dyn Connect>> {
        let failed = |why: &str| {
            let message = format!("the address of server {} {why}", server.id);
            Error::new(ErrorKind::StartFailed, message).with_server(&server.id)
        };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(failed("has no scheme or no host"));
        };
        if authority.as_str().contains('@') {
            return Err(failed(
                "holds a user or password: send them in a header instead",
            ));
        }
        let tls = match scheme {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return Err(failed("begins neither with https:// nor with http://")),
        };
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = Target {
            https: tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
        };
        let prepared = self.connector.prepare(&target).await;
        prepared.map_err(|error| Error::from(error).with_server(&server.id))?;
        if !tls && !self.connector.is_proxied(&target) {
            return Ok(Arc::new(TcpConnect::new(&target.host, port)));
        }
        Ok(Arc::new(RemoteConnect {
            connector: self.connector.clone(),
            target,
        }))
    }
}

impl Default for RemoteBackend {
    fn default() -> Self {
        Self::new(Connector::default())
    }
}

/// Connects over TLS, through a proxy, or both.
struct RemoteConnect {
    connector: Connector,
    target: Target,
}

impl fmt::Debug for RemoteConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteConnect({})", self.target)
    }
}

#[async_trait]
impl Connect for RemoteConnect {
    async fn connect(&self) -> io::Result<BoxedIo> {
        self.connector.connect(&self.target).await
    }
}

impl fmt::Display for RemoteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("remote")
    }
}

fn remote(server: &ServerSpec) -> Result<&Remote> {
    match &server.launch {
        Launch::Remote(remote) => Ok(remote),
        Launch::Program(_) => {
            let message = format!("server {} is a program and has no address", server.id);
            Err(Error::new(ErrorKind::StartFailed, message).with_server(&server.id))
        }
    }
}

/// Returns host and port for display, without path and query, which may contain a secret.
fn place(uri: &Uri) -> String {
    let authority = uri.authority().map(ToString::to_string);
    authority.unwrap_or_default()
}

// === impl RuntimeBackend ===

#[async_trait]
impl RuntimeBackend for RemoteBackend {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        _: &Progress,
    ) -> Result<Instance> {
        let remote = remote(&launch.server)?;
        let headers = headers::render(&launch.server, remote, &launch.credential)?;
        let connect = self.connect(&launch.server, &remote.url).await?;
        let started = self
            .instances
            .start(key, launch, headers, place(&remote.url));
        Ok(Instance {
            endpoint: Endpoint::Http {
                uri: remote.url.clone(),
                connect,
                headers: started.headers,
            },
            fresh: started.fresh,
            exited: started.exited,
        })
    }

    async fn stop(&self, key: &InstanceKey, _: Duration) -> Result<()> {
        self.instances.rest(key);
        Ok(())
    }

    async fn remove(&self, key: &InstanceKey, _: Duration) -> Result<()> {
        self.instances.remove(key);
        Ok(())
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        self.instances.refresh(key, credential, |server| {
            headers::render(server, remote(server)?, credential)
        })
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.instances.watch()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let exited = self.instances.exited(key).ok_or_else(|| {
            let message = format!("nothing is known of instance {key}");
            Error::new(ErrorKind::NoRoute, message).with_server(key.server())
        })?;
        if !options.follow {
            return Ok(stream::empty().boxed());
        }
        // A remote server's own output is not available; a follower only sees the end of the stream.
        Ok(exited
            .into_stream()
            .filter_map(|_| std::future::ready(None))
            .boxed())
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        Description::from_watch(self.watch(), key).await
    }

    async fn check_connection(&self, server: &ServerSpec) -> Result<()> {
        let unavailable = |why: String| {
            let text = format!("cannot connect: {why}");
            Error::new(ErrorKind::Unavailable, text).with_server(&server.id)
        };
        let connect = self.connect(server, &remote(server)?.url).await;
        let connect = connect.map_err(|error| unavailable(error.to_string()))?;
        let connected = connect.connect().await;
        connected.map_err(|error| unavailable(error.to_string()))?;
        Ok(())
    }

    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.stop(key, grace).await
    }
}

#[cfg(test)]
mod tests;
