//! A trust model in which trust takes seconds to grow, where it takes days.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The default trust model, but for what it takes to earn tenure and conduct, and for what remains of a failure once the
/// device is in order again: the ceiling for failed evidence stays, and the weeks that follow are left out.
pub(crate) fn text() -> Result<String> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trust-engine/models/default.toml");
    let mut model = std::fs::read_to_string(&default).with_context(|| format!("reading {}", default.display()))?;
    let changes = [
        ("per_day = { tenure = 0.4, conduct = 14 }", "per_day = { tenure = 864_000, conduct = 864_000 }"),
        (
            "against = { tenure = 10, boot = 40, runtime = 40, conduct = 40 }",
            "against = { tenure = 1, boot = 1, runtime = 1, conduct = 1 }",
        ),
    ];
    for (from, to) in changes {
        ensure!(model.contains(from), "the default trust model has no line {from}");
        model = model.replace(from, to);
    }
    Ok(model)
}
