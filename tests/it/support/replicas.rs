//! Several services on one PostgreSQL database, between the same stand-ins.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use sandbox::pagerduty::{Event, sign};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    ADMIN_TOKEN, Answer, Config, Scene, command, directory, output, postgres::Database, service::Service,
    wait_for, wait_until,
};

/// A lease lasts 30 s; then the other replica looks within a second or two.
pub(crate) const TAKE_OVER: Duration = Duration::from_mins(2);

/// A running service among others.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(super) service: Service,
    dir: TempDir,
    http: reqwest::Client,
    secret: String,
    /// What its earlier lives have logged.
    past: String,
}

/// The stand-ins and a database, for any number of replicas.
pub(crate) struct Replicas {
    pub(crate) scene: Scene,
    pub(crate) database: Database,
}

impl Replicas {
    /// The stand-ins and an empty database; no service is started yet.
    pub(crate) async fn set(config: Config) -> Self {
        let database = Database::create().await;
        let mut scene = Scene::set(Config { store: database.url.to_string(), ..config }).await;
        // Each of the replicas asks PagerDuty by itself.
        scene.others_ask_pagerduty();
        Self { scene, database }
    }

    /// Starts one more replica, on this address of the database, and waits until it listens.
    pub(crate) async fn start_on(&self, store: &str) -> Replica {
        let dir = directory();
        let config = Config { store: store.to_owned(), ..self.scene.config.clone() };
        let text = config.text(&self.scene.pagerduty.url(), &self.scene.strongdm.url());
        std::fs::write(dir.path().join("oncall-grants.toml"), text).expect("a writable directory");
        let service = Service::start(dir.path()).await;
        let secret = config.webhook_secrets[0].clone();
        Replica { service, dir, http: super::http::client(), secret, past: String::new() }
    }

    /// Lets the lease on passes run out now, as if its holder had been too slow.
    pub(crate) async fn end_lease(&self) {
        let end = "UPDATE leases SET until = clock_timestamp() WHERE name = 'passes' AND owner IS NOT NULL";
        let mut connection = self.database.connect().await;
        sqlx::query(end).execute(&mut connection).await.expect("the database is well");
    }

    /// One more replica whose first pass is over.
    pub(crate) async fn one_more(&self) -> Replica {
        let replica = self.start_on(self.database.url.as_str()).await;
        replica.has_started().await;
        replica
    }

    /// Two replicas whose first passes are over.
    pub(crate) async fn two(&self) -> (Replica, Replica) {
        self.two_on(self.database.url.as_str()).await
    }

    /// Two replicas whose first passes are over, the first of them on this address of the database. One after the
    /// other: of two that come up together, one may let the other's first pass count for both.
    pub(crate) async fn two_on(&self, store: &str) -> (Replica, Replica) {
        let one = self.start_on(store).await;
        one.has_started().await;
        let other = self.start_on(self.database.url.as_str()).await;
        other.has_started().await;
        (one, other)
    }
}

/// Sends a request; none if the connection broke, or nothing was answered in time.
pub(crate) async fn send(request: RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Some(Answer { status, headers, text: response.text().await.ok()? })
}

impl Replica {
    /// A request as an operator, to be sent with [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.service.url)).bearer_auth(ADMIN_TOKEN)
    }

    /// A signed event, to be sent with [`send`].
    pub(crate) fn delivery(&self, event: &Event) -> RequestBuilder {
        let body = event.body();
        let signature = sign(&self.secret, &body);
        let request = self.request(Method::POST, "/webhooks/pagerduty").body(body);
        request.header("X-PagerDuty-Signature", signature)
    }

    /// `GET` as an operator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// `POST /sync` without a body; none if the service went away.
    pub(crate) async fn sync(&self) -> Option<Answer> {
        send(self.request(Method::POST, "/sync")).await
    }

    /// A pass that must see and do everything; its report.
    pub(crate) async fn synced(&self) -> Value {
        let answer = self.sync().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Posts a signed event.
    pub(crate) async fn deliver(&self, event: &Event) -> Answer {
        send(self.delivery(event)).await.expect("an answer")
    }

    /// Posts an event in the name of a subscription, but not signed by it.
    pub(crate) async fn forge(&self, subscription: &str) -> Answer {
        let request = self.request(Method::POST, "/webhooks/pagerduty").body("{}");
        let request = request.header("X-PagerDuty-Signature", "v1=00");
        send(request.header("X-Webhook-Subscription", subscription)).await.expect("an answer")
    }

    /// Posts a signed event, which must be new and of interest.
    pub(crate) async fn deliver_new(&self, event: &Event) {
        super::http::delivered(async || self.deliver(event).await).await;
    }

    /// Runs another command of the binary with the same configuration.
    pub(crate) async fn run(&self, arguments: &[&str]) -> std::process::Output {
        output(command(self.dir.path(), arguments)).await
    }

    /// Sends the process a signal such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        self.service.signal(name);
    }

    /// The messages that it has logged.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.service.messages()
    }

    /// Kills the process without warning.
    pub(crate) fn kill(&mut self) {
        self.service.stop();
    }

    /// Starts the process again, which was killed or has ended, and waits until it listens.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.past.push_str(&self.service.log());
        self.service = Service::start(self.dir.path()).await;
    }

    async fn has_started(&self) {
        wait_until("its first pass is over", async || {
            let metrics = self.get("/metrics").await.text;
            metrics.contains(r#"oncall_grants_passes_total{trigger="start""#).then_some(())
        })
        .await;
    }

    /// Waits until this replica is ready, or is not.
    pub(crate) async fn ready_becomes(&self, status: u16) {
        wait_for(TAKE_OVER, &format!("/readyz answers {status}"), async || {
            (self.get("/readyz").await.status == status).then_some(())
        })
        .await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = format!("{}{}", self.past, self.service.log());
            let told = log.lines().filter(|line| !line.contains(r#""message":"answered""#));
            let tail: Vec<&str> = told.rev().take(100).collect();
            let lines: String = tail.into_iter().rev().flat_map(|line| [line, "\n"]).collect();
            #[expect(clippy::print_stderr, reason = "it is for whoever reads the failed test")]
            {
                eprintln!("the last lines of the log of {}:\n{lines}", self.service.url);
            }
        }
    }
}
