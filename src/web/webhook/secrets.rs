//! The secrets that may have signed a webhook. Each webhook makes us read their file, so that neither a rotation nor the
//! first secret needs a restart, and a secret that was taken out is refused from then on.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::{is_placeholder, secrets_in},
    reload::Reloader,
};

/// The secrets, and the file that they come from.
#[derive(Debug)]
pub(crate) struct WebhookSecrets {
    file: Option<Reloader<Result<Held, String>>>,
    known: RwLock<Arc<[SecretString]>>,
}

/// The secrets that the file holds; none if it is not there.
struct Held(Vec<SecretString>);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl WebhookSecrets {
    /// Secrets that were read from `file`, if they came from one.
    pub(crate) fn new(secrets: Vec<SecretString>, file: Option<PathBuf>) -> Self {
        let reloader = |file: PathBuf| Reloader::new("the webhook secrets", None, move || read(&file));
        Self { file: file.map(reloader), known: RwLock::new(secrets.into()) }
    }

    /// The secrets that the file has now. If it is gone, empty or unreadable, those that it had.
    pub(crate) async fn current(&self) -> Arc<[SecretString]> {
        if let Some(file) = &self.file {
            file.look(|found| self.take_over(found)).await;
        }
        Arc::clone(&self.known.read())
    }

    fn take_over(&self, found: &Result<Held, String>) {
        let secrets = match found {
            Ok(Held(secrets)) => secrets,
            Err(error) => return tracing::error!("the webhook secrets cannot be read: {error}"),
        };
        let mut known = self.known.write();
        // A file that is being replaced may be empty for a moment.
        if secrets.is_empty() {
            if !known.is_empty() {
                tracing::warn!(
                    "the file of the webhook secrets is gone or empty; those that it held count until it holds others"
                );
            }
        } else if !same(secrets, &known) {
            tracing::info!(webhooks.secrets = secrets.len(), "read the webhook secrets again");
            *known = secrets.as_slice().into();
        }
    }
}

fn read(file: &Path) -> Result<Held, String> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| format!("{}: {error}", file.display()))?,
    };
    let mut secrets = secrets_in(&text);
    secrets.retain(|secret| !is_placeholder(secret.expose_secret().as_bytes()));
    Ok(Held(secrets))
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
