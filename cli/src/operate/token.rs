//! `vouchsafe token`.

use std::path::Path;

use vouchsafe_model::TokenId;
use vouchsafe_pki::files;
use vouchsafe_wire::v1::operate::{CreateToken, CreatedToken, TokenView};

use crate::args::token::{CreateArgs, TokenCommand};
use crate::client::{Client, Endpoint};
use crate::failure::{Hint as _, with_hint};
use crate::output::token::WrittenToken;
use crate::{host, output};

pub(super) async fn run(client: &Client, command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => create(client, args).await,
        TokenCommand::List(args) => {
            let tokens: Vec<TokenView> = client.read_all(&Endpoint::v1(["tokens"]), args.limit.limit).await?;
            output::show(args.format.format, &tokens, || output::token::list(&tokens, host::now()))
        }
        TokenCommand::Revoke(args) => {
            let token = revoke(client, args.id).await?;
            output::show(args.format.format, &token, || output::token::revoked(&token))
        }
    }
}

/// Makes a token. Where its secret is to go is looked at before, so that none is made that nobody gets.
async fn create(client: &Client, args: CreateArgs) -> anyhow::Result<()> {
    let asked = CreateToken {
        label: args.label,
        ttl_secs: args.ttl.as_secs(),
        max_uses: args.uses,
        pinned_ek: args.pin_ek,
        image: args.image,
        danger_sha1: args.danger_sha1,
    };
    let Some(file) = args.out else {
        refuse_terminal()?;
        let token: CreatedToken = client.post(&Endpoint::v1(["tokens"]), &asked).await?;
        host::complain(&format!(
            "note: this is token {id}; to withdraw it: vouchsafe token revoke {id}\n",
            id = token.id
        ));
        return host::print(&output::json(&token.join)?);
    };
    refuse_existing(&file)?;
    let token: CreatedToken = client.post(&Endpoint::v1(["tokens"]), &asked).await?;
    write(client, &token, &file).await?;
    let written = WrittenToken { id: token.id, expires_at: token.join.expires_at, file: &file };
    output::show(args.format.format, &written, || output::token::written(&token, &file, host::now()))
}

/// Writes the join file, or withdraws the token whose secret is then lost.
async fn write(client: &Client, token: &CreatedToken, file: &Path) -> anyhow::Result<()> {
    let text = zeroize::Zeroizing::new(output::json(&token.join)?);
    let Err(error) = files::create_private_file(file, text.as_bytes()) else { return Ok(()) };
    let hint = match revoke(client, token.id).await {
        Ok(_) => format!("token {} was made and is withdrawn again, as nobody has its secret", token.id),
        Err(_) => format!("token {id} was made, and nobody has its secret: vouchsafe token revoke {id}", id = token.id),
    };
    Err(with_hint(error.into(), hint))
}

async fn revoke(client: &Client, id: TokenId) -> anyhow::Result<TokenView> {
    client.trigger(&Endpoint::v1(["tokens", &id.to_string(), "revoke"])).await
}

fn refuse_terminal() -> anyhow::Result<()> {
    if !host::stdout_is_terminal() {
        return Ok(());
    }
    Err(anyhow::anyhow!("a join file holds a secret, which is not shown on a screen"))
        .hint("write it to a file (--out join.json), or to a pipe: vouchsafe token create | ssh HOST …")
}

fn refuse_existing(file: &Path) -> anyhow::Result<()> {
    let exists = files::WriteFileError::Exists { path: file.to_owned() };
    if file.symlink_metadata().is_ok() {
        return Err(exists).hint("name another file, or remove this one; no token was made");
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(anyhow::anyhow!("there is no folder {} to write {} to", folder.display(), file.display()))
        .hint("make the folder first; no token was made")
}
