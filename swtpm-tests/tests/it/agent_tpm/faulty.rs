//! A TPM that misbehaves: a relay before a software TPM that answers chosen commands itself, or hangs up.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use vouchsafe_agent::tpm::{TpmConfig, TpmHandle};
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;

/// What is done about a command instead of handing it on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is answered by this response code.
    Answer(u32),
    /// The connection is closed.
    HangUp,
    /// It is handed on, and when it is answered the host measures something into PCR 10.
    ThenExtend,
}

/// Decides about a command by its code (TPM 2.0 Part 2, 6.5.2); `None` hands it on.
type Decide = Box<dyn FnMut(u32) -> Option<Fault> + Send>;

/// A relay on two ports of its own. Its threads end with the test.
pub(super) struct FaultyTpm {
    port: u16,
    decide: Arc<Mutex<Decide>>,
}

/// Command codes of the tests.
pub(super) const TPM_CC_CREATE_PRIMARY: u32 = 0x131;
pub(super) const TPM_CC_QUOTE: u32 = 0x158;
pub(super) const TPM_CC_LOAD: u32 = 0x157;
pub(super) const TPM_CC_FLUSH_CONTEXT: u32 = 0x165;
pub(super) const TPM_CC_PCR_READ: u32 = 0x17e;
const TPM_CC_PCR_EXTEND: u32 = 0x182;

impl FaultyTpm {
    /// A relay that hands everything on for now.
    pub(super) fn before(tpm: &SoftTpm) -> Result<Self> {
        let (commands, control) = listen()?;
        let port = commands.local_addr()?.port();
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let (behind, decider) = (tpm.port(), Arc::clone(&decide));
        thread::spawn(move || {
            for client in commands.incoming().flatten() {
                let decider = Arc::clone(&decider);
                // One connection at a time, as swtpm has it. Its end, however it comes, is the client's to notice.
                let _ = relay_commands(client, behind, &decider);
            }
        });
        thread::spawn(move || {
            for client in control.incoming().flatten() {
                thread::spawn(move || relay_bytes(client, behind + 1));
            }
        });
        Ok(Self { port, decide })
    }

    /// Misbehaves so from now on.
    pub(super) fn misbehave(&self, decide: impl FnMut(u32) -> Option<Fault> + Send + 'static) {
        *self.decide.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(decide);
    }

    /// A thread that owns the TPM behind this relay.
    pub(super) fn owner(&self) -> Result<TpmHandle> {
        let tcti = format!("swtpm:host=127.0.0.1,port={}", self.port).parse()?;
        TpmHandle::start(TpmConfig { tcti, ..TpmConfig::default() }).context("starting the thread")
    }
}

fn listen() -> Result<(TcpListener, TcpListener)> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let Some(next) = first.local_addr()?.port().checked_add(1) else { continue };
        if let Ok(second) = TcpListener::bind((Ipv4Addr::LOCALHOST, next)) {
            return Ok((first, second));
        }
    }
    bail!("no two neighbouring ports are free")
}

fn relay_commands(mut client: TcpStream, port: u16, decide: &Mutex<Decide>) -> io::Result<()> {
    let mut tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    loop {
        let command = message(&mut client)?;
        let code = command.get(6..10).and_then(|code| code.try_into().ok()).map_or(0, u32::from_be_bytes);
        let fault = decide.lock().unwrap_or_else(PoisonError::into_inner)(code);
        match fault {
            Some(Fault::HangUp) => return client.shutdown(Shutdown::Both),
            // TPM_ST_NO_SESSIONS, the size of a header, the code.
            Some(Fault::Answer(code)) => {
                client.write_all(&[&[0x80, 0x01, 0, 0, 0, 10], code.to_be_bytes().as_slice()].concat())?;
            }
            None | Some(Fault::ThenExtend) => {
                tpm.write_all(&command)?;
                let response = message(&mut tpm)?;
                if let Some(Fault::ThenExtend) = fault {
                    tpm.write_all(&extend_command())?;
                    message(&mut tpm)?;
                }
                client.write_all(&response)?;
            }
        }
    }
}

/// `TPM2_PCR_Extend` of PCR 10 (TPM 2.0 Part 3, 22.2), with an empty password, by a SHA-256 digest of sevens.
fn extend_command() -> Vec<u8> {
    let password = [0x4000_0009_u32.to_be_bytes().as_slice(), &[0, 0, 0, 0, 0]].concat();
    let digests = [1_u32.to_be_bytes().as_slice(), &[0x00, 0x0b], &[7; 32]].concat();
    let body = [&10_u32.to_be_bytes(), &9_u32.to_be_bytes(), password.as_slice(), &digests].concat();
    let size = u32::try_from(body.len() + 10).unwrap_or(0);
    [&[0x80, 0x02], size.to_be_bytes().as_slice(), &TPM_CC_PCR_EXTEND.to_be_bytes(), &body].concat()
}

/// A command or a response: ten bytes of header with the size in the middle, then the rest.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message)?;
    let size = message.get(2..6).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
    message.resize(usize::try_from(size).unwrap_or(0).clamp(10, 8192), 0);
    if let Some(rest) = message.get_mut(10..) {
        stream.read_exact(rest)?;
    }
    Ok(message)
}

fn relay_bytes(mut client: TcpStream, port: u16) -> io::Result<()> {
    let tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (mut to_tpm, mut from_tpm) = (tpm.try_clone()?, tpm);
    let mut to_client = client.try_clone()?;
    thread::spawn(move || {
        let copied = io::copy(&mut from_tpm, &mut to_client);
        to_client.shutdown(Shutdown::Both).and(copied)
    });
    io::copy(&mut client, &mut to_tpm)?;
    to_tpm.shutdown(Shutdown::Both)
}
