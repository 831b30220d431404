//! What durability costs: deliveries answered 202 per second and their latency, side by side in one run for
//!
//! * `bare`: the same HTTP stack, layers and connection limits included, answering 202 without looking at the body,
//! * `single`: verified, and each delivery in a commit of its own; on PostgreSQL, over as many connections at once as
//!   the service has,
//! * `service`: the service itself, which lets deliveries share commits,
//!
//! the last two on SQLite and on PostgreSQL, both with every commit on disk; and the time from an event to the grant
//! while every upstream call takes 50 ms. Each server is a process of its own; all traffic stays on the loopback
//! address, and every run ends by itself.
//!
//! `cargo bench --bench intake`, with `BENCH_SECONDS` (default 5) and `BENCH_CONNECTIONS` (default 64).

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use axum::{Router, http::StatusCode, routing::post};
use bytes::Bytes;
use oncall_grants::{
    clock, serve,
    store::{Delivery, SharedStore, postgres::Postgres, sqlite::Sqlite},
    web,
};
use sandbox::{
    clock::Clock,
    pagerduty::{Event, PagerDuty, sign},
    strongdm::StrongDm,
    world,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
};

mod on_disk;
#[path = "../tests/it/support/postgres.rs"]
mod postgres;

/// As many as the service's pool has.
const CONNECTIONS: usize = 8;
/// What an upstream call takes in the second part.
const UPSTREAM: Duration = Duration::from_millis(50);
/// How often the way from event to grant is measured.
const SWAPS: usize = 20;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The comparisons are this program again, so that every server has a process of its own.
    match (env::args().nth(1).as_deref(), env::args().nth(2)) {
        (Some("bare"), _) => runtime.block_on(listen(Router::new().route("/webhooks/pagerduty", post(bare)))),
        (Some("single"), Some(store)) => runtime.block_on(single(&store)),
        _ => runtime.block_on(compare()),
    }
}

async fn bare(_: Bytes) -> StatusCode {
    StatusCode::ACCEPTED
}

async fn single(store: &str) -> anyhow::Result<()> {
    let mut stores: Vec<Mutex<SharedStore>> = Vec::new();
    if let Some(path) = store.strip_prefix("sqlite:") {
        stores.push(Mutex::new(Arc::new(Sqlite::open(Path::new(path)).await?)));
    } else {
        for _ in 0..CONNECTIONS {
            stores.push(Mutex::new(Arc::new(Postgres::open(store).await?)));
        }
    }
    let stores: Arc<[_]> = stores.into();
    let turn = Arc::new(AtomicUsize::new(0));
    let handler = async move |headers: axum::http::HeaderMap, body: Bytes| {
        let mut signatures =
            headers.get_all("x-pagerduty-signature").iter().map(axum::http::HeaderValue::as_bytes);
        let expected = sign(world::WEBHOOK_SECRET, &body);
        if !signatures.any(|signature| signature == expected.as_bytes()) {
            return StatusCode::UNAUTHORIZED;
        }
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(&body) else {
            return StatusCode::BAD_REQUEST;
        };
        let text = |key: &str| event["event"][key].as_str().map(str::to_owned);
        let delivery = Delivery {
            key: text("id").unwrap_or_default(),
            received_at: clock::now(),
            event_id: text("id"),
            event_type: text("event_type"),
            webhook_id: None,
            subscription: None,
            marks: [oncall_grants::model::Mark::Everything].into(),
        };
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let store = stores[turn % stores.len()].lock().await;
        if store.accept(delivery).await.is_ok() {
            StatusCode::ACCEPTED
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    listen(Router::new().route("/webhooks/pagerduty", post(handler))).await
}

/// Longer than a run.
const IDLE: Duration = Duration::from_secs(75);

async fn listen(router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("serving on http://{}", listener.local_addr()?);
    Ok(serve::plain(listener, IDLE, axum_server::Handle::new(), web::layered(router))?.await?)
}

/// A server in a process of its own; dropping it kills it.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        command.current_dir(folder).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let out = BufReader::new(child.stdout.take().context("piped")?);
        let log = BufReader::new(child.stderr.take().context("piped")?);
        let (sender, receiver) = std::sync::mpsc::channel();
        for lines in [Box::new(out) as Box<dyn BufRead + Send>, Box::new(log)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                lines.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
            });
        }
        while let Ok(line) = receiver.recv_timeout(Duration::from_secs(10)) {
            if let Some((_, rest)) = line.split_once("serving on http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                let address = address.trim_end_matches(['"', ',']).to_owned();
                // Whoever logs must be read.
                std::thread::spawn(move || receiver.into_iter().for_each(drop));
                return Ok(Self { child, address });
            }
        }
        bail!("a server did not start")
    }
}

async fn compare() -> anyhow::Result<()> {
    let setting = |name, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, connections) = (setting("BENCH_SECONDS", 5), setting("BENCH_CONNECTIONS", 64));
    let load = Load { seconds: Duration::from_secs(seconds), connections: usize::try_from(connections)? };
    let folder = tempfile::tempdir()?;
    let database = postgres::Database::create().await;
    on_disk::keep(&database).await?;
    let stores = [("SQLite", "sqlite:bench.db".to_owned()), ("PostgreSQL", database.url.to_string())];

    println!("{:<22}{:>11}{:>9}{:>9}{:>19}", "", "202 per s", "p50 ms", "p99 ms", "p99 ms, half load");
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments);
        Ok::<_, anyhow::Error>(command)
    };
    let bare = load.measure("bare", program(&["bare"])?, folder.path()).await?;
    for (name, store) in &stores {
        // A file of its own: its journal would make the other's first commits slower.
        let apart = store.replace("bench.db", "single.db");
        let single =
            load.measure(&format!("{name}, single"), program(&["single", &apart])?, folder.path()).await?;
        // Until the end of the measurement.
        let _stand_ins = StandIns::start(store, folder.path()).await?;
        let service = load.measure(&format!("{name}, service"), service(), folder.path()).await?;
        println!(
            "{name}: service / bare = {:.2}, service / single = {:.1}",
            service / bare,
            service / single
        );
    }
    for (name, store) in &stores {
        let stand_ins = StandIns::start(&store.replace("bench.db", "grants.db"), folder.path()).await?;
        event_to_grant(name, &stand_ins, folder.path()).await?;
    }
    Ok(())
}

/// Both upstreams, and a configuration that names them and the store.
struct StandIns {
    pagerduty: PagerDuty,
    strongdm: StrongDm,
}

impl StandIns {
    async fn start(store: &str, folder: &Path) -> anyhow::Result<Self> {
        let any = "127.0.0.1:0".parse()?;
        let pagerduty = PagerDuty::start(any, Clock::new()).await?;
        let strongdm = StrongDm::start(any, Clock::new()).await?;
        world::seed(&pagerduty, &strongdm, clock::now());
        let config = config(&pagerduty.url(), &strongdm.url(), store);
        fs::write(folder.join("oncall-grants.toml"), config)?;
        Ok(Self { pagerduty, strongdm })
    }
}

fn service() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncall-grants"));
    command.arg("serve");
    command
}

fn config(pagerduty: &str, strongdm: &str, store: &str) -> String {
    let (token, access, secret, webhook) =
        (world::TOKEN, world::ACCESS_KEY, world::SECRET_KEY, world::WEBHOOK_SECRET);
    let schedule = world::SCHEDULE;
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
admin_token = "only-for-the-benchmark"
[pagerduty]
api_url = "{pagerduty}"
token = "{token}"
webhook_secrets = ["{webhook}"]
[strongdm]
api_url = "{strongdm}"
access_key = "{access}"
secret_key = "{secret}"
[store]
url = "{store}"
[sync]
interval = "1h"
[[rules]]
name = "bench"
schedules = ["{schedule}"]
resources = ["prod-postgres"]
"#
    )
}

struct Load {
    seconds: Duration,
    connections: usize,
}

struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

impl Load {
    /// Prints how a server fares, and answers its deliveries a second.
    async fn measure(&self, name: &str, command: Command, folder: &Path) -> anyhow::Result<f64> {
        let server = Server::start(command, folder)?;
        self.run(&server.address, Some(1000.0), Duration::from_secs(1)).await?;
        let peak = self.run(&server.address, None, self.seconds).await?;
        let half = self.run(&server.address, Some(peak.per_second / 2.0), self.seconds).await?;
        println!("{name:<22}{:>11.0}{:>9.2}{:>9.2}{:>19.2}", peak.per_second, peak.p50, peak.p99, half.p99);
        Ok(peak.per_second)
    }

    /// Posts distinct signed events over keep-alive connections: as fast as answers come, or at a given rate.
    async fn run(&self, address: &str, rate: Option<f64>, during: Duration) -> anyhow::Result<Measured> {
        let began = Instant::now();
        let mut workers = Vec::new();
        for _ in 0..self.connections {
            let address = address.to_owned();
            #[expect(clippy::cast_precision_loss, reason = "a few dozen connections")]
            let pause = rate.map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
            workers.push(tokio::spawn(async move { post_events(&address, pause, during).await }));
        }
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.await??);
        }
        let took = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: usize| {
            times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        Ok(Measured { per_second: times.len() as f64 / took, p50: at(50), p99: at(99) })
    }
}

/// Like PagerDuty's: 26 characters that grow with time.
fn event_id() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("01{:012X}{:012X}", clock::now().timestamp_millis(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

async fn post_events(
    address: &str,
    pause: Option<Duration>,
    during: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (began, mut times, mut answer) = (Instant::now(), Vec::new(), vec![0; 4096]);
    let padding = "x".repeat(2000);
    for n in 0_u32.. {
        if began.elapsed() >= during {
            break;
        }
        if let Some(pause) = pause {
            tokio::time::sleep_until((began + pause * n).into()).await;
        }
        let data = format!(r#"{{"id":"{}","type":"schedule","text":"{padding}"}}"#, world::SCHEDULE);
        let body =
            format!(r#"{{"event":{{"id":"{}","event_type":"schedule.updated","data":{data}}}}}"#, event_id());
        let request = format!(
            "POST /webhooks/pagerduty HTTP/1.1\r\nhost: {address}\r\nx-pagerduty-signature: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            sign(world::WEBHOOK_SECRET, body.as_bytes()),
            body.len(),
        );
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let status = read_answer(&mut stream, &mut answer).await?;
        if status != "202" {
            bail!("answered {status}");
        }
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// Reads one answer with a content-length, and tells its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<String> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server hung up");
        }
        filled += read;
        let text = String::from_utf8_lossy(&buffer[..filled]).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(head.split_whitespace().nth(1).unwrap_or_default().to_owned());
        }
    }
}

/// The time from sending an event to the grant being there, everything that can be known beforehand being known.
async fn event_to_grant(name: &str, stand_ins: &StandIns, folder: &Path) -> anyhow::Result<()> {
    let StandIns { pagerduty, strongdm } = stand_ins;
    let server = Server::start(service(), folder)?;
    let people = [
        (world::ANA, "ana@example.com"),
        (world::BO, "bo.chen@example.com"),
        (world::CEM, "cem@example.com"),
    ];
    let mut times = Vec::new();
    for n in 0..SWAPS + people.len() {
        let (user, email) = people[n % people.len()];
        // The first round fills the caches.
        let latency = if n < people.len() { Duration::ZERO } else { UPSTREAM };
        tokio::time::sleep(Duration::from_millis(1100)).await;
        pagerduty.faults().set_latency(latency);
        strongdm.faults().set_latency(latency);
        let now = clock::now();
        pagerduty.swap_shift(world::SCHEDULE, user, now);
        let event = Event::new(
            "schedule.updated",
            now,
            serde_json::json!({"id": world::SCHEDULE, "type": "schedule"}),
        );
        let body = event.body();
        let client = http_client()?;
        let sent = Instant::now();
        let request = client.post(format!("http://{}/webhooks/pagerduty", server.address));
        let request = request.header("x-pagerduty-signature", sign(world::WEBHOOK_SECRET, &body)).body(body);
        request.send().await?.error_for_status()?;
        while !strongdm.has_access(email, "prod-postgres", clock::now()) {
            if sent.elapsed() > Duration::from_secs(10) {
                bail!("no grant came");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if latency > Duration::ZERO {
            times.push(sent.elapsed());
        }
    }
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2].as_secs_f64(), times[times.len() - 1].as_secs_f64());
    println!(
        "{name}: event to grant with {} ms per upstream call: median {:.0} ms ({:.2} calls), worst {:.0} ms",
        UPSTREAM.as_millis(),
        median * 1000.0,
        median / UPSTREAM.as_secs_f64(),
        worst * 1000.0,
    );
    Ok(())
}

fn http_client() -> reqwest::Result<reqwest::Client> {
    // reqwest wants a TLS provider even for plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build()
}
