//! A service that tells back what it was asked: what stands behind an enforcement point.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};

/// Starts the service; it ends with the process. Its port.
///
/// # Errors
/// No port is free.
pub fn start() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("listening")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(port)
}

/// Answers each request by its own head.
fn serve(stream: TcpStream) -> Result<()> {
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let before = head.len();
            if requests.read_line(&mut head)? == 0 {
                return Ok(());
            }
            if head.get(before..).is_some_and(|line| line.trim().is_empty()) {
                break;
            }
        }
        let head = head.to_lowercase();
        write!(answers, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len())?;
    }
}
