//! A server that answers what a test tells it to, over the same mutual TLS as the real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{Ran, run_in};

/// What is answered to a request line such as `GET /v1/devices`: a status and a body.
type Answer = Box<dyn Fn(&str, &str) -> (u16, String) + Send + Sync>;

/// A server in a folder of its own, made by `vouchsafe init`.
pub(crate) struct Engine {
    pub(crate) dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    /// Makes a server on a free port that answers so until the test ends.
    pub(crate) fn answering(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = init(listener.local_addr().unwrap().port());
        let tls = tls(&dir.path().join("engine"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let answer: Answer = Box::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // What a client does wrong ends its connection and no other.
                drop(serve(stream.unwrap(), Arc::clone(&tls), &answer, &log));
            }
        });
        Self { dir, asked }
    }

    /// Runs an operator's command against it.
    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        run_in(self.dir.path(), line.iter().copied().chain(["--dir", "engine"]))
    }

    /// What it was asked so far: request lines and bodies.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A folder that holds `engine`, a server's folder for this port.
pub(crate) fn init(port: u16) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let port = port.to_string();
    let line = ["init", "--dir", "engine", "--trust-domain", "example.org", "--host", "localhost", "--api-port", &port];
    let ran = run_in(dir.path(), line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    dir
}

fn tls(dir: &Path) -> Arc<ServerConfig> {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(dir.join(name)).unwrap().map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    for root in certificates("trust-bundle.pem") {
        roots.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates("server.crt"), key)
        .unwrap();
    Arc::new(config)
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, tls: Arc<ServerConfig>, answer: &Answer, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            match header.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let body = String::from_utf8(body).unwrap();
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        log.lock().unwrap().push(format!("{line} {body}").trim_end().to_owned());
        let (status, text) = answer(&line, &body);
        let kind = if status < 300 { "application/json" } else { "application/problem+json" };
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )?;
        stream.get_mut().flush()?;
    }
}
