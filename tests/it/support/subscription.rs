//! A service that PagerDuty reaches through a webhook subscription, and the `webhook` command.

use std::process::Output;

use sandbox::world;
use serde_json::{Value, json};

use super::{Config, Scene, exit_code, free_port, stderr, wait_until};

impl Scene {
    /// A scene whose configuration says where PagerDuty reaches the service.
    pub(crate) async fn reachable(config: Config) -> Self {
        let scene = Self::prepared(config).await;
        scene.write_public_url(|file| file);
        scene
    }

    /// The same with the webhook secrets in the file `secrets`.
    pub(crate) async fn with_secrets_file() -> Self {
        let scene = Self::prepared(Config::default()).await;
        let secret = world::WEBHOOK_SECRET;
        let inline = format!("webhook_secrets = [{secret:?}]");
        scene.write_public_url(|file| file.replace(&inline, r#"webhook_secrets_file = "secrets""#));
        scene.write_file("secrets", format!("{secret}\n"));
        scene
    }

    /// A running service whose subscription signs with a secret that it does not have, and the subscription's ID.
    pub(crate) async fn with_wrong_secret() -> (Self, String) {
        let mut scene = Self::reachable(Config::default()).await;
        let id = scene.subscribe_without_its_secret().await;
        scene.start().await;
        scene.subscription_becomes("active").await;
        (scene, id)
    }

    /// Says that PagerDuty reaches the service at a free port of this machine.
    fn write_public_url(&self, change: impl FnOnce(String) -> String) {
        let port = free_port();
        let listen = format!("listen = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"");
        self.write_config(&change(self.config_file().replace(r#"listen = "127.0.0.1:0""#, &listen)));
    }

    /// Runs `oncall-grants webhook` with these arguments.
    pub(crate) async fn webhook(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["webhook"].iter().chain(arguments).copied().collect();
        self.run(&all).await
    }

    /// Makes a subscription whose secret the service does not get; its ID.
    pub(crate) async fn subscribe_without_its_secret(&self) -> String {
        let made = self.webhook(&["create", "--secret-file", "unused"]).await;
        assert_eq!(exit_code(&made), 0, "{}", stderr(&made));
        self.subscription_ids().pop().expect("a subscription")
    }

    /// The IDs of the subscriptions that PagerDuty has.
    pub(crate) fn subscription_ids(&self) -> Vec<String> {
        self.pagerduty.subscriptions().into_iter().map(|one| one.id).collect()
    }

    /// Changes a subscription as its owner does in PagerDuty.
    pub(crate) async fn change_subscription(&self, id: &str, change: Value) {
        let url = format!("{}/webhook_subscriptions/{id}", self.pagerduty.url());
        let request = self.http.put(url).header("Authorization", format!("Token token={}", world::TOKEN));
        let answer = request.json(&json!({"webhook_subscription": change})).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }

    /// Waits until the running service sees its subscription in this state: from then on it leaves PagerDuty to the
    /// commands beside it, so that no two processes ask at once.
    pub(crate) async fn subscription_becomes(&self, state: &str) {
        let sample = format!(r#"subscription_state{{state="{state}"}}"#);
        let what = format!("the subscription is seen as {state}");
        wait_until(&what, async || self.metric::<u8>(&sample).await == Some(1)).await;
    }

    /// Lets PagerDuty deliver an event through its subscription, and waits until the service has it.
    pub(crate) async fn receives_an_incident(&self) {
        let event = self.incident();
        assert_eq!(self.pagerduty.emit(&event), 1);
        wait_until("the event arrives", async || self.has_received(&event).await).await;
    }

    /// Lets PagerDuty deliver events that the service refuses, until it switches the subscription off.
    pub(crate) async fn pagerduty_switches_off(&self) {
        for _ in 0..3 {
            self.pagerduty.emit(&self.incident());
        }
        wait_until("PagerDuty switches it off", async || self.is_switched_off()).await;
    }

    /// Whether PagerDuty has switched the subscription off.
    pub(crate) fn is_switched_off(&self) -> bool {
        self.pagerduty.subscriptions()[0].disabled(self.now())
    }
}
