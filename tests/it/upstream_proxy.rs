//! The way to the upstreams through a company's proxy, and past it.

use sandbox::{
    faults::{Action, Fault},
    world::SCHEDULE,
};

use crate::support::{
    ANA, Authority, Behind, CEM, Config, ConnectProxy, DB, Scene, exit_code, stderr, stdout,
};

const PAGERDUTY: &str = "api.pagerduty.test";
const STRONGDM: &str = "app.strongdm.test";

/// Every variable that names a proxy.
fn everywhere(proxy: &ConnectProxy, credentials: &str) -> Vec<(&'static str, String)> {
    let url = format!("http://{credentials}{}", proxy.address);
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map(|name| (name, url.clone()))
        .to_vec()
}

/// A scene whose upstreams have names that only the proxy knows, the proxy, and the variable that makes the service trust
/// their certificates. PagerDuty speaks this protocol.
async fn behind_a_proxy(protocol: &'static str) -> (Scene, ConnectProxy, (&'static str, String)) {
    let authority = Authority::new("a company");
    let scene = Scene::prepared(Config::default()).await;
    let (pagerduty, strongdm) = (authority.signs(PAGERDUTY), authority.signs(STRONGDM));
    let proxy = ConnectProxy::to(&[
        Behind { name: PAGERDUTY, identity: &pagerduty, protocol, url: scene.pagerduty.url() },
        Behind { name: STRONGDM, identity: &strongdm, protocol: "h2", url: scene.strongdm.url() },
    ])
    .await;
    let text = scene.config.text(&format!("https://{PAGERDUTY}"), &format!("https://{STRONGDM}"));
    scene.write_config(&text);
    let trusted = scene.dir().join("company.pem");
    std::fs::write(&trusted, authority.pem()).expect("a writable directory");
    let trust = ("SSL_CERT_FILE", trusted.to_str().expect("a plain name").to_owned());
    (scene, proxy, trust)
}

#[tokio::test]
async fn what_stays_on_this_machine_goes_through_no_proxy() {
    let proxy = ConnectProxy::to(&[]).await;
    let mut scene = Scene::prepared(Config::default()).await;
    scene.variables = everywhere(&proxy, "");
    scene.start().await;
    scene.synced().await;
    let checked = scene.run(&["check"]).await;
    assert_eq!(exit_code(&checked), 0, "{}{}", stdout(&checked), stderr(&checked));
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    assert_eq!(proxy.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn both_upstreams_are_reached_through_the_proxy_unless_it_is_told_not_to() {
    let (mut scene, proxy, trust) = behind_a_proxy("http/1.1").await;

    scene.variables = vec![trust.clone(), ("NO_PROXY", ".test".to_owned())];
    scene.variables.extend(everywhere(&proxy, ""));
    let past_it = scene.run(&["check"]).await;
    let told = stdout(&past_it);
    assert!(exit_code(&past_it) == 1 && told.contains("PagerDuty") && told.contains("strongDM"), "{told}");
    assert_eq!(proxy.seen(), Vec::<String>::new());

    // Only this variable, so that it is shown to do.
    scene.variables = vec![trust, ("HTTPS_PROXY", format!("http://user:pass@{}", proxy.address))];
    scene.start().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);
    let seen = proxy.seen();
    for name in [PAGERDUTY, STRONGDM] {
        let head = seen.iter().find(|head| head.starts_with(&format!("CONNECT {name}:443 HTTP/1.1\r\n")));
        let head = head.unwrap_or_else(|| panic!("no tunnel to {name}: {seen:#?}"));
        assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{head}");
    }
    let secrets = scene.config.secrets();
    assert!(seen.iter().all(|head| secrets.iter().all(|secret| !head.contains(secret))), "{seen:#?}");

    scene.variables[1] = ("HTTPS_PROXY", "socks5://user:pass@127.0.0.1:1080".to_owned());
    let refused = scene.run(&["check"]).await;
    assert!(exit_code(&refused) != 0 && stderr(&refused).contains("HTTPS_PROXY"), "{}", stderr(&refused));
    assert!(!stderr(&refused).contains("pass"), "{}", stderr(&refused));
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_answered_is_given_up_for_a_fresh_one() {
    let (mut scene, proxy, trust) = behind_a_proxy("h2").await;
    scene.variables = vec![trust, ("HTTPS_PROXY", format!("http://{}", proxy.address))];
    scene.start().await;
    assert_eq!(scene.access(ANA, DB), [(0, 120)]);

    // The peer answers pings and takes requests; it only never answers these two.
    scene.pagerduty.clear_requests();
    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::Stall));
    scene.strongdm.faults().add(Fault::on("AccountGrants.Create", Action::Stall));
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    scene.sync().await;
    scene.access_becomes(CEM, DB, &[(0, 120)]).await;
    let asked = scene.pagerduty.requests();
    let asked: Vec<u64> =
        asked.iter().filter(|one| one.path == "/oncalls").map(|one| one.connection).collect();
    assert!(asked.len() > 1 && asked[1..].iter().all(|later| *later != asked[0]), "{asked:?}");
    let called: Vec<u64> = scene.strongdm.calls().iter().map(|call| call.connection).collect();
    assert_ne!(called.first(), called.last(), "{called:?}");
}
