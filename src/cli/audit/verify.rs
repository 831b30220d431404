//! `oncall-grants audit verify`: whether the decision log is as it was written.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{open, signing_key};
use crate::{
    cli::{ExitStatus, counted, print, print_to_stderr},
    config::Records,
    evidence::{self, Checkpoint, Flaw, Proof, Signature, SigningKey},
    model::instant::to_second,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A checkpoint that was kept elsewhere; may be given several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
}

pub(super) async fn verify(records: &Records, options: Options) -> anyhow::Result<ExitStatus> {
    let kept = options.checkpoints.into_iter().map(|file| {
        let which = format!("the checkpoint in {}", file.display());
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {which}"))?;
        let told = text.parse().with_context(|| which.clone())?;
        Ok((which, told))
    });
    let kept: Vec<(String, Checkpoint)> = kept.collect::<anyhow::Result<_>>()?;
    let key = records.signing_key_file.as_deref().and_then(|file| {
        let warn = |error: &anyhow::Error| print_to_stderr(&format!("signatures are not checked: {error:#}"));
        signing_key(file).inspect_err(warn).ok()
    });
    let store = open(&records.store).await?;
    let verified = evidence::verify(&store, &kept, key.as_ref()).await;
    store.close().await;
    match verified {
        Ok(proof) => {
            print(&words(&proof, &kept, key.as_ref()));
            Ok(ExitStatus::Done)
        }
        Err(Flaw::Store(error)) => Err(error.into()),
        Err(flaw) => {
            print(&flaw.to_string());
            Ok(ExitStatus::Incomplete)
        }
    }
}

fn words(proof: &Proof, kept: &[(String, Checkpoint)], key: Option<&SigningKey>) -> String {
    let mut text = format!("{proof}\n");
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if proof.pruned > 0 {
        let before = to_second(proof.pruned_before);
        add(format!(
            "of {}, the hashes alone: the entries were pruned, as made before {before}",
            proof.pruned
        ));
    }
    if proof.waiting > 0 {
        let waiting = usize::try_from(proof.waiting).unwrap_or_default();
        add(format!("not yet part of the log: {} of an earlier version", counted(waiting, "audit row")));
    }
    let stored = proof.newest.iter().map(|told| ("the newest checkpoint in the store", told));
    for (which, told) in stored.chain(kept.iter().map(|(which, told)| (which.as_str(), told))) {
        let signed = match key.map(|key| told.signature_of(key)) {
            Some(Signature::Good) => "signed by our key",
            Some(Signature::Forged | Signature::Missing) => "not signed by our key",
            None => "its signature was not checked",
        };
        add(format!("lead to {which}, of {} entries, {signed}", told.size));
    }
    text
}
