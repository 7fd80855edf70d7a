//! A device as a client: HTTP/1.1 over TLS 1.3, with the key that never leaves its TPM.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use vouchsafe_agent::state_directory::peek;
use vouchsafe_agent::tls::{self, TpmSigningKey};
use vouchsafe_agent::tpm::{TpmConfig, TpmHandle};
use vouchsafe_swtpm_tests::world::World;

/// The longest that an answer may take.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// A connection to a point.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// How the device of a world connects to points that show this certificate.
pub(crate) fn tls_of(world: &World, points_certificate_pem: &str) -> Result<ClientConfig> {
    let state = peek(&world.agent.state())?;
    let keys = state.keys.context("the agent has keys")?;
    let membership = state.membership.context("the agent is enrolled")?;
    let tpm = TpmHandle::start(TpmConfig { tcti: world.tpm.tcti().parse()?, ..TpmConfig::default() })?;
    let key = Arc::new(TpmSigningKey::new(tpm, keys));
    Ok(tls::for_device(points_certificate_pem, &membership.certificate.chain_pem, key)?)
}

impl Connection {
    /// Connects to a point on this machine.
    pub(crate) fn open(tls: ClientConfig, port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        let session = ClientConnection::new(Arc::new(tls), ServerName::try_from("localhost")?)?;
        Ok(Self(StreamOwned::new(session, stream)))
    }

    /// The connection as it is.
    pub(crate) fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.0
    }

    /// One request on this connection, which stays open.
    pub(crate) fn get(&mut self, path: &str, fields: &str) -> Result<Answer> {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n")?;
        self.0.flush()?;
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer has a status")?;
        Ok(Answer { status, head, body: String::from_utf8(body)? })
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).context("reading an answer")?;
            head.extend(byte);
        }
        Ok(String::from_utf8(head)?.to_lowercase())
    }
}
