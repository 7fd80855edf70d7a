//! A watch at the engine: `GET /v1/watch`, a stream of server-sent events.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client, Response};
use tokio::time::timeout;

/// How long the engine may be silent: more than two of its `alive` intervals.
const SILENCE: Duration = Duration::from_secs(25);

/// How long the first answer may take.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// The longest line that is read, in bytes. Only the names of events are looked at, and they are short.
const MAX_LINE_LEN: usize = 256 * 1024;

/// What the engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The device may go on.
    Allow,
    /// It may not.
    Deny,
    /// It is as it was.
    Alive,
    /// Something else, an end among it.
    Other,
}

/// A watch that is open.
pub(crate) struct Watch {
    response: Response,
    lines: Lines,
}

impl Watch {
    /// Opens a watch about a device that wants to connect.
    pub(crate) async fn open(engine: &Client, url: &str, device: &str, resource: &str) -> anyhow::Result<Self> {
        let question = [
            ("device", device),
            ("action", "connect"),
            ("resource", resource),
            // What this point has seen of the flow: TLS, with a certificate at both ends.
            ("authenticated", "true"),
            ("encrypted", "true"),
        ];
        let url = reqwest::Url::parse_with_params(&format!("{url}/v1/watch"), question).context("the engine's URL")?;
        let asked = timeout(FIRST_ANSWER, engine.get(url).send()).await.context("the engine does not answer")?;
        let response = asked.context("asking the engine")?;
        ensure!(response.status().is_success(), "the engine answers {}", response.status());
        Ok(Self { response, lines: Lines::default() })
    }

    /// What the engine says next.
    ///
    /// # Errors
    /// The stream has ended, or is silent for too long.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Said> {
        loop {
            if let Some(said) = self.lines.next_event()? {
                return Ok(said);
            }
            let chunk = timeout(SILENCE, self.response.chunk()).await.context("the engine is silent")??;
            self.lines.push(&chunk.context("the watch has ended")?);
        }
    }
}

/// The lines of an event stream (WHATWG HTML, 9.2.6), as far as they matter here.
#[derive(Debug, Default)]
struct Lines {
    unread: Vec<u8>,
    event: Option<Said>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next event that is whole.
    fn next_event(&mut self) -> anyhow::Result<Option<Said>> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            match line.strip_suffix(b"\r").unwrap_or(line) {
                // An event ends with an empty line.
                b"" => {
                    if let Some(said) = self.event.take() {
                        return Ok(Some(said));
                    }
                }
                b"event: allow" => self.event = Some(Said::Allow),
                b"event: deny" => self.event = Some(Said::Deny),
                b"event: alive" => self.event = Some(Said::Alive),
                line if line.starts_with(b"event:") => self.event = Some(Said::Other),
                _ => {}
            }
        }
        ensure!(self.unread.len() <= MAX_LINE_LEN, "the engine sends a line of more than {MAX_LINE_LEN} bytes");
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = "event: allow\ndata: {\"event: deny\":1}\nid: 1\n\n: comment\n\nevent: alive\r\ndata: x\r\n\r\nevent: end\n\nevent: deny\n\n";
        for size in 1..stream.len() {
            let (mut lines, mut said) = (Lines::default(), Vec::new());
            for chunk in stream.as_bytes().chunks(size) {
                lines.push(chunk);
                while let Some(event) = lines.next_event().unwrap() {
                    said.push(event);
                }
            }
            assert_eq!(said, [Said::Allow, Said::Alive, Said::Other, Said::Deny], "{size}");
        }
    }

    #[test]
    fn a_line_is_read_at_its_longest_and_refused_one_byte_later() {
        let of_length = |length: usize| {
            let mut lines = Lines::default();
            lines.push(&vec![b'x'; length]);
            lines.next_event()
        };
        assert!(of_length(MAX_LINE_LEN).is_ok());
        assert!(of_length(MAX_LINE_LEN + 1).is_err());
    }
}
