//! How far a run is, on the terminal; and how it is stopped there.

use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use vouchsafe_packages::{Cancel, PackageId, Progress};

/// How the bar looks: bytes, since packages differ by a factor of ten thousand.
const TEMPLATE: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";

/// A bar on standard error. Where that is no terminal, nothing is drawn.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        // The template is a constant; if it were wrong, the bar of the library's choice would do.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn planned(&self, _packages: usize, bytes: u64) {
        self.0.set_length(bytes);
        self.0.reset_eta();
    }

    fn fetched(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn done(&self, package: &PackageId, cached: Option<u64>) {
        self.0.inc(cached.unwrap_or(0));
        self.0.set_message(package.name.clone());
    }
}

/// The first Ctrl-C stops the run in good order, the second at once.
pub(crate) fn stop_on_ctrl_c() -> Cancel {
    let cancel = Cancel::new();
    let wish = cancel.clone();
    thread::spawn(move || {
        // Without a runtime Ctrl-C ends the process at once; the cache bears that as well.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                wish.cancel();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
    cancel
}
