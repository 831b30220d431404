//! `oncall-grants audit keygen`: makes the key that signs checkpoints.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, anyhow, bail};

use super::open;
use crate::{
    cli::{ExitStatus, print, print_to_stderr},
    config::{Records, Store},
    evidence::{SigningKey, origin},
    store::Address,
    wiring,
};

pub(super) async fn keygen(records: &Records) -> anyhow::Result<ExitStatus> {
    let Records { store, signing_key_file } = records;
    let Some(file) = signing_key_file else {
        print_to_stderr("audit.signing_key_file is missing: it says where the key is to be");
        return Ok(ExitStatus::Misused);
    };
    let name = origin(&store_id(store).await?);
    let pem = SigningKey::generate().map_err(|_| anyhow!("the system gives no random numbers"))?;
    write_new(file, &pem)?;
    print(&SigningKey::from_pem(pem.as_bytes())?.verifier(&name));
    Ok(ExitStatus::Done)
}

/// The name of the key carries the store's, so there must be a store, even before the first start of the service.
async fn store_id(store: &Store) -> anyhow::Result<String> {
    let is_new = matches!(&store.address, Address::Sqlite { path } if !path.exists());
    let store = if is_new { wiring::open_store(&store.address).await? } else { open(store).await? };
    let head = store.log_head().await;
    store.close().await;
    Ok(head?.store_id)
}

/// Never over another key: nobody could check what that one signed.
fn write_new(file: &Path, pem: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; a key is never written over another file", file.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", file.display())),
    };
    let written = opened.write_all(pem.as_bytes()).and_then(|()| opened.sync_all());
    written.with_context(|| format!("cannot write {}", file.display()))
}
