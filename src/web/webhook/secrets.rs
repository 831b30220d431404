//! The secrets that may have signed a webhook. Each webhook makes us read their file, so that neither a rotation nor the
//! first secret needs a restart, and a secret that was taken out is refused from then on.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use tokio::{fs, time::timeout};

use crate::{
    config::{is_placeholder, secrets_in},
    telemetry::throttle::LogThrottle,
};

/// An unreadable file is logged at most this often: anybody can send webhooks.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// A file system that takes longer does not keep webhooks waiting.
const READ_WITHIN: Duration = Duration::from_millis(500);

/// The secrets, and the file that they come from.
#[derive(Debug)]
pub(crate) struct WebhookSecrets {
    file: Option<PathBuf>,
    known: RwLock<Arc<[SecretString]>>,
    unreadable: LogThrottle,
}

impl WebhookSecrets {
    /// Secrets that were read from `file`, if they came from one.
    pub(crate) fn new(secrets: Vec<SecretString>, file: Option<PathBuf>) -> Self {
        Self { file, known: RwLock::new(secrets.into()), unreadable: LogThrottle::every(LOG_EVERY) }
    }

    /// The secrets that the file has now. If it is gone, empty or unreadable, those that it had.
    pub(crate) async fn current(&self) -> Arc<[SecretString]> {
        if let Some(file) = &self.file {
            self.follow(file).await;
        }
        Arc::clone(&self.known.read())
    }

    /// Takes over what the file holds. It is small and in the page cache; its date and length do not tell whether it
    /// changed.
    async fn follow(&self, file: &Path) {
        let read = timeout(READ_WITHIN, fs::read_to_string(file)).await;
        let text = match read.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                if self.unreadable.count().is_some() {
                    let file = file.display();
                    tracing::error!("the webhook secrets in {file} cannot be read: {error}");
                }
                return;
            }
        };
        let mut secrets = secrets_in(&text);
        secrets.retain(|secret| !is_placeholder(secret.expose_secret().as_bytes()));
        // A file that is being replaced may be empty for a moment.
        if secrets.is_empty() || same(&secrets, &self.known.read()) {
            return;
        }
        tracing::info!(webhooks.secrets = secrets.len(), "read the webhook secrets again");
        *self.known.write() = secrets.into();
    }
}

fn same(one: &[SecretString], other: &[SecretString]) -> bool {
    one.iter().map(ExposeSecret::expose_secret).eq(other.iter().map(ExposeSecret::expose_secret))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
    async fn a_file_counts_by_what_it_holds_and_not_by_its_date_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let write = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH)
                .unwrap();
        };
        write("one\n");
        let secrets = WebhookSecrets::new(Vec::new(), Some(file.clone()));
        assert_eq!(texts(&secrets).await, ["one"]);
        write("two\n");
        assert_eq!(texts(&secrets).await, ["two"]);
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
