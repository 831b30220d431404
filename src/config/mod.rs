//! The configuration: one TOML file and a few environment variables, checked as a whole.
//!
//! [`load`] either returns a [`Config`] that needs no further check or an [`Error`] that lists every mistake with file,
//! line and key. Key paths in messages count from zero: `rules[2]` is the third rule.

use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use secrecy::{SecretSlice, SecretString};
use toml::de::DeTable;
use url::Url;

use self::reader::{Reader, Section};
use crate::{
    evidence::SigningKey,
    model::{Aliases, NoticeKind, Rule},
    store::Address,
    tls::Tls,
};

pub(crate) use self::example::guide;
pub use self::{
    error::{Error, Mistake, Place},
    secret::is_placeholder,
    secret_list::secrets_in,
};

mod accounts;
mod audit;
mod error;
mod example;
mod notices;
mod pagerduty;
mod reader;
mod rules;
mod schema;
mod secret;
mod secret_list;
mod server;
mod store;
mod strongdm;
mod suggest;
mod sync;
mod values;

/// Names the configuration file when `--config` does not.
pub const FILE_VARIABLE: &str = "ONCALL_GRANTS_CONFIG";

/// Where the file is looked for when neither `--config` nor [`FILE_VARIABLE`] names it.
const SEARCHED: [&str; 2] = ["oncall-grants.toml", "/etc/oncall-grants/oncall-grants.toml"];

/// Whether the file is found without being named.
pub(crate) fn is_found_by_itself(file: &Path) -> bool {
    SEARCHED.iter().any(|searched| Path::new(searched) == file)
}

/// Everything an operator decides. Its `Debug` output shows no secret.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[server]`: how others reach this service.
    pub server: Server,
    /// `[pagerduty]`: how this service reaches PagerDuty, and how it knows PagerDuty's webhooks.
    pub pagerduty: PagerDuty,
    /// `[strongdm]`: how this service reaches strongDM.
    pub strongdm: StrongDm,
    /// `[store]`: where it remembers.
    pub store: Store,
    /// `[sync]`: when it looks, how far ahead, and what it does not dare.
    pub sync: Sync,
    /// `[[rules]]`: who gets what. At least one; names are unique.
    pub rules: Vec<Rule>,
    /// `[accounts]`: people, and whole domains, whose addresses differ between PagerDuty and strongDM. Default: none.
    pub aliases: Aliases,
    /// `[audit]`: who vouches for the decision log.
    pub audit: Audit,
    /// `[[notices]]`: who is told of changes of access; names are unique. Default: nobody.
    pub notices: Vec<Endpoint>,
}

/// How others reach this service.
#[derive(Debug)]
pub struct Server {
    /// Address and port of the listener. Default `127.0.0.1:8080`; `ONCALL_GRANTS_LISTEN`.
    pub listen: SocketAddr,
    /// Guards everything that is not the webhook or health. Required; `ONCALL_GRANTS_ADMIN_TOKEN`.
    pub admin_token: SecretString,
    /// May make this service look, and nothing else; none leaves that to the admin token.
    /// `ONCALL_GRANTS_TRIGGER_TOKENS`, separated by commas.
    pub trigger_tokens: Vec<SecretString>,
    /// Where PagerDuty reaches this service, with the path that a proxy puts before ours, if it does. Default: unknown.
    pub public_url: Option<Url>,
    /// How long a connection may stay open between two requests. Default 75 seconds.
    pub idle_timeout: TimeDelta,
    /// Serves HTTPS. Default: plain HTTP.
    pub tls: Option<Tls>,
}

/// How this service reaches PagerDuty, and how it knows PagerDuty's webhooks.
#[derive(Debug)]
pub struct PagerDuty {
    /// REST API, without a path. Default `https://api.pagerduty.com`.
    pub api_url: Url,
    /// As whom it asks. Required.
    pub credentials: Credentials,
    /// Secrets that sign webhooks; several during a rotation, none closes the webhook route.
    /// `PAGERDUTY_WEBHOOK_SECRETS`, separated by commas.
    pub webhook_secrets: Vec<SecretString>,
    /// The file that the secrets come from, if they come from one. It may not be there yet, or be empty: then there are
    /// no secrets until it is. It is read again while the service runs.
    pub webhook_secrets_file: Option<PathBuf>,
}

/// As whom this service asks PagerDuty.
#[derive(Debug)]
pub enum Credentials {
    /// With a REST API key; `PAGERDUTY_TOKEN`.
    Key(SecretString),
    /// As an OAuth app.
    App(OAuthApp),
}

/// An OAuth app of a PagerDuty account.
#[derive(Debug)]
pub struct OAuthApp {
    /// `PAGERDUTY_CLIENT_ID`.
    pub client_id: SecretString,
    /// `PAGERDUTY_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// The first part of the account's address.
    pub subdomain: String,
    /// Where tokens come from, without a path. Default `https://identity.pagerduty.com`.
    pub identity_url: Url,
}

/// How this service reaches strongDM.
#[derive(Debug)]
pub struct StrongDm {
    /// Control plane, without a path. Default `https://app.strongdm.com`.
    pub api_url: Url,
    /// API access key. Required; `SDM_API_ACCESS_KEY`.
    pub access_key: SecretString,
    /// API secret key, decoded from its base64 text. Required; `SDM_API_SECRET_KEY`.
    pub secret_key: SecretSlice<u8>,
}

/// Where this service remembers.
#[derive(Debug)]
pub struct Store {
    /// `url`: the store's address. Default `sqlite:oncall-grants.db`; `ONCALL_GRANTS_STORE_URL`.
    pub address: Address,
    /// Events, passes, audit and ended grants older than this are pruned. Default 90 days.
    pub keep: TimeDelta,
}

/// Who vouches for the decision log.
#[derive(Debug)]
pub struct Audit {
    /// `signing_key_file`: signs checkpoints. Default: nobody does.
    pub signing_key: Option<SigningKey>,
}

/// Who is told of changes of access. Its `Debug` output shows no secret.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name, for people. Required.
    pub name: String,
    /// Where notices are posted to: `https`, or `http` to this machine. Required.
    pub url: SecretString,
    /// How notices are written. Default: Standard Webhooks.
    pub format: NoticeFormat,
    /// What it is told of. Default: everything.
    pub events: Option<BTreeSet<NoticeKind>>,
}

/// How notices are written.
#[derive(Clone, Debug)]
pub enum NoticeFormat {
    /// Standard Webhooks 1.0, signed with each of these keys. At least one.
    Standard(Vec<SecretSlice<u8>>),
    /// As Slack's incoming webhooks take them.
    Slack,
}

/// What commands need that work with the store alone.
#[derive(Debug)]
pub struct Records {
    /// `[store]`.
    pub store: Store,
    /// `audit.signing_key_file`, which may not be there yet.
    pub signing_key_file: Option<PathBuf>,
}

/// When this service looks, how far ahead, and what it does not dare.
#[derive(Debug)]
pub struct Sync {
    /// A full pass happens at least this often. Default 1 minute, at most 1 day.
    pub interval: TimeDelta,
    /// How far ahead shifts are granted. Default 7 days, at most 90 days, not shorter than `interval`.
    pub horizon: TimeDelta,
    /// How often the ledger is compared with strongDM's list. Default 15 minutes, at most 7 days.
    pub verify_interval: TimeDelta,
    /// If more grants than this would be revoked within a minute, without anybody in their place, they are held. Default 20.
    pub max_revocations: usize,
    /// A filter that finds more resources than this gives no access to any of them. Default 1000.
    pub max_filter_matches: usize,
}

/// Finds, reads and checks the configuration; `path` is what `--config` says, `env` looks up an environment variable.
pub fn load(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Error> {
    let (file, text) = text_of(path, env)?;
    parse(&file, &text, env, &|path| fs::read(path))
}

/// The same for what needs the store and nothing else: the other sections may name files that are not there now.
pub fn load_store(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Records, Error> {
    let (file, text) = text_of(path, env)?;
    read(&file, &text, env, &|path| fs::read(path), |root| Records {
        store: store::read(&root.table("store")),
        signing_key_file: audit::signing_key_file(&root.table("audit")),
    })
}

fn text_of(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<(PathBuf, String), Error> {
    let file = find(path, env, &may_be_there)?;
    let bytes = fs::read(&file).map_err(|error| Error::unreadable(&file, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = 1 + before.matches('\n').count();
        Error::at_file(&file, line, "is not UTF-8 text".to_owned())
    })?;
    Ok((file, text))
}

/// Whether this file may be the one that is meant. Who became the service's user where root is, in a directory that
/// this user may not look into, means the file of the system; there, that it may not be seen is what must be told.
fn may_be_there(candidate: &Path) -> bool {
    candidate
        .try_exists()
        .unwrap_or_else(|error| error.kind() != io::ErrorKind::PermissionDenied || candidate.is_absolute())
}

fn find(
    path: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, Error> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    match env(FILE_VARIABLE) {
        Some(name) if name.trim().is_empty() => {
            Err(Error::without_file(format!("environment variable {FILE_VARIABLE}: must not be empty")))
        }
        Some(name) => Ok(name.into()),
        None => SEARCHED.map(PathBuf::from).into_iter().find(|candidate| exists(candidate)).ok_or_else(|| {
            let [here, system] = SEARCHED;
            Error::without_file(format!(
                "no configuration: there is neither ./{here} nor {system}; name one with --config or {FILE_VARIABLE}"
            ))
        }),
    }
}

/// Checks the text of `file`; touches the world only through `env` and `read_file`.
fn parse(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Config, Error> {
    read(file, text, env, read_file, |root| Config {
        file: file.to_owned(),
        server: server::read(&root.table("server")),
        pagerduty: pagerduty::read(&root.table("pagerduty")),
        strongdm: strongdm::read(&root.table("strongdm")),
        store: store::read(&root.table("store")),
        sync: sync::read(&root.table("sync")),
        rules: rules::read(root),
        aliases: accounts::read(&root.table("accounts")),
        audit: audit::read(&root.table("audit")),
        notices: notices::read(root),
    })
}

fn read<T>(
    file: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    parts: impl FnOnce(&Section<'_>) -> T,
) -> Result<T, Error> {
    let reader = Reader::new(file, text, env, read_file);
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let line = reader.line_at(span.start);
        let message = error.message().trim_end_matches(", expected nothing");
        // It is the one mistake whose place is a key and not a value, which might be a secret.
        let key = text.get(span).filter(|_| message == "duplicate key");
        let key = key.map(|key| format!(" {key}")).unwrap_or_default();
        Error::at_file(file, line, format!("is not valid TOML: {message}{key}"))
    })?;
    let root = Section::root(&reader, table.get_ref());
    // What a part returns beside a mistake is only a stand-in: it ends here.
    let parts = parts(&root);
    reader.finish(parts)
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
