//! `vouchsafe secureboot import`.

use anyhow::Context as _;
use vouchsafe_attest::secure_boot::MAX_UPDATE_LEN;
use vouchsafe_pki::files;
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::operate::{DbxView, ImportDbx};

use crate::args::secureboot::ImportArgs;
use crate::client::{Client, Endpoint};
use crate::output;
use crate::output::secureboot::in_force;

pub(super) async fn import(client: &Client, args: &ImportArgs) -> anyhow::Result<()> {
    let bytes = files::read_file(&args.file, MAX_UPDATE_LEN).context("cannot use the update")?;
    let file = Bytes::new(bytes).with_context(|| format!("{} is too long", args.file.display()))?;
    let endpoint = Endpoint::v1(["secure-boot", "dbx", &args.arch]);
    let view: DbxView = client.put(&endpoint, &ImportDbx { file }).await?;
    output::show(args.format.format, &view, || in_force(&view))
}
