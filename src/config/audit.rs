//! `[audit]`: who vouches for the decision log.

use std::{io::ErrorKind, path::PathBuf};

use super::{Audit, reader::Section};
use crate::evidence::SigningKey;

pub(super) fn read(section: &Section<'_>) -> Audit {
    Audit { signing_key: signing_key(section) }
}

/// Where the key is, or is to be; it is not read.
pub(super) fn signing_key_file(section: &Section<'_>) -> Option<PathBuf> {
    section.path("signing_key_file")
}

fn signing_key(section: &Section<'_>) -> Option<SigningKey> {
    let value = section.get("signing_key_file")?;
    let path = value.text("the path of a PEM file")?;
    match (section.reader.read_file)(&section.reader.beside(path)) {
        Ok(pem) => SigningKey::from_pem(&pem).map_err(|error| value.mistake(error.to_string())).ok(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            value.mistake("there is no such file; `oncall-grants audit keygen` makes it");
            None
        }
        Err(error) => {
            value.unreadable(path, &error);
            None
        }
    }
}
