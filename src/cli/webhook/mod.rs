//! `oncall-grants webhook`.
use super::Ending;
use crate::config::Config;
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Options {}
pub(super) async fn webhook(_config: &Config, _options: Options) -> anyhow::Result<Ending> {
    Ok(Ending::Done)
}
