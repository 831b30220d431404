//! The secrets that may have signed a webhook. A file of secrets is read again when it changes, so that neither a rotation
//! nor the first secret needs a restart.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::{is_placeholder, secrets_in},
    telemetry::throttle::LogThrottle,
};

/// That the file cannot be read is logged at most this often: anybody can cause a look at it.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The secrets, and the file that they come from.
#[derive(Debug)]
pub struct WebhookSecrets {
    file: Option<PathBuf>,
    state: Mutex<Known>,
    unreadable: LogThrottle,
}

#[derive(Debug)]
struct Known {
    secrets: Arc<[SecretString]>,
    /// When the file was last changed and how long it was; none before the first look.
    stamp: Option<(SystemTime, u64)>,
}

impl From<Vec<SecretString>> for WebhookSecrets {
    /// Secrets that stay as they are.
    fn from(secrets: Vec<SecretString>) -> Self {
        Self::new(secrets, None)
    }
}

impl WebhookSecrets {
    /// Secrets that were read from `file`, if they came from one.
    pub fn new(secrets: Vec<SecretString>, file: Option<PathBuf>) -> Self {
        let known = Known { secrets: secrets.into(), stamp: None };
        Self { file, state: Mutex::new(known), unreadable: LogThrottle::default() }
    }

    /// The secrets, as the file has them now: one that was taken out is not accepted any more.
    pub fn current(&self) -> Arc<[SecretString]> {
        let changed = self.changed();
        changed.unwrap_or_else(|| Arc::clone(&self.state.lock().secrets))
    }

    /// The secrets of the file, if it changed since it was last read. Every webhook causes this, so that an unchanged file
    /// costs no more than a look at its date and length.
    fn changed(&self) -> Option<Arc<[SecretString]>> {
        let file = self.file.as_ref()?;
        let mut known = self.state.lock();
        let metadata = std::fs::metadata(file).ok()?;
        let stamp = Some((metadata.modified().ok()?, metadata.len()));
        if stamp == known.stamp {
            return None;
        }
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                // Rights may change without a trace in date and length, so it is tried again.
                if self.unreadable.note(LOG_EVERY).is_some() {
                    tracing::error!("the file of webhook secrets cannot be read: {error}");
                }
                return None;
            }
        };
        known.stamp = stamp;
        let mut secrets = secrets_in(&text);
        secrets.retain(|secret| !is_placeholder(secret.expose_secret().as_bytes()));
        // A file that is being replaced may be empty for a moment.
        if secrets.is_empty() {
            return None;
        }
        if secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .eq(known.secrets.iter().map(ExposeSecret::expose_secret))
        {
            return None;
        }
        known.secrets = secrets.into();
        tracing::info!(webhooks.secrets = known.secrets.len(), "read the webhook secrets again");
        Some(Arc::clone(&known.secrets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_held_no_secret_is_looked_at_until_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let secrets = WebhookSecrets::new(Vec::new(), Some(file.clone()));
        assert!(secrets.current().is_empty());
        std::fs::write(&file, "\n").unwrap();
        assert!(secrets.current().is_empty());
        std::fs::write(&file, "replace-with-the-secret\n").unwrap();
        assert!(secrets.current().is_empty(), "everybody knows it");
        std::fs::write(&file, [0xff]).unwrap();
        assert!(secrets.current().is_empty());
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(secrets.current().len(), 1);
    }

    #[test]
    fn a_changed_file_is_read_again_but_never_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        std::fs::write(&file, "one\n").unwrap();
        let secrets = WebhookSecrets::new(vec!["one".into()], Some(file.clone()));
        let read = || {
            let texts = secrets.changed()?;
            Some(texts.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(), None);
        std::fs::write(&file, "one\n two \n\n").unwrap();
        assert_eq!(read(), Some(vec!["one".to_owned(), "two".to_owned()]));
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(read(), None);
        assert_eq!(secrets.current().len(), 2);
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!(secrets.current().len(), 1, "what was taken out is not accepted");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(read(), None);
    }
}
