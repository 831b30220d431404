//! The secrets that may have signed a webhook. Each webhook makes us check whether their file changed, so that neither a
//! rotation nor the first secret needs a restart, and a secret that was taken out is refused from then on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use tokio::fs;

use crate::{
    config::{is_placeholder, secrets_in},
    telemetry::throttle::LogThrottle,
};

/// An unreadable file is logged at most this often: anybody can send webhooks.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The secrets, and the file that they come from.
#[derive(Debug)]
pub(crate) struct WebhookSecrets {
    file: Option<PathBuf>,
    known: RwLock<Known>,
    unreadable: LogThrottle,
}

#[derive(Debug)]
struct Known {
    secrets: Arc<[SecretString]>,
    /// The file's stamp when these were read; none before that.
    stamp: Option<Stamp>,
}

/// What tells a changed file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    async fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).await.ok()?;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len() })
    }
}

impl WebhookSecrets {
    /// Secrets that were read from `file`, if they came from one.
    pub(crate) fn new(secrets: Vec<SecretString>, file: Option<PathBuf>) -> Self {
        let known = RwLock::new(Known { secrets: secrets.into(), stamp: None });
        Self { file, known, unreadable: LogThrottle::every(LOG_EVERY) }
    }

    /// The secrets that the file has now. If it is gone, empty or unreadable, those that it had.
    pub(crate) async fn current(&self) -> Arc<[SecretString]> {
        if let Some(file) = &self.file {
            self.follow(file).await;
        }
        Arc::clone(&self.known.read().secrets)
    }

    /// Reads the file again if its date or length changed. Several callers may read at once: each keeps what it read
    /// together with the stamp from before, so the next caller notices what is old.
    async fn follow(&self, file: &Path) {
        let Some(stamp) = Stamp::of(file).await else { return };
        if self.known.read().stamp == Some(stamp) {
            return;
        }
        let text = match fs::read_to_string(file).await {
            Ok(text) => text,
            Err(error) => {
                // Rights may change without a trace in date and length, so it is tried again.
                if self.unreadable.count().is_some() {
                    tracing::error!("the file of webhook secrets cannot be read: {error}");
                }
                return;
            }
        };
        let mut secrets = secrets_in(&text);
        secrets.retain(|secret| !is_placeholder(secret.expose_secret().as_bytes()));
        let mut known = self.known.write();
        known.stamp = Some(stamp);
        // A file that is being replaced may be empty for a moment.
        if !secrets.is_empty() && !same(&secrets, &known.secrets) {
            tracing::info!(webhooks.secrets = secrets.len(), "read the webhook secrets again");
            known.secrets = secrets.into();
        }
    }
}

fn same(one: &[SecretString], other: &[SecretString]) -> bool {
    one.iter().map(ExposeSecret::expose_secret).eq(other.iter().map(ExposeSecret::expose_secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn texts(secrets: &WebhookSecrets) -> Vec<String> {
        secrets.current().await.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_file_without_a_secret_is_looked_at_until_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let secrets = WebhookSecrets::new(Vec::new(), Some(file.clone()));
        assert!(secrets.current().await.is_empty());
        std::fs::write(&file, "\n").unwrap();
        assert!(secrets.current().await.is_empty());
        std::fs::write(&file, "replace-with-the-secret\n").unwrap();
        assert!(secrets.current().await.is_empty(), "everybody knows it");
        std::fs::write(&file, [0xff]).unwrap();
        assert!(secrets.current().await.is_empty());
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(texts(&secrets).await, ["one"]);
    }

    #[tokio::test]
    async fn a_changed_file_counts_at_once_but_never_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        std::fs::write(&file, "one\n").unwrap();
        let secrets = WebhookSecrets::new(vec!["one".into()], Some(file.clone()));
        let first = secrets.current().await;
        assert!(Arc::ptr_eq(&first, &secrets.current().await), "an unchanged file changes nothing");
        std::fs::write(&file, "one\n two \n\n").unwrap();
        assert_eq!(texts(&secrets).await, ["one", "two"]);
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(texts(&secrets).await, ["one", "two"]);
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!(texts(&secrets).await, ["two"], "what was taken out is not accepted");
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(texts(&secrets).await, ["two"], "what cannot be read changes nothing");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(texts(&secrets).await, ["two"]);
    }
}
