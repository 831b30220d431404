//! Where a one-time secret goes: a file of mode 0600, or standard output. Nothing that was there is overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::{print, print_to_stderr};

/// Opened before the secret exists: a secret that cannot be kept is lost for ever.
#[derive(Debug)]
pub(super) enum SecretSink {
    /// A new file.
    NewFile(PathBuf, File),
    /// A file that is there, to which it is added as another line.
    ExistingFile(PathBuf, File),
    /// Standard output, which then carries nothing else.
    Stdout,
}

impl SecretSink {
    /// A file that must not exist yet, or hold nothing, or standard output.
    pub(super) fn new_file(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match file {
            Ok(file) => Ok(Self::NewFile(path.to_owned(), file)),
            // As a mount may have made it, to be filled.
            Err(_) if fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() == 0) => {
                Self::append_to(Some(path))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(anyhow::anyhow!(
                "{} exists, and is not overwritten; name another file, or add to it with --append",
                path.display()
            )),
            Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }

    /// A file that may exist, or standard output.
    pub(super) fn append_to(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        if !path.exists() {
            return Self::new_file(Some(path));
        }
        let file = OpenOptions::new().read(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write to {}", path.display()))?;
        let mode = file.metadata().map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            print_to_stderr(&format!(
                "warning: others on this machine may read {} (mode {:o})",
                path.display(),
                mode & 0o777
            ));
        }
        Ok(Self::ExistingFile(path.to_owned(), file))
    }

    /// The file.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::NewFile(path, _) | Self::ExistingFile(path, _) => Some(path),
            Self::Stdout => None,
        }
    }

    /// Where the secret before the one that was kept last is, in words; none if there is none.
    pub(super) fn previous_secret(&self) -> Option<String> {
        let Self::ExistingFile(path, _) = self else { return None };
        let text = fs::read_to_string(path).ok()?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let numbers: Vec<usize> = lines.map(|(index, _)| index + 1).collect();
        let [older @ .., before, new] = numbers.as_slice() else { return None };
        let unless = if older.is_empty() { "" } else { ", unless that is another subscription's" };
        Some(format!("line {before} of {}, the one before the new one (line {new}){unless}", path.display()))
    }

    /// Tells people something, on standard output unless the secret goes there.
    pub(super) fn tell(&self, text: &str) {
        match self {
            Self::NewFile(..) | Self::ExistingFile(..) => print(text),
            Self::Stdout => print_to_stderr(text),
        }
    }

    /// Keeps the secret, on disk when this returns.
    pub(super) fn keep(&mut self, secret: &SecretString) -> io::Result<()> {
        let secret = secret.expose_secret();
        match self {
            Self::NewFile(_, file) => {
                writeln!(file, "{secret}")?;
                file.sync_all()
            }
            Self::ExistingFile(_, file) => {
                let start = if ends_with_newline(file)? { "" } else { "\n" };
                // One write, so that a reader sees all of it or nothing.
                file.write_all(format!("{start}{secret}\n").as_bytes())?;
                file.sync_all()
            }
            Self::Stdout => {
                let mut output = io::stdout().lock();
                writeln!(output, "{secret}")?;
                output.flush()
            }
        }
    }

    /// Removes the new file again, because there is no secret for it.
    pub(super) fn discard(self) {
        if let Self::NewFile(path, file) = self {
            drop(file);
            // An empty file that stays does no harm but to the next attempt, which names it.
            let _ = fs::remove_file(path);
        }
    }
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone_and_never_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let mut sink = SecretSink::new_file(Some(&path)).unwrap();
        sink.keep(&"first".into()).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("first\n", 0o600));
        let refused = SecretSink::new_file(Some(&path)).unwrap_err().to_string();
        assert!(refused.contains("not overwritten"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn an_empty_file_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, "").unwrap();
        SecretSink::new_file(Some(&path)).unwrap().keep(&"first".into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn another_secret_is_another_line_also_after_a_line_without_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, "first").unwrap();
        SecretSink::append_to(Some(&path)).unwrap().keep(&"second".into()).unwrap();
        SecretSink::append_to(Some(&path)).unwrap().keep(&"third".into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\nthird\n");
    }

    #[test]
    fn the_line_before_the_new_one_is_named_if_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let added = |secret: &str| {
            let mut sink = SecretSink::append_to(Some(&path)).unwrap();
            sink.keep(&secret.into()).unwrap();
            sink.previous_secret().map(|place| place.replace(path.to_str().unwrap(), "F"))
        };
        assert_eq!(added("first"), None);
        assert_eq!(added("second").as_deref(), Some("line 1 of F, the one before the new one (line 2)"));
        fs::write(&path, "first\nsecond\n\n").unwrap();
        let third = "line 2 of F, the one before the new one (line 4), unless that is another subscription's";
        assert_eq!(added("third").as_deref(), Some(third));
    }

    #[test]
    fn what_holds_no_secret_is_removed_but_never_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        SecretSink::new_file(Some(&path)).unwrap().discard();
        assert!(!path.exists());
        fs::write(&path, "first\n").unwrap();
        SecretSink::append_to(Some(&path)).unwrap().discard();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }
}
