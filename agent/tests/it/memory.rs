//! A list of a hundred megabytes does not make the agent any larger.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_agent::client::Client;
use vouchsafe_agent::clock;
use vouchsafe_agent::evidence::{Attestation, Attested};
use vouchsafe_agent::logs::{HostLogs, LogPaths};
use vouchsafe_agent::tls::for_enrolment;
use vouchsafe_model::HostFacts;
use vouchsafe_wire::v1::limits;

use crate::device::{Host, Quotes, byte_at, world};
use crate::engine::CERTIFICATE;

const URL: &str = "VOUCHSAFE_TEST_ENGINE";
const DIR: &str = "VOUCHSAFE_TEST_HOST";
const LIST: u64 = 100 * 1024 * 1024;
/// How much an attestation may add to what the process needs anyway: what two parts are while they become requests, for the
/// connection may hold on to the body of the last one while the next is made, and a little.
const MOST_KB: u64 = 14 * 1024;

/// The other process: attests once with a short list, then with a long one, and says what the second cost.
#[tokio::test]
#[ignore = "the process that the test below measures"]
async fn an_agent_by_itself() {
    let (url, dir) = (std::env::var(URL).unwrap(), std::path::PathBuf::from(std::env::var(DIR).unwrap()));
    let bundle = fs::read_to_string(dir.join("bundle.pem")).unwrap();
    let client = Client::new(&url, for_enrolment(&bundle).unwrap(), Duration::from_secs(60)).unwrap();
    let mut peaks = Vec::new();
    for list in ["short", "long"] {
        let at = |name| dir.join(name);
        let paths = LogPaths { event_log: at("event_log"), ima: at(list), boot_id: at("boot_id") };
        let attestation = Attestation {
            client: &client,
            quoter: &Quotes::default(),
            logs: &Arc::new(HostLogs::new(paths)),
            certificate: CERTIFICATE,
            facts: HostFacts::default(),
            until: clock::now().boot + Duration::from_secs(600),
        };
        let attested = attestation.perform(client.challenge().await.unwrap()).await.unwrap();
        assert!(matches!(attested, Attested::Appraised(_)));
        peaks.push(peak_kb());
    }
    fs::write(dir.join("peaks"), format!("{} {}", peaks[0], peaks[1])).unwrap();
}

fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_hundred_megabytes_does_not_make_the_agent_larger() {
    let host = Host::new();
    let (engine, server, _) = world(&host).await;
    let dir = host.ima().parent().unwrap().to_owned();
    fs::write(dir.join("bundle.pem"), &server.trust_bundle_pem).unwrap();
    fs::write(dir.join("short"), "").unwrap();
    // The most of it is a hole, which is read quickly. The end is what does not shrink: the largest parts there can be.
    let mut long = File::create(dir.join("long")).unwrap();
    let noise = 6 * u64::try_from(limits::IMA_PART).unwrap();
    long.set_len(LIST - noise).unwrap();
    std::io::Seek::seek(&mut long, std::io::SeekFrom::End(0)).unwrap();
    long.write_all(&(0..noise).map(|place| byte_at(place / 8 * 16 + place % 8)).collect::<Vec<_>>()).unwrap();
    let child = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "memory::an_agent_by_itself"])
            .env(URL, format!("https://{}", server.address))
            .env(DIR, &dir)
            .output()
            .map(|output| (output, dir, server))
            .unwrap()
    });
    let (output, dir, _server) = child.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let memory = engine.memory();
    assert_eq!(memory.list.len() as u64, LIST);
    assert_eq!(memory.parts.len(), 99);
    assert!(memory.parts.iter().any(|part| part.compressed > limits::IMA_PART - 1024), "some parts do not shrink");
    let peaks = fs::read_to_string(dir.join("peaks")).unwrap();
    let (short, long) =
        peaks.split_once(' ').map(|(short, long)| (short.parse().unwrap(), long.parse().unwrap())).unwrap();
    println!("{short} kB with a short list, {long} kB with a long one");
    let (short, long): (u64, u64) = (short, long);
    assert!(long - short <= MOST_KB, "{short} kB with a short list, {long} kB with a long one");
}
