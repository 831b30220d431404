//! The binary; everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use oncall_grants::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).await
}
