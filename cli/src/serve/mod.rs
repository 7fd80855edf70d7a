//! `vouchsafe serve`: both engines in one process, over one SQLite file, behind their doors.
//!
//! This is where the trust engine and the policy engine meet: records go from one to the other through [`records`],
//! decisions from the other to the decision log through [`decisions`], and from there to other systems through [`sinks`].
//! Nothing else knows both.

pub(crate) mod config;
mod decisions;
mod doors;
mod files;
mod identity;
mod log;
mod outward;
mod policy;
mod records;
mod sinks;
mod upkeep;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::{Clock, Entropy, OsEntropy, SystemClock};
use vouchsafe_policy_engine::RecordTable;
use vouchsafe_policy_engine::doors::Doors as DecisionDoors;
use vouchsafe_store::{SqliteStore, Store};
use vouchsafe_trust_engine::{Parts, PublicUrls, TrustEngine};

use config::{Layout, ServerConfig};

use crate::failure::{self, Hint as _};
use crate::{host, output};

/// Run the server: both engines in one process, over one SQLite file.
///
/// Listens at three doors: enrolment (hosts that have no identity yet), the API (everyone who has one; TLS demands a client
/// certificate) and operations (plain HTTP on this machine: health, metrics, OpenAPI); and at a fourth, for enforcement
/// points that have a key, if the settings name one. Stops in good order on SIGTERM or Ctrl-C: requests in flight are
/// answered first. SIGHUP has it read its policy again. Exits 2 when the policy does not pass the gate.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vouchsafe serve --dir /var/lib/vouchsafe\n  \
    VOUCHSAFE_SERVER_LOG__LEVEL=debug vouchsafe serve --dir ./engine")]
pub(crate) struct ServeArgs {
    /// The server's folder, as `vouchsafe init` made it.
    #[arg(
        long,
        env = "VOUCHSAFE_DIR",
        hide_env_values = true,
        default_value = "/var/lib/vouchsafe",
        value_name = "DIR"
    )]
    dir: PathBuf,
}

/// The policy was refused.
const REFUSED: u8 = 2;
/// The stack of a thread that decides, in bytes: the reference evaluator recurses on it, as deep as a policy may nest. Only
/// what is used is ever committed.
pub(crate) const STACK: usize = 64 * 1024 * 1024;

/// Runs the server until it is told to stop.
///
/// # Errors
/// It cannot start, or a door could not be kept open.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build();
    let served = runtime.context("cannot start")?.block_on(serve(args));
    match served {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match policy::refusal(&error) {
            None => Err(error),
            Some(report) => {
                host::complain(&output::gate::report(report));
                failure::fail(&error);
                Ok(ExitCode::from(REFUSED))
            }
        },
    }
}

async fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let layout = Layout::of(&args.dir);
    let config = ServerConfig::read(&layout)
        .with_context(|| format!("cannot read the settings of {}", layout.dir().display()))
        .hint(format!("`vouchsafe init --dir {}` makes a new server", layout.dir().display()))?;
    log::init(&config.log)?;
    let metrics =
        metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().context("cannot count anything")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);

    let store = open_store(&layout, &config).await?;
    let shared: Arc<dyn Store> = Arc::new(store.clone());

    let records = Arc::new(RecordTable::new());
    let (in_charge, keeper) = policy::start(&layout, &config, records.clone(), clock.clone()).await?;
    let points = doors::points(&config)?;
    let authority = Arc::new(files::authority(&layout, &config)?);
    let trust = Arc::new(TrustEngine::new(Parts {
        config: config.trust.clone(),
        model: files::model(&layout, &config)?,
        store: shared.clone(),
        authority: authority.clone(),
        trust_domain: config.trust_domain.clone(),
        anchors: files::ek_roots(&layout)?,
        image_keys: files::image_keys(&layout, &config)?,
        secret: files::engine_secret(&layout)?,
        records: Arc::new(records::Plug(records.clone())),
        clock: clock.clone(),
        entropy: entropy.clone(),
        urls: PublicUrls { enrol: config.public.enrol.clone(), api: config.public.api.clone() },
    })?);
    let result_keys = Arc::new(files::result_keys(&layout)?);
    let snapshot = trust.snapshot().await.context("cannot read the devices from the store")?;
    tracing::info!(devices = snapshot.len(), store.file = %config.store.file.display(), "state loaded");
    records.load(snapshot);

    let shutdown = CancellationToken::new();
    let server = identity::Server::read(&layout, authority.clone(), clock.clone(), entropy.clone())?;
    let (log, logging) = decisions::Log::open(&layout, &config, clock.clone(), entropy.clone(), &shutdown)?;
    let decider = log.decider(in_charge.engine().clone(), clock.clone(), entropy.clone());
    let doors = doors::Doors {
        config,
        trust,
        result_keys,
        decisions: DecisionDoors::new(decider, files::page_key(&layout)?).with_points(points),
        in_charge,
        log,
        records,
        store: shared.clone(),
        authority,
        metrics: metrics.clone(),
        clock: clock.clone(),
        entropy,
    };
    let open = doors.open(&server, &shutdown).await?;
    let upkeep = [
        tokio::spawn(upkeep::purge(shared, clock, open.retention(), shutdown.clone())),
        tokio::spawn(upkeep::sum_up(metrics, shutdown.clone())),
        tokio::spawn(server.renew_in_time(open.tls(), shutdown.clone())),
        tokio::spawn(keeper.run(shutdown.clone())),
    ];
    tokio::spawn(stop_on_signal(shutdown));
    let closed = open.until_closed().await;
    for task in upkeep {
        task.await.context("upkeep failed")?;
    }
    logging.finish().await?;
    store.close().await;
    tracing::info!("stopped");
    closed
}

async fn open_store(layout: &Layout, config: &ServerConfig) -> anyhow::Result<SqliteStore> {
    let file = layout.resolve(&config.store.file);
    let store = SqliteStore::open(&file, config.store.options()).await;
    store.with_context(|| format!("cannot open the store {}", file.display()))
}

/// Cancels when the process is told to stop.
async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { std::future::pending::<()>().await },
    }
    tracing::info!("stopping: requests in flight are answered first");
    shutdown.cancel();
}
