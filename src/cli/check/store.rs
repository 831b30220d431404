//! Whether the store can be opened, and what the service left word of in it. Nothing is written, not even to make the
//! store.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Access, access};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    clock,
    config::Config,
    model::{Finding, FindingKind, Grant, instant::to_second},
    reconcile::report::snapshot::{STATUS_SNAPSHOT, StatusSnapshot, WrongSecret},
    store::{Address, SharedStore},
    wiring,
};

/// So many grants and failures are told of by name; more would be noise.
const TOLD: usize = 5;
/// An address that does not answer by then is not worth waiting for.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The store of the service, open beside it.
pub(super) struct Beside {
    pub(super) store: SharedStore,
    /// The newest webhook of our own subscription with a bad signature that the service noticed.
    pub(super) wrong_secret: Option<WrongSecret>,
}

/// Looks at the store; it comes back open if there is one that can be read.
pub(super) async fn look(config: &Config, findings: &mut Vec<Finding>) -> Option<Beside> {
    if let Address::Sqlite { path } = &config.store.address {
        match file(path) {
            Ok(File::There) => {}
            Ok(File::NotYet(finding)) | Err(finding) => {
                findings.push(finding);
                return None;
            }
        }
    }
    let opened = match Box::pin(wiring::open_store_beside(&config.store.address)).await {
        Ok(store) => match STATUS_SNAPSHOT.read(&store, clock::now()).await {
            Ok(snapshot) => Ok((store, snapshot.unwrap_or_default())),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    };
    match opened {
        Ok((store, snapshot)) => {
            findings.extend(left_undone(&snapshot));
            Some(Beside { store, wrong_secret: snapshot.wrong_secret })
        }
        Err(error) => {
            let remedy = match config.store.address {
                Address::Sqlite { .. } => "correct store.url, or move the file away if it is none of ours",
                Address::Postgres { .. } => {
                    "correct store.url (user, password, host, port, database), and see that the server can be reached \
                     from here"
                }
            };
            let why =
                unreachable(&config.store.address).await.map(|why| format!(" ({why})")).unwrap_or_default();
            findings.push(
                Finding::problem(FindingKind::Store, "store", format!("{error:#}{why}")).mended_by(remedy),
            );
            None
        }
    }
}

/// Why nobody answers at the database's address: the driver, which tries again and again, only says that it waited.
async fn unreachable(address: &Address) -> Option<String> {
    let connecting = TcpStream::connect(address.server()?);
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the address does not answer".to_owned()),
    }
}

/// The place of an SQLite store.
enum File {
    /// There is a file that we may write.
    There,
    /// It can be made.
    NotYet(Finding),
}

fn file(path: &Path) -> Result<File, Finding> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let problem = |message: String, remedy: &str| {
        Err(Finding::problem(FindingKind::Store, format!("store {}", path.display()), message)
            .mended_by(remedy))
    };
    let ours = "run this as the user that the service runs as, and see that the file is that user's";
    match path.metadata() {
        Ok(found) if found.is_dir() => problem("is a directory".to_owned(), "name a file in store.url"),
        Ok(_) if access(&path, Access::READ_OK | Access::WRITE_OK).is_err() => {
            problem("may not be read and written by this user".to_owned(), ours)
        }
        // The owner makes it empty before the database does.
        Ok(found) if found.len() > 0 => Ok(File::There),
        Ok(_) => Ok(not_yet(&path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().map(Path::to_owned).unwrap_or_default();
            match writable(&directory) {
                Ok(()) => Ok(not_yet(&path)),
                Err(error) => problem(
                    format!("cannot be made in {}: {error}", directory.display()),
                    "make the directory, owned by the user that the service runs as, or correct store.url; a relative \
                     path starts in the working directory",
                ),
            }
        }
        Err(error) => problem(format!("cannot be looked at: {error}"), ours),
    }
}

fn writable(directory: &PathBuf) -> io::Result<()> {
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn not_yet(path: &Path) -> File {
    let message = "does not exist yet; the service makes it at its start";
    File::NotYet(
        Finding::note(FindingKind::StoreNew, format!("store {}", path.display()), message)
            .mended_by("nothing, unless the service has run before: then store.url names another place"),
    )
}

/// What the newest passes left undone.
fn left_undone(snapshot: &StatusSnapshot) -> Vec<Finding> {
    let StatusSnapshot { full_at, held, failed, .. } = snapshot;
    let at = full_at.map(|at| format!(" (last full pass: {})", to_second(at))).unwrap_or_default();
    let mut findings = Vec::new();
    if !held.is_empty() {
        let named = named(held.iter().map(|Grant { email, resource, window, .. }| {
            format!("{email} on {resource} until {}", to_second(window.end()))
        }));
        let message =
            format!("wait, for more were due at once than sync.max_revocations allows: {named}{at}");
        findings.push(Finding::problem(FindingKind::Held, "held revocations", message).mended_by(
            "see oncall-grants sync --dry-run; if they are meant, POST /sync with {\"allow_mass_revocation\": true}",
        ));
    }
    if !failed.is_empty() {
        let message = format!("failed in the newest pass: {}{at}", named(failed.iter().cloned()));
        findings.push(
            Finding::problem(FindingKind::WriteFailed, "writes to strongDM", message)
                .mended_by("the service goes on trying; see what the message names"),
        );
    }
    findings
}

/// The first few.
fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.take(TOLD).collect::<Vec<_>>().join("; "))
}
