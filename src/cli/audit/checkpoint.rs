//! `oncall-grants audit checkpoint`: how far the decision log has come.

use super::{open, signing_key};
use crate::{
    cli::{ExitStatus, print_exact},
    clock,
    config::Records,
    evidence::Evidence,
};

pub(super) async fn checkpoint(records: &Records) -> anyhow::Result<ExitStatus> {
    let key = records.signing_key_file.as_deref().map(signing_key).transpose()?;
    let store = open(&records.store).await?;
    let made = Evidence::new(store.clone(), key).make(clock::now()).await;
    store.close().await;
    print_exact(&made?.note);
    Ok(ExitStatus::Done)
}
