//! Two running stand-ins with clients of their own.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Timelike, Utc};
use prost::Message;
use sandbox::clock::Clock;
use sandbox::pagerduty::PagerDuty;
use sandbox::strongdm::{StrongDm, sign, v1};
use sandbox::world::{self, ACCESS_KEY, SECRET_KEY, TOKEN};
use serde_json::Value;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Both stand-ins with the seeded world.
pub(crate) struct Both {
    pub(crate) pagerduty: PagerDuty,
    pub(crate) strongdm: StrongDm,
    pub(crate) now: DateTime<Utc>,
    pub(crate) http: reqwest::Client,
    pub(crate) channel: Channel,
}

pub(crate) async fn both() -> Both {
    let clock = Clock::new();
    // Budgets start anew with each minute, which must not happen in the middle of a test.
    clock.set_offset(TimeDelta::seconds(5 - i64::from(clock.now().second())));
    let pagerduty = PagerDuty::start(ANY, clock.clone()).await.unwrap();
    let strongdm = StrongDm::start(ANY, clock.clone()).await.unwrap();
    let now = clock.now().trunc_subsecs(0);
    world::seed(&pagerduty, &strongdm, now);
    let channel = Channel::from_shared(strongdm.url()).unwrap().connect_lazy();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Both { pagerduty, strongdm, now, http, channel }
}

impl Both {
    /// A REST request with the key.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.pagerduty.url());
        self.http
            .request(method.parse().unwrap(), url)
            .header("Authorization", format!("Token token={TOKEN}"))
    }

    /// The status and the JSON of a GET; null if the body is empty.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request("GET", path)).await
    }

    pub(crate) fn grants(&self) -> v1::account_grants_client::AccountGrantsClient<Channel> {
        v1::account_grants_client::AccountGrantsClient::new(self.channel.clone())
    }

    pub(crate) fn accounts(&self) -> v1::accounts_client::AccountsClient<Channel> {
        v1::accounts_client::AccountsClient::new(self.channel.clone())
    }

    pub(crate) fn resources(&self) -> v1::resources_client::ResourcesClient<Channel> {
        v1::resources_client::ResourcesClient::new(self.channel.clone())
    }

    /// Asks for a grant; seconds are relative to now.
    pub(crate) async fn create(
        &self,
        email: &str,
        resource: &str,
        start: Option<i64>,
        end: Option<i64>,
    ) -> Result<v1::AccountGrant, Status> {
        let at = |seconds: i64| prost_types::Timestamp { seconds: self.now.timestamp() + seconds, nanos: 0 };
        let grant = v1::AccountGrant {
            account_id: self.strongdm.account_id(email).unwrap_or_else(|| "a-0".into()),
            resource_id: self.strongdm.resource_id(resource).unwrap_or_else(|| "rs-0".into()),
            start_from: start.map(at),
            valid_until: end.map(at),
            ..Default::default()
        };
        let message = v1::AccountGrantCreateRequest { meta: None, account_grant: Some(grant) };
        let answer = self.grants().create(signed("AccountGrants.Create", message)).await?;
        Ok(answer.into_inner().account_grant.unwrap())
    }

    /// Asks for a grant for a minute from now on with this access rule.
    pub(crate) async fn create_with(
        &self,
        email: &str,
        resource: &str,
        access_rule: &str,
    ) -> Result<v1::AccountGrant, Status> {
        let end = prost_types::Timestamp { seconds: self.now.timestamp() + 60, nanos: 0 };
        let grant = v1::AccountGrant {
            account_id: self.strongdm.account_id(email).unwrap_or_default(),
            resource_id: self.strongdm.resource_id(resource).unwrap_or_default(),
            valid_until: Some(end),
            access_rule: access_rule.into(),
            ..Default::default()
        };
        let message = v1::AccountGrantCreateRequest { meta: None, account_grant: Some(grant) };
        let answer = self.grants().create(signed("AccountGrants.Create", message)).await?;
        Ok(answer.into_inner().account_grant.unwrap())
    }

    /// The IDs of the grants that the API lists.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let message = v1::AccountGrantListRequest::default();
        let answer = self.grants().list(signed("AccountGrants.List", message)).await.unwrap();
        answer.into_inner().account_grants.into_iter().map(|grant| grant.id).collect()
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

/// A request signed with the seeded key for today.
pub(crate) fn signed<M: Message>(method: &str, message: M) -> Request<M> {
    signed_on(sandbox::clock::real_now().date_naive(), method, message)
}

pub(crate) fn signed_on<M: Message>(date: NaiveDate, method: &str, message: M) -> Request<M> {
    let signature = sign(SECRET_KEY, date, method, &message.encode_to_vec()).unwrap();
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("x-sdm-authentication", ACCESS_KEY.parse().unwrap());
    metadata.insert("x-sdm-signature", signature.parse().unwrap());
    metadata.insert("x-sdm-api-version", "2025-04-14".parse().unwrap());
    metadata.insert("x-sdm-user-agent", "sandbox-tests/1.0".parse().unwrap());
    request
}

/// The text of a file under `tests/fixtures` of the workspace: the service's client reads the same samples.
pub(crate) fn data(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn sample(name: &str) -> Value {
    serde_json::from_str(&data(&format!("pagerduty/rest/{name}.json"))).unwrap()
}

/// Every path of keys in the value, with `[]` for list members; what lies under a null is not known.
pub(crate) fn shape(value: &Value) -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = format!("{path}.{name}");
                    found.insert(path.clone());
                    walk(value, &path, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), found)),
            _ => {}
        }
    }
    let mut found = std::collections::BTreeSet::new();
    walk(value, "", &mut found);
    found
}
