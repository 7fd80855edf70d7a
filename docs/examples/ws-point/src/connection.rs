//! One connection of a device, from its handshake to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Client;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::device::device_of;
use crate::settings::Settings;
use crate::watch::{Said, Watch};

/// The longest time for a handshake, and to reach the service.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection goes on while a watch that has ended is opened anew. An engine ends its watches now and then, and
/// every engine is restarted some day; what it said last is believed for so long and no longer.
const GRACE: Duration = Duration::from_secs(2);

/// The point.
pub(crate) struct Point {
    settings: Settings,
    acceptor: TlsAcceptor,
    engine: Client,
}

impl Point {
    /// The point of these settings.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(settings.for_devices()?));
        let engine = Client::builder().tls_backend_preconfigured(settings.for_engine()?).build()?;
        Ok(Self { settings, acceptor, engine })
    }

    /// Serves a connection. How it ended.
    ///
    /// # Errors
    /// It was not let through to the service.
    pub(crate) async fn attend(&self, stream: TcpStream, remote: SocketAddr) -> anyhow::Result<String> {
        let handshake =
            timeout(HANDSHAKE, self.acceptor.accept(stream)).await.context("the handshake took too long")?;
        let mut client = handshake.context("the handshake failed")?;
        let certificate =
            client.get_ref().1.peer_certificates().and_then(<[_]>::first).context("there is no certificate")?;
        let device = device_of(certificate)?;
        let mut watch = self.watch(&device).await?;
        ensure!(watch.next().await? == Said::Allow, "the engine denies {device}");
        let service =
            timeout(HANDSHAKE, TcpStream::connect(self.settings.service)).await.context("the service is silent")?;
        let mut service = service.context("the service cannot be reached")?;
        tracing::info!(client.address = %remote, device.id = device, "let through");
        tokio::select! {
            // Whichever ends first drops the other, and with it both connections.
            _ = copy_bidirectional(&mut client, &mut service) => Ok("ended by itself".to_owned()),
            () = self.until_denied(watch, &device) => Ok("cut: the engine no longer allows it".to_owned()),
        }
    }

    async fn watch(&self, device: &str) -> anyhow::Result<Watch> {
        Watch::open(&self.engine, &self.settings.engine, device, &self.settings.resource).await
    }

    /// Reads a watch, and opens it anew when it ends, until there is no allow any more.
    async fn until_denied(&self, mut watch: Watch, device: &str) {
        loop {
            match watch.next().await {
                Ok(Said::Allow | Said::Alive) => {}
                Ok(Said::Deny) => return,
                Ok(Said::Other) | Err(_) => match timeout(GRACE, self.watch_again(device)).await {
                    Ok(Some(again)) => watch = again,
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }

    /// Tries until a watch begins with an answer: with it if that is an allow. The caller bounds the time.
    async fn watch_again(&self, device: &str) -> Option<Watch> {
        loop {
            if let Ok(mut watch) = self.watch(device).await {
                match watch.next().await {
                    Ok(Said::Allow) => return Some(watch),
                    Ok(Said::Deny) => return None,
                    _ => {}
                }
            }
            tokio::time::sleep(GRACE / 20).await;
        }
    }
}
