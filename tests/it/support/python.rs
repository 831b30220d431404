//! Python with packages of a fixed version, in an environment under the target directory that is made once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::{stderr, stdout};

/// What the tests use of the Python package index.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// An interpreter with [`REQUIREMENTS`].
///
/// # Panics
/// If there is no Python, or the packages cannot be had: what was not run is not tested.
pub(crate) fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&home).unwrap();
    let (environment, installed) = (home.join("venv"), home.join("installed.txt"));
    let python = environment.join("bin/python");
    // Tests may run at the same time, in one process or in several.
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return python;
    }
    let _ = fs::remove_file(&installed);
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment),
        "this test needs python3 (3.10 or newer) with its venv module; on Debian and Ubuntu: apt install python3-venv",
    );
    let wanted = home.join("requirements.txt");
    fs::write(&wanted, REQUIREMENTS).unwrap();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(
        Command::new(&python).args(pip).arg(&wanted),
        "this test needs packages from the Python package index: those of tests/it/support/requirements.txt",
    );
    fs::write(&installed, REQUIREMENTS).unwrap();
    python
}

/// Runs a command, which must succeed; if it does not, `needed` says what is missing.
fn run(command: &mut Command, needed: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{needed}\n{command:?}: {error}"));
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.success(), "{needed}\n{command:?}: {}\n{said}", output.status);
}
