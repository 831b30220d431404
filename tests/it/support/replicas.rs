//! Several services on one PostgreSQL database, between the same stand-ins.

use super::{Config, Database, Proxy, Scene, Service};

/// The stand-ins and a database, for any number of replicas.
pub(crate) struct Replicas {
    /// Its own service is never started.
    pub(crate) scene: Scene,
    pub(crate) database: Database,
}

impl Replicas {
    /// The stand-ins and an empty database; no service is started yet.
    pub(crate) async fn prepared(config: Config) -> Self {
        let database = Database::create().await;
        let mut scene = Scene::prepared(Config { store: database.url.to_string(), ..config }).await;
        // Each of the replicas asks PagerDuty by itself.
        scene.others_ask_pagerduty();
        Self { scene, database }
    }

    /// One more replica, on this address of the database, which is not started yet.
    pub(crate) fn another_on(&self, store: &str) -> Service {
        self.scene.another_service(Config { store: store.to_owned(), ..self.scene.config.clone() })
    }

    /// Starts one more replica, on this address of the database, and waits until it listens.
    pub(crate) async fn launch_on(&self, store: &str) -> Service {
        let mut replica = self.another_on(store);
        replica.launch().await;
        replica
    }

    /// One more replica, on this address of the database, whose first pass is over.
    pub(crate) async fn start_on(&self, store: &str) -> Service {
        let replica = self.launch_on(store).await;
        replica.first_pass_is_over().await;
        replica
    }

    /// One more replica whose first pass is over.
    pub(crate) async fn one_more(&self) -> Service {
        self.start_on(self.database.url.as_str()).await
    }

    /// Two replicas whose first passes are over.
    pub(crate) async fn two(&self) -> (Service, Service) {
        self.two_on(self.database.url.as_str()).await
    }

    /// Two replicas whose first passes are over, the first of them on this address of the database. One after the
    /// other: of two that come up together, one may let the other's first pass count for both.
    async fn two_on(&self, store: &str) -> (Service, Service) {
        let one = self.start_on(store).await;
        (one, self.one_more().await)
    }

    /// Two replicas whose first passes are over, and what is between the first of them and the database.
    pub(crate) async fn two_one_through_a_proxy(&self) -> (Proxy, Service, Service) {
        let (proxy, url) = Proxy::to_database(&self.database.url).await;
        let (one, other) = self.two_on(url.as_str()).await;
        (proxy, one, other)
    }

    /// Lets the lease on passes run out now, as if its holder had been too slow.
    pub(crate) async fn end_lease(&self) {
        let end = "UPDATE leases SET until = clock_timestamp() WHERE name = 'passes' AND owner IS NOT NULL";
        let mut connection = self.database.connect().await;
        sqlx::query(end).execute(&mut connection).await.expect("the database is well");
    }
}
