//! A service that PagerDuty reaches through a webhook subscription, and the `webhook` command.

use std::{fs, process::Output};

use sandbox::world;
use serde_json::{Value, json};

use super::{Config, Scene, free_port, wait_until};

impl Scene {
    /// A scene whose configuration says where PagerDuty reaches the service.
    pub(crate) async fn reachable(config: Config) -> Self {
        let scene = Self::set(config).await;
        scene.write_public_url(|text| text);
        scene
    }

    /// The same with the webhook secrets in the file `secrets`.
    pub(crate) async fn with_secrets_file() -> Self {
        let scene = Self::set(Config::default()).await;
        let secret = world::WEBHOOK_SECRET;
        let inline = format!("webhook_secrets = [{secret:?}]");
        scene.write_public_url(|text| text.replace(&inline, r#"webhook_secrets_file = "secrets""#));
        fs::write(scene.dir().join("secrets"), format!("{secret}\n")).expect("a writable directory");
        scene
    }

    /// Says that PagerDuty reaches the service at a free port of this machine.
    fn write_public_url(&self, change: impl FnOnce(String) -> String) {
        let port = free_port();
        let text = self.config.text(&self.pagerduty.url(), &self.strongdm.url());
        let listen = format!("listen = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"");
        self.write_config(&change(text.replace(r#"listen = "127.0.0.1:0""#, &listen)));
    }

    /// Runs `oncall-grants webhook` with these arguments.
    pub(crate) async fn webhook(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["webhook"].iter().chain(arguments).copied().collect();
        self.run(&all).await
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
        let line = format!(r#"oncall_grants_subscription_state{{state="{state}"}} 1"#);
        let what = format!("the subscription is seen as {state}");
        wait_until(&what, async || self.get("/metrics").await.text.contains(&line).then_some(())).await;
    }
}
