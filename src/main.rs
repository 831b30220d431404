//! The binary; everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use oncall_grants::cli;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a thread for each processor");
    let code = runtime.block_on(cli::run(cli));
    // Whoever still waits for a file system or a name server that hangs must not keep the process from ending.
    runtime.shutdown_background();
    code
}
