use std::io::Read as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use vouchsafe_http::OsEntropy;
use vouchsafe_journal::{Entry, JournalParts, JournalSettings, SystemDisk, Writing};
use vouchsafe_model::{DecisionId, Timestamp};
use vouchsafe_pki::{LocalKey, files};

use super::*;
use crate::serve::decisions::LogSigner;

/// A request as it came: its header, in lower case, and its events.
#[derive(Clone, Debug)]
struct Came {
    header: String,
    events: Vec<Value>,
}

/// A server that answers with these statuses, one after the other, and then with 200.
struct Receiver {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver {
    async fn answering(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/logs", listener.local_addr().unwrap());
        let came = Arc::new(Mutex::new(Vec::new()));
        let (log, answered) = (came.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, log.clone(), answered.clone(), statuses));
            }
        });
        Self { url, came }
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// The numbers of all events that came in requests that were answered well, given how many were not.
    fn numbers(&self, after: usize) -> Vec<u64> {
        self.came()
            .iter()
            .skip(after)
            .flat_map(|came| &came.events)
            .map(|event| event["req_id"].as_u64().unwrap())
            .collect()
    }

    async fn until(&self, requests: usize) {
        for _ in 0..400 {
            if self.came().len() >= requests {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{} of {requests} requests came", self.came().len());
    }
}

async fn serve(
    stream: TcpStream,
    log: Arc<Mutex<Vec<Came>>>,
    answered: Arc<AtomicUsize>,
    statuses: &[u16],
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut header = String::new();
        while !header.ends_with("\r\n\r\n") {
            if stream.read_line(&mut header).await.ok()? == 0 {
                return None;
            }
        }
        let header = header.to_lowercase();
        let length = header.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let mut json = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut json).unwrap();
        log.lock().unwrap().push(Came { header, events: serde_json::from_str(&json).unwrap() });
        let status = statuses.get(answered.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(200);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
    }
}

struct World {
    dir: tempfile::TempDir,
    journal: Journal,
    _writing: Writing,
}

impl World {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        let (journal, writing) = Journal::open(JournalParts {
            folder: dir.path().join("decisions"),
            new_origin: "example.org/decisions/test".parse().unwrap(),
            settings: JournalSettings {
                max_segment_bytes: JournalSettings::MIN_SEGMENT_BYTES,
                max_total_bytes: Some(4 * JournalSettings::MIN_SEGMENT_BYTES),
                checkpoint_interval: Duration::from_millis(10),
                ..JournalSettings::default()
            },
            signer: Arc::new(LogSigner::new(LocalKey::generate().unwrap()).unwrap()),
            disk: Arc::new(SystemDisk),
            now: Arc::new(|| Timestamp::UNIX_EPOCH),
        })
        .unwrap();
        Self { dir, journal, _writing: writing }
    }

    async fn append(&self, numbers: std::ops::Range<u8>) {
        for number in numbers {
            let id = DecisionId::new(Timestamp::UNIX_EPOCH, &[number; 10]);
            let body = format!(r#"{{"decision":{{"outcome":"deny"}},"question":{{"user":{{"id":"{number}"}}}}}}"#);
            self.journal.append(Entry::new(id, Timestamp::UNIX_EPOCH, body.into()).unwrap()).await.unwrap();
        }
    }

    fn sink(&self, receiver: &Receiver) -> HttpSink {
        let config = HttpSinkConfig {
            url: receiver.url.clone(),
            token_file: Some("logs.token".into()),
            ca_file: None,
            labels: [("app".to_owned(), "test".to_owned())].into(),
        };
        let layout = Layout::of(self.dir.path());
        files::write_private_file(&layout.resolve("logs.token".as_ref()), b"secret-token\n").unwrap();
        HttpSink::new(&config, &layout, self.journal.clone(), Arc::new(OsEntropy)).unwrap()
    }
}

#[tokio::test]
async fn decisions_are_posted_once_they_are_on_record() {
    let (world, receiver) = (World::new(), Receiver::answering(&[]).await);
    world.append(0..2).await;
    let (sink, shutdown) = (world.sink(&receiver), CancellationToken::new());
    let running = tokio::spawn(sink.run(shutdown.clone()));
    world.append(2..7).await;
    world
        .journal
        .append(Entry::dropped(DecisionId::new(Timestamp::UNIX_EPOCH, &[9; 10]), Timestamp::UNIX_EPOCH))
        .await
        .unwrap();
    receiver.until(1).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(receiver.numbers(0), [2, 3, 4, 5, 6], "not those from before it was set up, nor what was dropped");
    let came = &receiver.came()[0];
    for expected in ["post /logs", "content-type: application/json", "content-encoding: gzip", "bearer secret-token"] {
        assert!(came.header.contains(expected), "{expected}: {}", came.header);
    }
    let event = &came.events[0];
    assert_eq!((&event["labels"]["app"], &event["result"]["outcome"]), (&"test".into(), &"deny".into()));
    assert_eq!(event["input"]["user"]["id"], "2");
    shutdown.cancel();
    running.await.unwrap();

    // Another process goes on where this one was.
    world.append(20..22).await;
    let (sink, shutdown) = (world.sink(&receiver), CancellationToken::new());
    let running = tokio::spawn(sink.run(shutdown.clone()));
    receiver.until(2).await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(receiver.numbers(0), [2, 3, 4, 5, 6, 8, 9]);
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again() {
    let (world, receiver) = (World::new(), Receiver::answering(&[500, 401, 302]).await);
    let (sink, shutdown) = (world.sink(&receiver), CancellationToken::new());
    world.append(0..3).await;
    let running = tokio::spawn(sink.run(shutdown.clone()));
    receiver.until(4).await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(receiver.numbers(3), [0, 1, 2]);
    assert_eq!(receiver.came()[0].events, receiver.came()[3].events);
}

#[tokio::test]
async fn what_is_too_much_at_once_is_sent_in_parts() {
    let (world, receiver) = (World::new(), Receiver::answering(&[413, 413, 413]).await);
    let mut sink = world.sink(&receiver);
    world.append(0..8).await;
    sink.deliver().await.unwrap();
    let sizes: Vec<_> = receiver.came().iter().map(|came| came.events.len()).collect();
    assert_eq!(sizes, [8, 4, 2, 1, 2, 4, 1]);
    assert_eq!(receiver.numbers(3), (0..8).collect::<Vec<_>>());
    assert_eq!(sink.cursor.next(), 8);
}

#[tokio::test]
async fn one_decision_that_is_never_taken_does_not_hold_up_the_others() {
    let (world, receiver) = (World::new(), Receiver::answering(&[413, 413]).await);
    let mut sink = world.sink(&receiver);
    world.append(0..2).await;
    sink.deliver().await.unwrap();
    assert_eq!(receiver.numbers(2), [1]);
}

#[tokio::test]
async fn what_retention_removed_meanwhile_is_passed_over() {
    let (world, receiver) = (World::new(), Receiver::answering(&[]).await);
    let mut sink = world.sink(&receiver);
    world.append(0..250).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let kept = world.journal.view().entries();
    assert!(kept.start > 0);
    sink.deliver().await.unwrap();
    assert_eq!(receiver.numbers(0), kept.collect::<Vec<_>>());
}

#[tokio::test]
async fn pauses_grow_up_to_a_bound() {
    let (world, receiver) = (World::new(), Receiver::answering(&[]).await);
    let mut sink = world.sink(&receiver);
    for (failures, longest) in
        [(1, FIRST_PAUSE), (2, 2 * FIRST_PAUSE), (7, 64 * FIRST_PAUSE), (8, LONGEST_PAUSE), (u32::MAX, LONGEST_PAUSE)]
    {
        sink.failures = failures;
        for _ in 0..20 {
            let pause = sink.pause();
            assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
        }
    }
}

#[test]
fn decisions_are_told_over_tls_or_to_this_machine() {
    for url in ["https://logs.example.org/logs", "http://127.0.0.1:8181/logs", "http://[::1]/", "http://localhost:9"] {
        assert!(outward::read_url("decision_log.http.url", url).is_ok(), "{url}");
    }
    for url in [
        "http://logs.example.org/logs",
        "http://10.0.0.1/",
        "ftp://localhost/",
        "localhost:80",
        "",
        "http://localhost.example/",
    ] {
        assert!(outward::read_url("decision_log.http.url", url).is_err(), "{url}");
    }
}
