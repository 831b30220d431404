//! A company's network: its proxy on the way out and its authority, an ingress that puts a path before ours or rewrites
//! `Host` on the way in. Each is the real program.

use std::process::Output;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Method, header};
use sandbox::{pagerduty::sign, world};
use url::Url;

use crate::support::{
    ADMIN_TOKEN, ANA, Answer, Authority, Config, DB, Program, SIGNATURE, Scene, TlsServer, answer,
    client_builder, exit_code, free_port, stderr, stdout,
};

const PAGERDUTY: &str = "api.pagerduty.test";
const STRONGDM: &str = "app.strongdm.test";

/// A scene whose upstreams have names that only the proxy knows, and certificates of a company's own authority.
struct Behind {
    scene: Scene,
    authority: Authority,
    trust: (&'static str, String),
    _upstreams: [TlsServer; 2],
}

impl Behind {
    async fn prepared() -> Self {
        let authority = Authority::new("a company");
        let scene = Scene::prepared(Config::default()).await;
        let (pagerduty, strongdm) = (authority.signs(PAGERDUTY), authority.signs(STRONGDM));
        let upstreams = [
            TlsServer::before(&scene.pagerduty.url(), &pagerduty, "http/1.1").await,
            TlsServer::before(&scene.strongdm.url(), &strongdm, "h2").await,
        ];
        let [pagerduty, strongdm] = [(PAGERDUTY, &upstreams[0]), (STRONGDM, &upstreams[1])]
            .map(|(name, server)| format!("https://{name}:{}", server.address.port()));
        scene.write_config(&scene.config.text(&pagerduty, &strongdm));
        let trusted = scene.dir().join("company.pem");
        std::fs::write(&trusted, authority.pem()).expect("a writable directory");
        let trust = ("SSL_CERT_FILE", trusted.to_str().expect("a plain name").to_owned());
        Self { scene, authority, trust, _upstreams: upstreams }
    }

    /// The `check` command through this proxy.
    async fn check_through(&mut self, proxy: String) -> Output {
        self.scene.variables = vec![self.trust.clone(), ("HTTPS_PROXY", proxy)];
        self.scene.run(&["check"]).await
    }

    /// Gives access through this proxy.
    async fn works_through(&mut self, proxy: String) {
        self.scene.variables = vec![self.trust.clone(), ("HTTPS_PROXY", proxy)];
        self.scene.start().await;
        assert_eq!(self.scene.access(ANA, DB), [(0, 120)]);
    }
}

/// Asserts that both upstreams are said to be out of reach, for this reason.
fn assert_refused(checked: &Output, words: &str) {
    let told = format!("{}{}", stdout(checked), stderr(checked));
    assert_eq!(exit_code(checked), 1, "{told}");
    assert!(told.matches(words).count() >= 2, "{words:?} twice in {told}");
}

#[tokio::test]
async fn squid_leads_to_both_upstreams() {
    let mut behind = Behind::prepared().await;
    let squid = Program::squid(&[PAGERDUTY, STRONGDM], None, None).await;
    behind.works_through(format!("http://127.0.0.1:{}", squid.port)).await;

    let trust = std::mem::replace(&mut behind.trust, ("NO_PROXY", "elsewhere.test".to_owned()));
    let proxy = format!("127.0.0.1:{}", squid.port);
    assert_refused(&behind.check_through(proxy.clone()).await, "in SSL_CERT_FILE");
    behind.trust = ("NO_PROXY", "localhost,.test".to_owned());
    let past_it = behind.check_through(proxy.clone()).await;
    assert!(exit_code(&past_it) == 1 && !stdout(&past_it).contains("proxy"), "{}", stdout(&past_it));
    behind.trust = trust;
    drop(squid);
    assert_refused(&behind.check_through(proxy).await, "the proxy that HTTPS_PROXY names does not lead to");
}

#[tokio::test]
async fn squid_asks_for_a_password_that_may_hold_anything() {
    let mut behind = Behind::prepared().await;
    let squid = Program::squid(&[PAGERDUTY, STRONGDM], Some("svc p@ss:w/rd"), None).await;
    let url = |credentials: &str| format!("http://{credentials}127.0.0.1:{}", squid.port);
    for credentials in ["", "svc:hush-pass@", "other:p%40ss%3Aw%2Frd@"] {
        let refused = behind.check_through(url(credentials)).await;
        assert_refused(&refused, "wants another user name and password");
        assert!(!stdout(&refused).contains("hush-pass") && !stderr(&refused).contains("hush-pass"));
    }
    behind.works_through(url("svc:p%40ss%3Aw%2Frd@")).await;
}

#[tokio::test]
async fn squid_may_want_tls_itself() {
    let mut behind = Behind::prepared().await;
    let identity = behind.authority.signs("127.0.0.1");
    let squid = Program::squid(&[PAGERDUTY, STRONGDM], None, Some(&identity)).await;
    behind.works_through(format!("https://127.0.0.1:{}", squid.port)).await;
}

/// How an ingress treats the path that it puts before ours.
#[derive(Clone, Copy, Debug)]
enum Ingress {
    /// Takes it off, and puts the service's own address into `Host`.
    Strips,
    /// Passes it on, and `Host` as well.
    PassesOn,
}

const PREFIX: &str = "/ops/grants";

/// A service that is reached below [`PREFIX`], and nginx before it.
async fn below_a_path(ingress: Ingress) -> (Scene, Program, Url) {
    let port = free_port();
    let public: &'static str = format!("http://127.0.0.1:{port}{PREFIX}").leak();
    let mut scene = Scene::prepared(Config { public_url: Some(public), ..Config::default() }).await;
    scene.start().await;
    let service = scene.url();
    let location = match ingress {
        Ingress::Strips => format!("location {PREFIX}/ {{ proxy_pass {service}/; }}"),
        Ingress::PassesOn => {
            format!("location {PREFIX} {{ proxy_pass {service}; proxy_set_header Host $http_host; }}")
        }
    };
    let nginx = Program::nginx(port, &location).await;
    (scene, nginx, format!("{public}/").parse().expect("an address"))
}

async fn get(url: Url) -> Answer {
    request(Method::GET, url, "", &[]).await
}

/// A request as an operator's browser sends it.
async fn request(method: Method, url: Url, body: &'static str, headers: &[(&'static str, &str)]) -> Answer {
    let client = client_builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let credentials = BASE64_STANDARD.encode(format!("me:{ADMIN_TOKEN}"));
    let mut request =
        client.request(method, url).header(header::AUTHORIZATION, format!("Basic {credentials}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.body(body)).await.expect("an answer")
}

/// Where this page leads, as a browser reads it.
fn links(page: &str, base: &Url) -> Vec<Url> {
    let texts = ["href=\"", "src=\""].into_iter().flat_map(|start| page.split(start).skip(1));
    let links = texts
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.starts_with("data:") && !link.starts_with('#'));
    links.map(|link| base.join(&link.replace("&amp;", "&")).expect("a link")).collect()
}

#[tokio::test]
async fn the_page_and_all_its_links_hold_below_a_path() {
    for ingress in [Ingress::Strips, Ingress::PassesOn] {
        let (scene, _nginx, base) = below_a_path(ingress).await;
        let page = get(base.clone()).await;
        assert_eq!(page.status, 200, "{ingress:?} {}", page.text);
        let mut all = links(&page.text, &base);
        assert!(all.iter().any(|link| link.path().ends_with("/why")), "{all:?}");
        let preview = base.join("ui/preview").expect("an address");
        assert!(page.text.contains(r#"action="ui/preview""#));
        let previewed = request(Method::POST, preview.clone(), "", &[]).await;
        assert!(previewed.status == 200 && previewed.text.contains(r#"action="sync""#), "{}", previewed.text);
        all.extend(links(&previewed.text, &preview));
        all.sort_unstable();
        all.dedup();
        for link in all {
            assert!(link.path().starts_with(PREFIX), "{ingress:?} {link}");
            let answer = get(link.clone()).await;
            assert_eq!(answer.status, 200, "{ingress:?} {link} {}", answer.text);
        }
        let confirm = preview.join("sync").expect("an address");
        let confirmed = request(Method::POST, confirm.clone(), "", &[]).await;
        assert_eq!(confirmed.status, 303, "{}", confirmed.text);
        let report = confirm.join(confirmed.header("location")).expect("an address");
        assert!(report.path() == base.path() && get(report.clone()).await.status == 200, "{report}");
        drop(scene);
    }
}

#[tokio::test]
async fn the_api_and_webhooks_work_below_a_path() {
    for ingress in [Ingress::Strips, Ingress::PassesOn] {
        let (scene, _nginx, base) = below_a_path(ingress).await;
        let at = |path: &str| base.join(path).expect("an address");
        let first = get(at("api/grants?limit=1")).await;
        let next =
            first.header("link").trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
        let second = get(at("api/grants").join(&next).expect("an address")).await;
        assert_eq!((second.status, second.json().as_array().map(Vec::len)), (200, Some(1)), "{next}");
        assert_eq!(scene.get(&next).await.text, second.text, "the same past the proxy");
        assert_eq!(get(at("openapi.json")).await.json()["servers"][0]["url"], PREFIX);
        assert_eq!(request(Method::POST, at("trigger"), "", &[]).await.status, 202);

        let body =
            r#"{"event":{"id":"01TESTBELOWAPATH0000000000","event_type":"incident.triggered","data":{}}}"#;
        let signature = sign(world::WEBHOOK_SECRET, body.as_bytes());
        let delivered =
            request(Method::POST, at("webhooks/pagerduty"), body, &[(SIGNATURE, &signature)]).await;
        assert_eq!(delivered.status, 202, "{}", delivered.text);

        let slash = base.as_str().trim_end_matches('/').parse::<Url>().expect("an address");
        let redirected = get(slash.clone()).await;
        let target = slash.join(redirected.header("location")).expect("an address");
        assert_eq!((redirected.status / 100, target.path()), (3, base.path()), "{ingress:?}");
    }
}

#[tokio::test]
async fn pagerduty_delivers_below_a_path() {
    let (scene, _nginx, base) = below_a_path(Ingress::Strips).await;
    let made = scene.webhook(&["create", "--secret-file", "fresh"]).await;
    assert_eq!(exit_code(&made), 0, "{}", stderr(&made));
    let subscription = scene.pagerduty.subscriptions().remove(0);
    assert_eq!(subscription.endpoint.url, format!("{base}webhooks/pagerduty"));
    let checked = scene.run(&["check", "--format", "json"]).await;
    assert!(!stdout(&checked).contains("subscription_missing"), "{}", stdout(&checked));
}

#[tokio::test]
async fn a_rewritten_host_keeps_other_sites_out_and_nobody_else() {
    let (_scene, _nginx, base) = below_a_path(Ingress::Strips).await;
    let preview = base.join("ui/preview").expect("an address");
    let origin = base.origin().ascii_serialization();
    // Browsers say no more than this where the page is not served over TLS.
    let own = request(Method::POST, preview.clone(), "", &[("Origin", &origin)]).await;
    assert_eq!(own.status, 200, "{}", own.text);
    for headers in [[("Origin", "https://evil.example")], [("Sec-Fetch-Site", "cross-site")]] {
        let refused = request(Method::POST, preview.clone(), "", &headers).await;
        refused.assert_error(403, "cross_site");
        assert!(refused.text.contains("server.public_url"), "{}", refused.text);
    }
}
