//! What an entry costs: with the waiting for the disk and without, alone and among others; and reading entries again.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use vouchsafe_journal::{
    CheckpointKey, Disk, Entry, Journal, JournalParts, JournalSettings, Scan, SignCheckpoint, SigningFailed,
    SystemDisk, Writing, verify,
};
use vouchsafe_model::{DecisionId, Timestamp};
use vouchsafe_pki::{IssuerKey as _, LocalKey};

const NOW: Timestamp = Timestamp::from_unix_secs(1_769_860_800);
/// The JSON of a decision with its question, as it comes in practice, in bytes.
const BODY_LEN: usize = 1_400;

#[derive(Debug)]
struct Signer(LocalKey, CheckpointKey);

impl SignCheckpoint for Signer {
    fn public_key(&self) -> &CheckpointKey {
        &self.1
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.0.sign(text).map_err(|_| SigningFailed)
    }
}

/// Leaves out the waiting for the disk.
struct Unsynced;

impl Disk for Unsynced {
    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
}

fn open(folder: &Path, disk: Arc<dyn Disk>) -> (Journal, Writing) {
    let key = LocalKey::generate().unwrap();
    let public = CheckpointKey::from_spki_der(&key.spki_der().unwrap()).unwrap();
    Journal::open(JournalParts {
        folder: folder.join("log"),
        new_origin: "example.org/decisions/bench".parse().unwrap(),
        // So that it does not fill the disk.
        settings: JournalSettings { max_total_bytes: Some(512 * 1024 * 1024), ..JournalSettings::default() },
        signer: Arc::new(Signer(key, public)),
        disk,
        now: Arc::new(|| NOW),
    })
    .unwrap()
}

fn entry(number: u64) -> Entry {
    let mut entropy = [0; 10];
    entropy.iter_mut().skip(2).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(BODY_LEN - 11));
    Entry::new(DecisionId::new(NOW, &entropy), NOW, body.into()).unwrap()
}

/// How long it takes until each of so many tasks has appended so many entries, and waited for one before the next.
async fn append(journal: &Journal, each: u64, tasks: u64) -> Duration {
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (journal, template) = (journal.clone(), entry(task));
            tokio::spawn(async move {
                for _ in 0..each {
                    journal.append(template.clone()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}

fn appending(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("append");
    let disks: [(&str, Arc<dyn Disk>); 2] = [("synced", Arc::new(SystemDisk)), ("unsynced", Arc::new(Unsynced))];
    for (name, disk) in disks {
        for tasks in [1, 16, 128, 512] {
            let folder = tempfile::tempdir().unwrap();
            let (journal, writing) = open(folder.path(), disk.clone());
            group.throughput(Throughput::Elements(tasks));
            group.bench_function(BenchmarkId::new(name, tasks), |b| {
                b.iter_custom(|each| runtime.block_on(append(&journal, each, tasks)));
            });
            writing.finish();
        }
    }
    group.finish();
}

fn reading(c: &mut Criterion) {
    const ENTRIES: u64 = 40_000;
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (journal, writing) = open(folder.path(), Arc::new(Unsynced));
    runtime.block_on(async {
        for number in 0..ENTRIES {
            journal.append(entry(number)).await.unwrap();
        }
    });
    writing.finish();
    let mut group = c.benchmark_group("read");
    group.sample_size(10).throughput(Throughput::Elements(ENTRIES));
    group.bench_function("scan", |b| {
        b.iter(|| {
            journal.view().newest_first(&Scan::all(u64::MAX), |record| {
                black_box(record.body());
                ControlFlow::Continue(())
            })
        });
    });
    group.bench_function("verify", |b| {
        b.iter(|| verify(&folder.path().join("log"), &[journal.key().clone()], None, &mut |_| {}).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = appending, reading
}
criterion_main!(benches);
