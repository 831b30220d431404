//! `oncall-grants audit`: exports what was decided and done, and proves that nobody changed it.

mod checkpoint;
mod export;
mod keygen;
mod ocsf;
mod verify;

use std::path::Path;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use super::ExitStatus;
use crate::{
    config::{Records, Store},
    evidence::SigningKey,
    store::{Address, SharedStore},
    wiring,
};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    export: export::Selection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Computes all that is stored anew, and compares it with checkpoints
    #[command(after_help = "Example: oncall-grants audit verify --checkpoint kept-in-january.txt")]
    Verify(verify::Options),
    /// Prints a checkpoint of all that is in the audit now, to be kept elsewhere
    #[command(after_help = "Example: oncall-grants audit checkpoint > \"audit-$(date -I).txt\"")]
    Checkpoint,
    /// Makes the key that signs checkpoints, where the configuration says, and prints what others need to check them
    #[command(after_help = "Example: oncall-grants audit keygen > audit-verifier-key.txt")]
    Keygen,
}

pub(super) async fn audit(records: &Records, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { command, export } = options;
    match command {
        None => export::export(&records.store, export).await,
        Some(Command::Verify(options)) => verify::verify(records, options).await,
        Some(Command::Checkpoint) => checkpoint::checkpoint(records).await,
        Some(Command::Keygen) => keygen::keygen(records).await,
    }
}

/// Opens the store to look only; there must be one.
async fn open(store: &Store) -> anyhow::Result<SharedStore> {
    if let Address::Sqlite { path } = &store.address {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        ensure!(
            path.exists(),
            "there is no store at {}; start this in the working directory of the service, or give store.url an absolute path",
            absolute.display(),
        );
    }
    wiring::open_store_beside(&store.address).await
}

/// The key in this file.
fn signing_key(file: &Path) -> anyhow::Result<SigningKey> {
    let named = || format!("the key that audit.signing_key_file names, {}", file.display());
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", named()))?;
    SigningKey::from_pem(&pem).with_context(named)
}
