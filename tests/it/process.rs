//! The process: commands, exit codes, signals, health.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use sandbox::{
    faults::{Action, Fault},
    world::{LONELY_SCHEDULE, SCHEDULE},
};
use serde_json::{Value, json};

use crate::support::{ANA, CEM, Config, DENIZ, Scene, code, err, free_port, out, rule, wait_until};

const DB: &str = "prod-postgres";

#[tokio::test]
async fn one_process_owns_the_store_and_others_may_look() {
    let scene = Scene::running(Config::default()).await;
    scene.shifts(SCHEDULE, &[(CEM, -60, 120)]);
    let second = scene.run(&["serve"]).await;
    assert_eq!(code(&second), 1);
    assert!(err(&second).contains("in use by another oncall-grants process"), "{}", err(&second));
    let sync = scene.run(&["sync"]).await;
    assert_eq!((code(&sync), out(&sync)), (1, String::new()));
    assert!(err(&sync).contains("POST /sync"), "{}", err(&sync));

    let before = scene.audit().await;
    let dry = scene.run(&["sync", "--dry-run", "--format", "json"]).await;
    assert_eq!(code(&dry), 0, "{}", err(&dry));
    let report: Value = serde_json::from_str(&out(&dry)).expect("the report and nothing else");
    assert_eq!((&report["trigger"], &report["dry_run"]), (&json!("command"), &json!(true)));
    assert_eq!(
        (report["created"][0]["email"].clone(), report["created"][0]["id"].clone()),
        (json!(CEM.1), Value::Null)
    );
    assert_eq!(report["revoked"].as_array().map(Vec::len), Some(2), "{report:#}");
    let text = scene.run(&["sync", "--dry-run"]).await;
    assert!(out(&text).contains(CEM.1) && out(&text).contains(DB), "{}", out(&text));
    assert_eq!((scene.writes(), scene.audit().await), ((2, 0), before));
}

#[tokio::test]
async fn looking_where_no_store_is_says_so() {
    let scene = Scene::set(Config::default()).await;
    let audit = scene.run(&["audit"]).await;
    assert_eq!((code(&audit), out(&audit)), (1, String::new()), "nothing there is not an empty audit");
    assert!(err(&audit).contains("there is no store at "), "{}", err(&audit));
    let explain = scene.run(&["explain", "--email", ANA.1]).await;
    assert!(err(&explain).contains("there is no store at "), "{}", err(&explain));
}

#[tokio::test]
async fn sync_begins_no_store_beside_that_of_a_running_service() {
    let scene = Scene::running(Config::default()).await;
    // As if it were run in another directory: the service keeps its store open, and sync finds none.
    let (here, away) = (scene.dir().join("oncall-grants.db"), scene.dir().join("away.db"));
    std::fs::rename(&here, &away).expect("the store is there");
    let text = std::fs::read_to_string(scene.dir().join("oncall-grants.toml")).expect("a configuration");
    let listen = scene.url().trim_start_matches("http://");
    scene.write_config(&text.replace("127.0.0.1:0", listen));
    let output = scene.run(&["sync"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("but there is no store at "), "{}", err(&output));
    assert!(!here.exists());
    assert_eq!(scene.writes(), (2, 0));
}

#[tokio::test]
async fn sync_alone_does_the_work_of_a_pass_and_its_exit_code_tells_how_it_went() {
    let rules = [rule("payments", &[SCHEDULE], &[DB]), rule("alone", &[LONELY_SCHEDULE], &["prod-web-1"])];
    let scene = Scene::set(Config { max_revocations: 0, ..Config::with_rules(rules) }).await;
    let one = scene.run(&["sync", "--schedule", SCHEDULE]).await;
    assert_eq!(code(&one), 0, "{}", err(&one));
    assert_eq!((scene.writes(), scene.access(ANA, DB)), ((2, 0), vec![(0, 120)]));
    let stranger = scene.run(&["sync", "--schedule", SCHEDULE, "--schedule", "PNOBODY"]).await;
    assert_eq!(code(&stranger), 2);
    assert!(err(&stranger).contains("PNOBODY"), "{}", err(&stranger));
    assert_eq!(code(&scene.run(&["sync"]).await), 0);
    assert_eq!(scene.writes(), (3, 0));

    scene.shifts(SCHEDULE, &[(DENIZ, -60, 120)]);
    let held = scene.run(&["sync", "--format", "json"]).await;
    assert_eq!(code(&held), 1);
    assert_eq!(
        serde_json::from_str::<Value>(&out(&held)).expect("JSON")["held"].as_array().map(Vec::len),
        Some(1)
    );
    let allowed = scene.run(&["sync", "--allow-mass-revocation"]).await;
    assert_eq!(code(&allowed), 0, "a skipped person is no error: {}", err(&allowed));
    assert!(out(&allowed).contains(DENIZ.1), "{}", out(&allowed));
    assert_eq!(scene.access(ANA, DB), []);

    scene.pagerduty.faults().add(Fault::on("GET /oncalls", Action::http(403, "")).until_cleared());
    let unknown = scene.run(&["sync"]).await;
    assert_eq!(code(&unknown), 1, "{}", out(&unknown));
}

#[tokio::test]
async fn check_finds_what_will_break_before_it_breaks() {
    let scene = Scene::set(Config::default()).await;
    let fine = scene.run(&["check"]).await;
    assert_eq!(code(&fine), 0, "{}{}", out(&fine), err(&fine));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (DENIZ, 120, 240)]);
    let nobody = scene.run(&["check"]).await;
    assert_eq!(code(&nobody), 1);
    assert!(out(&nobody).contains(DENIZ.1), "{}", out(&nobody));
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);

    let other = |from: &str, to: &str| {
        let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
        assert!(text.contains(from));
        scene.write_config(&text.replace(from, to));
    };
    for (from, to, expected, told) in [
        ("prod-postgres", "prod-progres", 1, "prod-progres"),
        (SCHEDULE, "PNOBODY", 1, "PNOBODY"),
        (sandbox::world::TOKEN, "another-token", 1, "401"),
        (sandbox::world::ACCESS_KEY, "auth-0000", 1, "strongDM"),
        ("schedules =", "schedule =", 2, "oncall-grants.toml:21: rules[0].schedule"),
    ] {
        other(from, to);
        let found = scene.run(&["check"]).await;
        let text = out(&found) + &err(&found);
        assert_eq!(code(&found), expected, "{to}: {text}");
        assert!(text.contains(told), "{to}: {text}");
        // The configuration alone says nothing about what it names.
        let offline = scene.run(&["check", "--offline"]).await;
        assert_eq!(code(&offline), if expected == 2 { 2 } else { 0 }, "{to}");
    }
    assert_eq!((scene.writes(), scene.dir().join("oncall-grants.db").exists()), ((0, 0), false));
}

#[tokio::test]
async fn lost_output_is_a_failure_but_a_reader_that_went_away_is_none() {
    let scene = Scene::running(Config::default()).await;
    let run = async |command: &str, output: Stdio| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_oncall-grants"));
        process.current_dir(scene.dir()).env_clear().args(command.split(' ')).stdout(output);
        process.stderr(Stdio::piped());
        let run = tokio::task::spawn_blocking(move || process.spawn().and_then(Child::wait_with_output));
        run.await.expect("no panic").expect("the binary can be run")
    };
    for command in
        ["audit", "audit --format jsonl", "check --offline", "sync --dry-run", "man", "completions bash"]
    {
        let full = File::options().write(true).open("/dev/full").expect("a device");
        let full = run(command, full.into()).await;
        assert_eq!(code(&full), 1, "{command}");
        assert!(err(&full).contains("cannot write the result"), "{command}: {}", err(&full));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let gone = run(command, writer.into()).await;
        assert_eq!((code(&gone), err(&gone)), (0, String::new()), "{command}");
    }
}

#[tokio::test]
async fn mistakes_in_the_files_that_are_named_end_with_2_before_anything_starts() {
    let scene = Scene::set(Config::default()).await;
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    std::fs::write(scene.dir().join("letter"), "no PEM at all").expect("a writable directory");
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
            assert_eq!(code(&output), 2, "{told}: {}", err(&output));
            assert!(err(&output).contains(told), "{told}: {}", err(&output));
        }
    }
    let missing = scene.run(&["--config", "missing.toml", "serve"]).await;
    assert!(err(&missing).starts_with("missing.toml: cannot be read"), "{}", err(&missing));
    scene.write_config(&text.replace("sqlite:oncall-grants.db", "sqlite:gone/x.db"));
    let missing = scene.run(&["serve"]).await;
    assert_eq!(code(&missing), 1);
    assert!(err(&missing).contains("because there is no directory gone"), "{}", err(&missing));
}

#[tokio::test]
async fn the_health_check_asks_where_the_configuration_says() {
    let mut scene = Scene::set(Config::default()).await;
    let port = free_port();
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    scene.write_config(&text.replace("127.0.0.1:0", &format!("0.0.0.0:{port}")));
    assert_eq!(code(&scene.run(&["healthcheck"]).await), 1, "nobody is there yet");
    scene.launch().await;
    let healthy = scene.run(&["healthcheck"]).await;
    assert_eq!(code(&healthy), 0, "{}", err(&healthy));
    let elsewhere = scene.dir().join("elsewhere.toml");
    std::fs::write(&elsewhere, text.replace("127.0.0.1:0", "127.0.0.1:9")).expect("a writable directory");
    let other = scene.run(&["healthcheck", "--config", "elsewhere.toml"]).await;
    assert_eq!(code(&other), 1);
    assert!(err(&other).contains("http://127.0.0.1:9"), "{}", err(&other));
}

#[tokio::test]
async fn a_listener_on_every_address_is_reached_by_ipv4_and_by_ipv6() {
    let mut scene = Scene::set(Config::default()).await;
    let port = free_port();
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    scene.write_config(&text.replace("127.0.0.1:0", &format!("[::]:{port}")));
    scene.launch().await;
    let healthy = scene.run(&["healthcheck"]).await;
    assert_eq!(code(&healthy), 0, "{}", err(&healthy));
    // Where there is no IPv6, IPv4 is all there is.
    let hosts = if std::net::TcpListener::bind("[::1]:0").is_ok() {
        &["127.0.0.1", "[::1]"][..]
    } else {
        &["127.0.0.1"]
    };
    for host in hosts {
        let healthy = scene.run(&["healthcheck", "--url", &format!("http://{host}:{port}")]).await;
        assert_eq!(code(&healthy), 0, "{host}: {}", err(&healthy));
    }
}

#[tokio::test]
async fn mistakes_of_a_configuration_and_of_usage_end_with_2() {
    let scene = Scene::set(Config::default()).await;
    let good = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
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
            assert_eq!(code(&output), 2, "{command} with {to}: {}", err(&output));
            assert!(err(&output).contains(&told), "{command} with {to}: {}", err(&output));
        }
    }
    scene.write_config(&good);
    for arguments in [&["dance"][..], &["sync", "--dance"], &["sync", "--format", "xml"], &[]] {
        assert_eq!(code(&scene.run(arguments).await), 2, "{arguments:?}");
    }
    assert_eq!(code(&scene.run(&["--config", "missing.toml", "check"]).await), 2);
    assert_eq!(code(&scene.run(&["--version"]).await), 0);
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
            wait_until("the signal has arrived", async || {
                scene.messages().iter().any(|message| message.contains("stopping after SIG")).then_some(())
            })
            .await;
            wait_until("nobody listens any more, or webhooks are put off", async || {
                let answer = scene.try_send(scene.signed(scene.about(SCHEDULE).body())).await;
                answer.map_or(true, |answer| answer.status == 503).then_some(())
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
        wait_until("the signal has arrived", async || {
            scene.messages().iter().any(|message| message.contains("stopping after SIG")).then_some(())
        })
        .await;
        gate.open();
    };
    let (report, ()) = futures_util::future::join(scene.synced(), stopped).await;
    assert_eq!(report["created"][0]["email"], CEM.1);
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
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(code(&scene.run(&["healthcheck", "--url", "http://127.0.0.1:9"]).await), 1);
}
