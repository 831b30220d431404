//! The process: commands, exit codes, signals, health.

use std::{fs::File, process::Stdio};

use sandbox::{
    faults::{Action, Fault},
    world::{LONELY_SCHEDULE, SCHEDULE},
};
use serde_json::json;

use crate::support::{
    ANA, CEM, Config, DB, DENIZ, Scene, command, exit_code, free_port, output, report, rule, stderr, stdout,
    wait_until,
};

#[tokio::test]
async fn one_process_owns_the_store_and_others_may_look() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let second = scene.run(&["serve"]).await;
    assert_eq!(exit_code(&second), 1);
    assert!(stderr(&second).contains("in use by another oncall-grants process"), "{}", stderr(&second));
    let sync = scene.run(&["sync"]).await;
    assert_eq!((exit_code(&sync), stdout(&sync)), (1, String::new()));
    assert!(stderr(&sync).contains("POST /sync"), "{}", stderr(&sync));

    let before = scene.audit().await;
    let dry = scene.run(&["sync", "--dry-run", "--format", "json"]).await;
    assert_eq!(exit_code(&dry), 0, "{}", stderr(&dry));
    let report = report(&stdout(&dry));
    assert_eq!((report.trigger.as_str(), report.dry_run), ("command", true));
    assert_eq!((report.created[0].email.as_str(), &report.created[0].id), (CEM.1, &None));
    assert_eq!(report.revoked.len(), 2, "{report:#?}");
    let text = scene.run(&["sync", "--dry-run"]).await;
    assert!(stdout(&text).contains(CEM.1) && stdout(&text).contains(DB), "{}", stdout(&text));
    assert_eq!((scene.writes(), scene.audit().await), ((2, 0), before));
}

#[tokio::test]
async fn looking_where_no_store_is_says_so() {
    let scene = Scene::prepared(Config::default()).await;
    let audit = scene.run(&["audit"]).await;
    assert_eq!(
        (exit_code(&audit), stdout(&audit)),
        (1, String::new()),
        "nothing there is not an empty audit"
    );
    assert!(stderr(&audit).contains("there is no store at "), "{}", stderr(&audit));
    let explain = scene.run(&["explain", "--email", ANA.1]).await;
    assert!(stderr(&explain).contains("there is no store at "), "{}", stderr(&explain));
}

#[tokio::test]
async fn sync_begins_no_store_beside_that_of_a_running_service() {
    let scene = Scene::running(Config::default()).await;
    // As if it were run in another directory: the service keeps its store open, and sync finds none.
    let (here, away) = (scene.dir().join("oncall-grants.db"), scene.dir().join("away.db"));
    std::fs::rename(&here, &away).expect("the store is there");
    scene.write_config(&scene.config_file().replace("127.0.0.1:0", scene.address()));
    let output = scene.run(&["sync"]).await;
    assert_eq!(exit_code(&output), 1);
    assert!(stderr(&output).contains("but there is no store at "), "{}", stderr(&output));
    assert!(!here.exists());
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn sync_alone_does_the_work_of_a_pass_and_its_exit_code_tells_how_it_went() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::prepared(Config { max_revocations: 0, ..Config::with_rules(rules) }).await;
    let one = scene.run(&["sync", "--schedule", SCHEDULE]).await;
    assert_eq!(exit_code(&one), 0, "{}", stderr(&one));
    assert_eq!((scene.writes(), scene.access(ANA, DB)), ((2, 0), vec![(0, 120)]));
    let stranger = scene.run(&["sync", "--schedule", SCHEDULE, "--schedule", "PNOBODY"]).await;
    assert_eq!(exit_code(&stranger), 2);
    assert!(stderr(&stranger).contains("PNOBODY"), "{}", stderr(&stranger));
    assert_eq!(exit_code(&scene.run(&["sync"]).await), 0);
    assert_eq!(scene.writes(), (3, 0));

    scene.shifts(SCHEDULE, &[(DENIZ, -60, 120)]);
    let held = scene.run(&["sync", "--format", "json"]).await;
    assert_eq!(exit_code(&held), 1);
    assert_eq!(report(&stdout(&held)).held.len(), 1);
    let allowed = scene.run(&["sync", "--allow-mass-revocation"]).await;
    assert_eq!(exit_code(&allowed), 0, "a skipped person is no error: {}", stderr(&allowed));
    assert!(stdout(&allowed).contains(DENIZ.1), "{}", stdout(&allowed));
    assert_eq!(scene.access(ANA, DB), []);

    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(403, "")).until_cleared());
    let unknown = scene.run(&["sync"]).await;
    assert_eq!(exit_code(&unknown), 1, "{}", stdout(&unknown));
}

#[tokio::test]
async fn check_finds_what_will_break_before_it_breaks() {
    let scene = Scene::prepared(Config::default()).await;
    let fine = scene.run(&["check"]).await;
    assert_eq!(exit_code(&fine), 0, "{}{}", stdout(&fine), stderr(&fine));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
    let nobody = scene.run(&["check"]).await;
    assert_eq!(exit_code(&nobody), 1);
    assert!(stdout(&nobody).contains(DENIZ.1), "{}", stdout(&nobody));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);

    let other = |from: &str, to: &str| {
        let file = scene.config_file();
        assert!(file.contains(from));
        scene.write_config(&file.replace(from, to));
    };
    for (from, to, expected, told) in [
        (DB, "prod-progres", 1, "prod-progres"),
        (SCHEDULE, "PNOBODY", 1, "PNOBODY"),
        (sandbox::world::TOKEN, "another-token", 1, "401"),
        (sandbox::world::ACCESS_KEY, "auth-0000", 1, "strongDM"),
        ("schedules =", "schedule =", 2, "oncall-grants.toml:21: rules[0].schedule"),
    ] {
        other(from, to);
        let found = scene.run(&["check"]).await;
        let text = stdout(&found) + &stderr(&found);
        assert_eq!(exit_code(&found), expected, "{to}: {text}");
        assert!(text.contains(told), "{to}: {text}");
        // The configuration alone says nothing about what it names.
        let offline = scene.run(&["check", "--offline"]).await;
        assert_eq!(exit_code(&offline), if expected == 2 { 2 } else { 0 }, "{to}");
    }
    assert_eq!((scene.writes(), scene.dir().join("oncall-grants.db").exists()), ((0, 0), false));
}

#[tokio::test]
async fn lost_output_is_a_failure_but_a_reader_that_went_away_is_none() {
    let scene = Scene::running(Config::default()).await;
    let run = async |words: &str, stdout: Stdio| {
        let arguments: Vec<&str> = words.split(' ').collect();
        let mut command = command(scene.dir(), &arguments);
        command.stdout(stdout);
        output(command).await
    };
    for command in
        ["audit", "audit --format jsonl", "check --offline", "sync --dry-run", "man", "completions bash"]
    {
        let full = File::options().write(true).open("/dev/full").expect("a device");
        let full = run(command, full.into()).await;
        assert_eq!(exit_code(&full), 1, "{command}");
        assert!(stderr(&full).contains("cannot write the result"), "{command}: {}", stderr(&full));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let gone = run(command, writer.into()).await;
        assert_eq!((exit_code(&gone), stderr(&gone)), (0, String::new()), "{command}");
    }
}

#[tokio::test]
async fn mistakes_in_the_files_that_are_named_end_with_2_before_anything_starts() {
    let scene = Scene::prepared(Config::default()).await;
    let text = scene.config_file();
    scene.write_file("letter", "no PEM at all");
    let tls = "[server]\ntls_cert = \"letter\"\ntls_key = \"letter\"";
    for (bad, told) in [
        (
            text.replace("[server]", tls),
            "oncall-grants.toml:2: server.tls_cert: the file holds no certificate",
        ),
        (
            text.replace("sqlite:oncall-grants.db", "postgres://u@127.0.0.1/db?sslmode=bogus"),
            "store.url: has an unknown sslmode",
        ),
        (
            text.replace("[server]", "[server]\nadmin_token_file = \"gone\"").replace("admin_token = ", "# "),
            "a relative path starts in /",
        ),
    ] {
        scene.write_config(&bad);
        for arguments in [&["serve"][..], &["check", "--offline"], &["webhook", "list"]] {
            let output = scene.run(arguments).await;
            assert_eq!(exit_code(&output), 2, "{told}: {}", stderr(&output));
            assert!(stderr(&output).contains(told), "{told}: {}", stderr(&output));
        }
    }
    let missing = scene.run(&["--config", "missing.toml", "serve"]).await;
    assert!(stderr(&missing).starts_with("missing.toml: cannot be read"), "{}", stderr(&missing));
    scene.write_config(&text.replace("sqlite:oncall-grants.db", "sqlite:gone/x.db"));
    let missing = scene.run(&["serve"]).await;
    assert_eq!(exit_code(&missing), 1);
    assert!(stderr(&missing).contains("because there is no directory gone"), "{}", stderr(&missing));
}

#[tokio::test]
async fn the_health_check_asks_where_the_configuration_says() {
    let mut scene = Scene::prepared(Config::default()).await;
    let port = free_port();
    let file = scene.config_file();
    scene.write_config(&file.replace("127.0.0.1:0", &format!("0.0.0.0:{port}")));
    assert_eq!(exit_code(&scene.run(&["healthcheck"]).await), 1, "nobody is there yet");
    scene.launch().await;
    let healthy = scene.run(&["healthcheck"]).await;
    assert_eq!(exit_code(&healthy), 0, "{}", stderr(&healthy));
    scene.write_file("elsewhere.toml", file.replace("127.0.0.1:0", "127.0.0.1:9"));
    let other = scene.run(&["healthcheck", "--config", "elsewhere.toml"]).await;
    assert_eq!(exit_code(&other), 1);
    assert!(stderr(&other).contains("http://127.0.0.1:9"), "{}", stderr(&other));
}

#[tokio::test]
async fn a_listener_on_every_address_is_reached_by_ipv4_and_by_ipv6() {
    let mut scene = Scene::prepared(Config::default()).await;
    let port = free_port();
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    scene.write_config(&text.replace("127.0.0.1:0", &format!("[::]:{port}")));
    scene.launch().await;
    let healthy = scene.run(&["healthcheck"]).await;
    assert_eq!(exit_code(&healthy), 0, "{}", stderr(&healthy));
    // Where there is no IPv6, IPv4 is all there is.
    let hosts = if std::net::TcpListener::bind("[::1]:0").is_ok() {
        &["127.0.0.1", "[::1]"][..]
    } else {
        &["127.0.0.1"]
    };
    for host in hosts {
        let healthy = scene.run(&["healthcheck", "--url", &format!("http://{host}:{port}")]).await;
        assert_eq!(exit_code(&healthy), 0, "{host}: {}", stderr(&healthy));
    }
}

#[tokio::test]
async fn mistakes_of_a_configuration_and_of_usage_end_with_2() {
    let scene = Scene::prepared(Config::default()).await;
    let good = scene.config_file();
    for (from, to, told) in [
        ("listen =", "listn =", "server.listn"),
        ("interval = \"1h\"", "interval = 60", "sync.interval"),
        ("interval = \"1h\"", "interval = \"often\"", "sync.interval"),
        ("admin_token = \"", "admin_token = \"\" # ", "server.admin_token"),
        ("[sync]", "[sync", ""),
        ("http://127.0.0.1", "http://example.com", "pagerduty.api_url"),
        ("resources = [\"prod-postgres\"]", "resources = []", "rules[0].resources"),
    ] {
        let bad = good.replacen(from, to, 1);
        let line = bad.lines().position(|line| line.contains(to)).expect("it was put in") + 1;
        let told = format!("oncall-grants.toml:{line}: {told}");
        scene.write_config(&bad);
        for command in ["serve", "sync", "check"] {
            let output = scene.run(&[command]).await;
            assert_eq!(exit_code(&output), 2, "{command} with {to}: {}", stderr(&output));
            assert!(stderr(&output).contains(&told), "{command} with {to}: {}", stderr(&output));
        }
    }
    scene.write_config(&good);
    for arguments in [&["dance"][..], &["sync", "--dance"], &["sync", "--format", "xml"], &[]] {
        assert_eq!(exit_code(&scene.run(arguments).await), 2, "{arguments:?}");
    }
    assert_eq!(exit_code(&scene.run(&["--config", "missing.toml", "check"]).await), 2);
    assert_eq!(exit_code(&scene.run(&["--version"]).await), 0);
}

#[tokio::test]
async fn a_signal_ends_the_service_in_order_also_during_a_pass() {
    for (signal, busy) in [("TERM", false), ("INT", false), ("TERM", true), ("INT", true)] {
        let mut scene = Scene::running(Config::default()).await;
        scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
        let gate = scene.strongdm.faults().gate("AccountGrants.Create");
        if busy {
            scene.deliver(&scene.about(SCHEDULE)).await;
            gate.arrived().await;
        }
        scene.signal(signal);
        if busy {
            scene.has_logged(&["stopping after SIG"]).await;
            wait_until("nobody listens any more, or webhooks are put off", async || {
                let answer = scene.try_send(scene.signed_event(&scene.about(SCHEDULE))).await;
                answer.map_or(true, |answer| answer.status == 503)
            })
            .await;
            gate.open();
        }
        let status = scene.ended().await;
        assert_eq!(status.code(), Some(0), "{signal}, busy: {busy}");
        assert_eq!(scene.access(CEM, DB).is_empty(), !busy, "the pass under way is finished");
    }
}

#[tokio::test]
async fn signals_that_mean_no_end_leave_the_service_running() {
    let mut scene = Scene::running(Config::default()).await;
    for (times, signal) in [(1, "HUP"), (1, "USR1"), (1, "USR2"), (2, "HUP")] {
        scene.signal(signal);
        scene.logged(times, &format!("SIG{signal} changes nothing")).await;
    }
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    scene.synced().await;
    assert_eq!(scene.access(CEM, DB), [(0, 120)]);
    assert_eq!(scene.get("/readyz").await.json()["tasks"], json!({"last_error": null}));
    scene.signal("QUIT");
    assert_eq!(scene.ended().await.code(), Some(0));
}

#[tokio::test]
async fn whoever_waits_for_a_pass_gets_its_report_although_the_service_is_stopping() {
    let mut scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let gate = scene.strongdm.faults().gate("AccountGrants.Create");
    let stopped = async {
        gate.arrived().await;
        scene.signal("TERM");
        scene.has_logged(&["stopping after SIG"]).await;
        gate.open();
    };
    let (report, ()) = futures_util::future::join(scene.synced(), stopped).await;
    assert_eq!(report.created[0].email.as_str(), CEM.1);
    assert_eq!(scene.ended().await.code(), Some(0));
    assert_eq!((scene.access(CEM, DB), scene.access(ANA, DB)), (vec![(0, 120)], vec![]));
}

#[tokio::test]
async fn health_tells_of_upstreams_and_stays_good_while_they_are_down() {
    let scene = Scene::running(Config::default()).await;
    let ready = scene.get("/readyz").await;
    let body = ready.json();
    assert_eq!(
        (ready.status, &body["status"], &body["store"]),
        (200, &json!("ready"), &json!({"writable": true}))
    );
    for upstream in ["pagerduty", "strongdm"] {
        assert!(
            body[upstream]["last_success"].is_string() && body[upstream]["last_error"].is_null(),
            "{body}"
        );
    }
    scene.pagerduty.faults().add(Fault::on("", Action::http(401, "")).until_cleared());
    assert_eq!(scene.sync().await.status, 502);
    let ready = scene.get("/readyz").await;
    let body = ready.json();
    assert_eq!(ready.status, 200);
    assert!(body["pagerduty"]["last_error"]["at"].is_string(), "{body}");
    assert!(
        body["pagerduty"]["last_error"]["message"].as_str().is_some_and(|text| text.contains("401")),
        "{body}"
    );
    assert_eq!(scene.get("/healthz").await.status, 200);
    let output = scene.run(&["healthcheck", "--url", scene.url()]).await;
    assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
    assert_eq!(exit_code(&scene.run(&["healthcheck", "--url", "http://127.0.0.1:9"]).await), 1);
}
