//! The secrets that may have signed a webhook. A file of secrets is read again when a signature is refused, so that a
//! rotation needs no restart.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use secrecy::SecretString;
use tokio::time::Instant;

use crate::config::secrets_in;

/// Anybody can cause refused signatures, so the file is not looked at more often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The secrets, and the file that they come from.
#[derive(Debug)]
pub struct WebhookSecrets {
    file: Option<PathBuf>,
    state: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    secrets: Arc<[SecretString]>,
    /// When the file was last changed and how long it was; none before the first look.
    stamp: Option<(SystemTime, u64)>,
    looked: Option<Instant>,
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
        let known = Known { secrets: secrets.into(), stamp: None, looked: None };
        Self { file, state: Mutex::new(known) }
    }

    /// The secrets as last read.
    pub fn current(&self) -> Arc<[SecretString]> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).secrets)
    }

    /// The secrets of the file, if it changed since it was last read.
    pub fn changed(&self) -> Option<Arc<[SecretString]>> {
        let file = self.file.as_ref()?;
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return None;
        }
        known.looked = Some(Instant::now());
        let metadata = std::fs::metadata(file).ok()?;
        let stamp = Some((metadata.modified().ok()?, metadata.len()));
        if stamp == known.stamp {
            return None;
        }
        let secrets = secrets_in(&std::fs::read_to_string(file).ok()?);
        // A file that is being written may be empty for a moment.
        if secrets.is_empty() {
            return None;
        }
        known.stamp = stamp;
        known.secrets = secrets.into();
        tracing::info!("read the webhook secrets again: {} are accepted", known.secrets.len());
        Some(Arc::clone(&known.secrets))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_changed_file_is_read_again_but_never_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        std::fs::write(&file, "one\n").unwrap();
        let secrets = WebhookSecrets::new(vec!["one".into()], Some(file.clone()));
        let read = || {
            secrets.state.lock().unwrap().looked = None;
            let texts = secrets.changed()?;
            Some(texts.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(), Some(vec!["one".to_owned()]), "it is not known yet whether it changed");
        assert_eq!(read(), None);
        std::fs::write(&file, "one\n two \n\n").unwrap();
        assert_eq!(read(), Some(vec!["one".to_owned(), "two".to_owned()]));
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(read(), None);
        assert_eq!(secrets.current().len(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(read(), None);
    }

    #[test]
    fn the_file_is_not_looked_at_for_every_forged_signature() {
        let secrets = WebhookSecrets::new(vec!["one".into()], Some("/nonexistent".into()));
        assert!(secrets.changed().is_none());
        let looked = secrets.state.lock().unwrap().looked;
        assert!(secrets.changed().is_none());
        assert_eq!(secrets.state.lock().unwrap().looked, looked);
    }
}
