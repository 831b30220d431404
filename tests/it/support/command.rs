//! The real binary as a command that runs to its end, and what came of it.

use std::{
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A directory for a configuration and a store, in memory where that can be had: how long a disk takes for each commit,
/// while others use it as well, is not what is tested.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// The binary in `dir`, where its configuration is, without any variable of ours.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncall-grants"));
    command.current_dir(dir).env_clear().args(arguments);
    command
}

/// Runs a command to its end without blocking the stand-ins.
pub(crate) async fn output(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.expect("no panic").expect("the binary can be run")
}

/// The exit code.
pub(crate) fn exit_code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

/// What it printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What it told about how that went.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}
