//! Python with packages of a fixed version, in environments under the target directory that are made once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// An interpreter with these requirements.
///
/// # Panics
/// If there is no Python, or the packages cannot be had: what was not run is not tested.
pub(crate) fn with(name: &str, requirements: &Path) -> PathBuf {
    let wanted = fs::read_to_string(requirements).unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    let (environment, installed) = (home.join("venv"), home.join("installed.txt"));
    let python = environment.join("bin/python");
    // Tests may run at the same time, in one process or in several.
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    if python.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return python;
    }
    let _ = fs::remove_file(&installed);
    must(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment),
        "this test needs python3 (3.10 or newer) with its venv module; on Debian and Ubuntu: apt install python3-venv",
    );
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    must(
        Command::new(&python).args(pip).arg(requirements),
        &format!("this test needs the packages of {} from the Python package index", requirements.display()),
    );
    fs::write(&installed, wanted).unwrap();
    python
}

fn must(command: &mut Command, otherwise: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{otherwise}\n{command:?}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{otherwise}\n{command:?}: {}\n{said}{complained}", output.status);
}
