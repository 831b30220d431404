//! Whether the store can be opened, and what the newest passes left undone. Nothing is written, not even to make the
//! store.

use std::{io, path::Path, time::Duration};

use rustix::fs::{Access, access};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    clock,
    config::Config,
    model::{Finding, FindingKind, Grant, instant::to_second},
    reconcile::{
        probe::PROBED,
        report::snapshot::{STATUS_SNAPSHOT, StatusSnapshot},
    },
    store::{Address, SharedStore},
    wiring,
};

/// So many grants and failures are named; more would be noise.
const NAMED: usize = 5;
/// An address that does not answer by then is not worth waiting for.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The store of the service, open beside it.
pub(super) struct OpenStore {
    pub(super) store: SharedStore,
    /// What the newest passes saw, and left undone.
    pub(super) snapshot: StatusSnapshot,
}

/// Opens the store if there is one that can be read. Fails with why there is none.
pub(super) async fn open(config: &Config) -> Result<OpenStore, Finding> {
    let address = &config.store.address;
    if let Address::Sqlite { path } = address {
        check_file(path)?;
    }
    match Box::pin(open_with_snapshot(address)).await {
        Ok(opened) => Ok(opened),
        Err(error) => Err(cannot_open(address, &error).await),
    }
}

async fn open_with_snapshot(address: &Address) -> anyhow::Result<OpenStore> {
    let store = wiring::open_store_beside(address).await?;
    let snapshot = STATUS_SNAPSHOT.read(&store, clock::now()).await?.unwrap_or_default();
    Ok(OpenStore { store, snapshot })
}

async fn cannot_open(address: &Address, error: &anyhow::Error) -> Finding {
    let remedy = match address {
        Address::Sqlite { .. } => "correct store.url, or move the file away if it is none of ours",
        Address::Postgres { .. } => {
            "correct store.url (user, password, host, port, database), and see that the server can be reached from here"
        }
    };
    let cause = connect_error(address).await.map(|cause| format!(" ({cause})")).unwrap_or_default();
    Finding::problem(FindingKind::Store, "store", format!("{error:#}{cause}")).mended_by(remedy)
}

/// Why nobody answers at the database's address: the driver, which tries again and again, only says that it waited.
async fn connect_error(address: &Address) -> Option<String> {
    let connecting = TcpStream::connect(address.server()?);
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the address does not answer".to_owned()),
    }
}

/// Fails unless there is a file that we may write and that holds something.
fn check_file(path: &Path) -> Result<(), Finding> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let problem = |message: String, remedy: &str| {
        Err(Finding::problem(FindingKind::Store, format!("store {}", path.display()), message)
            .mended_by(remedy))
    };
    let use_its_owner = "run this as the user that the service runs as, and see that the file is that user's";
    match path.metadata() {
        Ok(found) if found.is_dir() => problem("is a directory".to_owned(), "name a file in store.url"),
        Ok(_) if access(&path, Access::READ_OK | Access::WRITE_OK).is_err() => {
            problem("may not be read and written by this user".to_owned(), use_its_owner)
        }
        // The owner makes it empty before the database does.
        Ok(found) if found.len() > 0 => Ok(()),
        Ok(_) => Err(not_made_yet(&path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(Path::new(""));
            match check_writable(directory) {
                Ok(()) => Err(not_made_yet(&path)),
                Err(error) => problem(
                    format!("cannot be made in {}: {error}", directory.display()),
                    "make the directory, owned by the user that the service runs as, or correct store.url; a relative \
                     path starts in the working directory",
                ),
            }
        }
        Err(error) => problem(format!("cannot be looked at: {error}"), use_its_owner),
    }
}

fn check_writable(directory: &Path) -> io::Result<()> {
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn not_made_yet(path: &Path) -> Finding {
    let message = "does not exist yet; the service makes it at its start";
    Finding::note(FindingKind::StoreNew, format!("store {}", path.display()), message)
        .mended_by("nothing, unless the service has run before: then store.url names another place")
}

/// What the last probe learned of strongDM, and when.
pub(super) async fn learned_by_probe(store: &SharedStore) -> Option<Finding> {
    let found = PROBED.read(store, clock::now()).await.ok()??;
    let message = format!("a probe at {} found: {}", to_second(found.at), found.lesson());
    Some(Finding::note(FindingKind::Probed, "strongDM", message))
}

/// What the newest passes left undone.
pub(super) fn unfinished_work(snapshot: &StatusSnapshot) -> Vec<Finding> {
    let StatusSnapshot { full_at, held, failed, .. } = snapshot;
    let at = full_at.map(|at| format!(" (last full pass: {})", to_second(at))).unwrap_or_default();
    let mut findings = Vec::new();
    if !held.is_empty() {
        let named = first_few(held.iter().map(|Grant { email, resource, window, .. }| {
            format!("{email} on {resource} until {}", to_second(window.end()))
        }));
        let message =
            format!("wait, for more were due at once than sync.max_revocations allows: {named}{at}");
        findings.push(Finding::problem(FindingKind::Held, "held revocations", message).mended_by(
            "see oncall-grants sync --dry-run; if they are meant, POST /sync with {\"allow_mass_revocation\": true}",
        ));
    }
    if !failed.is_empty() {
        let message = format!("failed in the newest pass: {}{at}", first_few(failed.iter().cloned()));
        findings.push(
            Finding::problem(FindingKind::WriteFailed, "writes to strongDM", message)
                .mended_by("the service goes on trying; see what the message names"),
        );
    }
    findings
}

fn first_few(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.take(NAMED).collect::<Vec<_>>().join("; "))
}
