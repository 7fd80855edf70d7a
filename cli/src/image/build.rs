//! `vouchsafe image build`: packages in, a golden image out.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use vouchsafe_attest::image::{GoldenImage, MAX_TEXT_LEN};
use vouchsafe_model::Timestamp;
use vouchsafe_packages::debian::{Checks, Freshness, PackageList, Repository, Sources, Trust, Wanted};
use vouchsafe_packages::folder::{self, FolderTrust};
use vouchsafe_packages::limits::{MAX_KEYRING_LEN, MAX_LIST_LEN};
use vouchsafe_packages::openpgp::Keyring;
use vouchsafe_packages::{Algorithms, Cache, Cancel, Inventory, Keep, Mirror, Plan, Settings, UsrMerge, build};
use vouchsafe_pki::files;

use super::progress::{Bar, stop_on_ctrl_c};
use crate::args::build::{self, BuildArgs, SourceArgs};
use crate::failure::Hint as _;
use crate::output::build::Report;
use crate::{host, output};

/// Where Debian keeps the keys of its archive.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Builds an image.
///
/// # Errors
/// When a source cannot be had or is not signed by anyone who counts, a package is refused, or the image cannot be written.
pub(crate) fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let now = host::now();
    let base = args.base.as_deref().map(read_image).transpose()?;
    let settings = settings(args)?;
    let cache = Cache::open(cache_dir(args.cache.as_deref())?)?;
    let cancel = stop_on_ctrl_c();
    let (plan, missing) = plan(args, &cache, &settings, now, &cancel)?;
    let bar = Bar::new();
    let built = build(&plan, &cache, &settings, &cancel, &bar);
    bar.clear();
    let inventory = built?;
    let image = image(args, base, &inventory, now);
    write(&args.output, &image)?;
    let report = Report::new(args, inventory, &missing);
    output::show(args.format.format, &report, || output::build::view(&report))
}

fn settings(args: &BuildArgs) -> anyhow::Result<Settings> {
    let keep = match args.what.only {
        None => Keep::All,
        Some(build::Only::Executable) => Keep::Executable,
    };
    let usr_merge = match args.what.usr_merge {
        build::UsrMerge::Both => UsrMerge::Both,
        build::UsrMerge::Merged => UsrMerge::Merged,
        build::UsrMerge::AsShipped => UsrMerge::AsShipped,
    };
    let algorithms = Algorithms::new(args.what.hash.iter().copied())?;
    Ok(Settings { algorithms, keep, usr_merge, ..Settings::default() })
}

/// Everything that is to be read, from every source; and what is wanted and nowhere to be had.
fn plan(
    args: &BuildArgs,
    cache: &Cache,
    settings: &Settings,
    now: Timestamp,
    cancel: &Cancel,
) -> anyhow::Result<(Plan, Vec<Wanted>)> {
    let keyring = keyring(args)?;
    let (mut plan, mut missing) = (Plan::default(), Vec::new());
    if !args.sources.debian.is_empty() {
        let sources = sources(&args.sources)?;
        let trust = keyring.as_ref().map_or(Trust::DangerUnsigned, Trust::Keyring);
        let freshness = if args.trust.danger_accept_stale {
            Freshness::DangerAcceptStale
        } else {
            Freshness::Fresh { max_age: args.trust.max_index_age }
        };
        let list = list(&args.sources)?;
        let repository = Repository::load(&sources, Checks { trust, freshness, now }, cache, cancel)?;
        (plan, missing) = repository.select(&list)?;
        if !missing.is_empty() && !args.sources.skip_missing {
            return Err(anyhow::Error::new(vouchsafe_packages::debian::DebianError::Missing(missing)))
                .hint("name the repositories that have them, or leave them out with --skip-missing");
        }
    }
    for folder in &args.sources.folder {
        let trust = keyring.as_ref().map_or(FolderTrust::DangerUnsigned, FolderTrust::Keyring);
        plan = plan.merge(folder::plan(folder, trust, settings.limits, now, cancel)?);
    }
    Ok((plan, missing))
}

/// The keys that may sign; none at all only where that was asked for.
fn keyring(args: &BuildArgs) -> anyhow::Result<Option<Keyring>> {
    if args.trust.danger_unsigned {
        return Ok(None);
    }
    let mut paths = args.trust.keyring.clone();
    if paths.is_empty() {
        if !args.sources.folder.is_empty() {
            return Err(anyhow::anyhow!("nobody says who must have signed the packages of the folder"))
                .hint("give --keyring FILE; --danger-unsigned takes what nobody signed");
        }
        paths.push(PathBuf::from(DEBIAN_KEYRING));
    }
    let mut keyring = Keyring::default();
    for path in paths {
        let max_len = usize::try_from(MAX_KEYRING_LEN).unwrap_or(usize::MAX);
        let bytes = files::read_file(&path, max_len)
            .context("cannot use the keyring")
            .hint("give --keyring FILE; Debian's own is in the package debian-archive-keyring")?;
        let read = Keyring::read(&bytes).with_context(|| format!("cannot use the keyring {}", path.display()))?;
        keyring = keyring.merge(read)?;
    }
    Ok(Some(keyring))
}

/// The repositories, each with its own suite and components or those for all.
fn sources(args: &SourceArgs) -> anyhow::Result<Vec<Sources>> {
    let source = |text: &String| {
        let mut words = text.split_whitespace().map(str::to_owned);
        let mirror = Mirror::open(&words.next().unwrap_or_default())?;
        let suites = words.next().map_or_else(|| args.suite.clone(), |suite| vec![suite]);
        let own: Vec<_> = words.collect();
        let components = if own.is_empty() { args.component.clone() } else { own };
        if suites.is_empty() {
            bail!("no suite of {text} is named; add it behind the URL, or give --suite");
        }
        Ok(Sources { mirror, suites, components, architectures: args.arch.clone() })
    };
    args.debian.iter().map(source).collect()
}

fn list(args: &SourceArgs) -> anyhow::Result<PackageList> {
    let Some(path) = &args.packages else {
        if !args.all {
            bail!("say which packages of the repositories are wanted: --packages FILE or --all");
        }
        return Ok(PackageList::All);
    };
    let max_len = usize::try_from(MAX_LIST_LEN).unwrap_or(usize::MAX);
    let bytes = files::read_file(path, max_len).context("cannot use the list of packages")?;
    let text = String::from_utf8(bytes).context("the list of packages is no UTF-8")?;
    PackageList::parse(&text).with_context(|| format!("cannot use the list of packages {}", path.display()))
}

fn cache_dir(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = given {
        return Ok(dir.to_owned());
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("vouchsafe")).context("there is no home folder; give --cache DIR")
}

fn read_image(path: &Path) -> anyhow::Result<GoldenImage> {
    let bytes = files::read_file(path, MAX_TEXT_LEN).context("cannot use the base")?;
    GoldenImage::parse_bytes(&bytes).with_context(|| format!("{} is no golden image", path.display()))
}

/// All that the base says but its name and its digests, and the digests that were found.
fn image(args: &BuildArgs, base: Option<GoldenImage>, inventory: &Inventory, now: Timestamp) -> GoldenImage {
    let mut image = GoldenImage::new(args.image.clone(), now);
    if let Some(base) = base {
        let GoldenImage { overlap, max_age, ignored_pcrs, pcrs, boot, runtime, .. } = base;
        image = GoldenImage { overlap, max_age, ignored_pcrs, pcrs, boot, runtime, ..image };
    }
    let digests = inventory.files.iter().map(|(path, file)| {
        let digests = file.digests.iter().map(ToString::to_string).collect();
        (path.clone(), digests)
    });
    image.runtime.get_or_insert_default().digests = digests.collect();
    image
}

/// Writes the image beside its place and moves it there, so that it is whole or not there; after reading it once, so that
/// it is one.
fn write(path: &Path, image: &GoldenImage) -> anyhow::Result<()> {
    let text = image.to_text();
    GoldenImage::parse(&text)
        .context("what was found makes no golden image")
        .hint("fewer packages, or --only executable, make a smaller one")?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
