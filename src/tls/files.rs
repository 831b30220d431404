//! The listener's files, and noticing that they changed: certificates are renewed while the service runs.

use std::{path::Path, time::Duration};

use anyhow::Context;

use super::{ClientAuth, Tls};
use crate::reload::{Look, Reloader};

/// How often the files are read. They are small and in the page cache.
const POLL: Duration = Duration::from_secs(1);

/// What the files of the configuration hold.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// The certificate chain.
    pub(super) cert: Vec<u8>,
    /// Its private key.
    pub(super) key: Vec<u8>,
    /// The authorities of client certificates, where the configuration names any.
    pub(super) client_ca: Option<Vec<u8>>,
}

impl Files {
    /// Reads all of them.
    pub(super) fn read(tls: &Tls) -> anyhow::Result<Self> {
        let Tls { cert, key, client } = tls;
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let client_ca = client.as_ref().map(|ClientAuth { ca, names: _ }| read(ca)).transpose()?;
        Ok(Self { cert: read(cert)?, key: read(key)?, client_ca })
    }
}

/// Notices when the files change.
pub(super) struct Changes(Reloader<Result<Files, String>>);

impl Changes {
    /// Notices changes from these files on.
    pub(super) fn since(tls: Tls, files: Files) -> Self {
        let read = move || Files::read(&tls).map_err(|error| format!("{error:#}"));
        Self(Reloader::new("the certificate files", Some(Ok(files)), read))
    }

    /// The files after their next change, or why they cannot be read since. A certificate and its key are two files, so
    /// they count only once they stayed the same for a second: whoever replaces them has time to replace both.
    pub(super) async fn next(&self) -> Result<Files, String> {
        let mut newest = None;
        loop {
            tokio::time::sleep(POLL).await;
            let look = self.0.look(|found| newest = Some(found.clone())).await;
            if look == Look::Same
                && let Some(found) = newest.take()
            {
                return found;
            }
        }
    }
}
