//! The decision log at the wire: keys, checkpoints that programs of others can check, and proof that nothing was changed.

use std::os::unix::fs::PermissionsExt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use serde_json::{Value, json};
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, VerifierList};
use sqlx::Executor;

use crate::support::{CEM, Config, Database, Scene, exit_code, stderr, stdout};

const KEY: &str = "[audit]\nsigning_key_file = \"audit-key\"\n";

/// A service that signs, and the verifier key that others have.
async fn signing() -> (Scene, String) {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.write_config(&format!("{}{KEY}", scene.config_file()));
    let made = scene.run(&["audit", "keygen"]).await;
    assert_eq!(exit_code(&made), 0, "{}", stderr(&made));
    scene.start().await;
    (scene, stdout(&made).trim().to_owned())
}

async fn verify(scene: &Scene, files: &[&str]) -> (i32, String) {
    let arguments = files.iter().flat_map(|file| ["--checkpoint", file]);
    let output = scene.run(&["audit", "verify"].into_iter().chain(arguments).collect::<Vec<_>>()).await;
    (exit_code(&output), stdout(&output) + &stderr(&output))
}

async fn exported(scene: &Scene) -> Vec<String> {
    stdout(&scene.run(&["audit", "--format", "jsonl"]).await).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn programs_of_others_check_a_checkpoint_by_the_key_and_the_export_alone() {
    let (scene, verifier) = signing().await;
    scene.cem_takes_over();
    scene.synced().await;
    let lines = exported(&scene).await;
    assert_eq!(lines.len(), 4);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (number, line) in lines.iter().enumerate() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(entry["number"], number);
        tree.push(line.clone().into_bytes());
    }
    let printed = stdout(&scene.run(&["audit", "checkpoint"]).await);
    let answered = scene.get("/api/audit/checkpoint").await;
    assert!(answered.header("content-type").starts_with("text/plain"), "{answered:?}");
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&verifier).expect("a key"))]);
    for note in [printed, answered.text] {
        let note = Note::from_bytes(note.as_bytes()).expect("a signed note");
        let (verified, others) = note.verify(&known).expect("a good signature");
        assert_eq!((verified.len(), others.len()), (1, 0));
        let text = String::from_utf8(note.text().to_vec()).expect("text");
        let [origin, size, root] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(verifier.starts_with(&format!("{origin}+")) && origin.starts_with("oncall-grants/"));
        assert_eq!((size, root), ("4", &*STANDARD.encode(tree.root().as_bytes())));
    }
}

#[tokio::test]
async fn collectors_of_events_get_one_for_each_entry() {
    let scene = Scene::running(Config::default()).await;
    scene.cem_takes_over();
    scene.synced().await;
    let output = stdout(&scene.run(&["audit", "--format", "ocsf"]).await);
    let mut activities = Vec::new();
    for (line, entry) in output.lines().zip(scene.audit().await.into_iter().rev()) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        // What the schema requires of every event, and of this class.
        for (field, value) in [("category_uid", 3), ("class_uid", 3007)] {
            assert_eq!(event[field], value, "{event}");
        }
        let activity = event["activity_id"].as_i64().expect("a number");
        assert_eq!(event["type_uid"], 300_700 + activity);
        activities.push(activity);
        let at: DateTime<Utc> = entry["at"].as_str().expect("a text").parse().expect("an instant");
        assert_eq!(event["time"], at.timestamp_millis());
        assert_eq!((&event["severity_id"], &event["status_id"]), (&json!(1), &json!(1)));
        assert_eq!(event["metadata"]["version"], "1.9.0");
        for key in ["name", "vendor_name"] {
            assert_eq!(event["metadata"]["product"][key], "oncall-grants");
        }
        assert_eq!(event["user"]["email_addr"], entry["grant"]["email"]);
        assert_eq!(event["resource"]["name"], entry["grant"]["resource"]);
        assert_eq!(event["privileges"], json!(["access to prod-postgres"]));
        assert_eq!(event["unmapped"]["end"], entry["grant"]["end"]);
        assert_eq!(event["message"], entry["reason"]);
    }
    activities.sort_unstable();
    assert_eq!(activities, [14, 14, 14, 15]);
}

#[tokio::test]
async fn a_key_is_for_its_owner_alone_and_never_written_over() {
    let mut scene = Scene::prepared(Config::default()).await;
    let without = scene.run(&["audit", "keygen"]).await;
    assert_eq!((exit_code(&without), stdout(&without).as_str()), (2, ""));
    scene.write_config(&format!("{}{KEY}", scene.config_file()));
    let early = scene.run(&["serve"]).await;
    assert_eq!(exit_code(&early), 2);
    assert!(stderr(&early).contains("audit.signing_key_file: there is no such file"), "{}", stderr(&early));
    let made = scene.run(&["audit", "keygen"]).await;
    assert!(stdout(&made).starts_with("oncall-grants/"), "{made:?}");
    let file = scene.dir().join("audit-key");
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    let key = scene.read_file("audit-key");
    let again = scene.run(&["audit", "keygen"]).await;
    assert!(exit_code(&again) == 1 && stderr(&again).contains("is there already"), "{again:?}");
    assert_eq!(scene.read_file("audit-key"), key);
    scene.write_file("audit-key", "no key");
    let broken = scene.run(&["check", "--offline"]).await;
    assert!(stderr(&broken).contains("holds no Ed25519 key"), "{broken:?}");
    scene.write_file("audit-key", key);
    scene.start().await;
}

#[tokio::test]
async fn who_kept_a_checkpoint_finds_out_what_was_changed_since() {
    let (mut scene, _) = signing().await;
    scene.logged(1, "the decision log has 2 entries").await;
    let kept = stdout(&scene.run(&["audit", "checkpoint"]).await);
    scene.write_file("kept", &kept);
    scene.write_file("unsigned", kept.split("\n\n").next().expect("text"));
    scene.write_file("forged", kept.replacen("\n2\n", "\n1\n", 1));
    scene.cem_takes_over();
    scene.synced().await;
    let (code, said) = verify(&scene, &["kept", "unsigned"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("4 entries, root "), "{said}");
    assert!(said.contains("the checkpoint in kept, of 2 entries, signed by our key"), "{said}");
    assert!(said.contains("in unsigned, of 2 entries, not signed by our key"), "{said}");
    assert!(said.contains("the newest checkpoint in the store, of 2 entries, signed by our key"), "{said}");
    let (code, said) = verify(&scene, &["forged"]).await;
    assert!(code == 1 && said.starts_with("the checkpoint in forged carries a signature that"), "{said}");
    let (code, said) = verify(&scene, &["oncall-grants.toml"]).await;
    assert!(code == 1 && said.contains("is no checkpoint"), "{said}");

    scene.kill();
    let mut store = scene.open_store().await;
    store.execute("UPDATE audit SET reason = 'nothing to see' WHERE number = 3").await.expect("a table");
    let (code, said) = verify(&scene, &[]).await;
    assert!(code == 1 && said.starts_with("entry 3 was changed"), "{said}");
    let shortened = "DELETE FROM audit WHERE number > 0; DELETE FROM decision_leaves WHERE number > 0;
                     DELETE FROM decision_checkpoints; UPDATE decision_log SET size = 1";
    store.execute(shortened).await.expect("tables");
    assert_eq!(verify(&scene, &[]).await.0, 0, "the store alone cannot tell");
    let (code, said) = verify(&scene, &["kept"]).await;
    assert!(code == 1 && said.starts_with("entry 1 is missing, and all after it"), "{said}");
}

#[tokio::test]
async fn a_checkpoint_is_logged_each_hour_in_which_something_happened() {
    let (scene, _) = signing().await;
    scene.logged(1, "the decision log has 2 entries").await;
    assert!(scene.log().contains(r"\noncall-grants/") || scene.log().contains("oncall-grants/"));
    scene.cem_takes_over();
    scene.synced().await;
    let mut store = scene.open_store().await;
    store.execute("UPDATE decision_checkpoints SET at_ms = at_ms - 3600000").await.expect("a table");
    scene.logged(1, "the decision log has 4 entries").await;
    assert_eq!(scene.logged(2, "the decision log has").await.len(), 2);
    let newest = scene.get("/api/audit/checkpoint").await.text;
    assert_eq!(newest.lines().nth(1), Some("4"));
}

#[tokio::test]
async fn the_log_is_imported_as_it_is() {
    let database = Database::create().await;
    let (mut scene, _) = signing().await;
    let kept = stdout(&scene.run(&["audit", "checkpoint"]).await);
    scene.write_file("kept", &kept);
    let before = exported(&scene).await;
    scene.kill();
    database.url.as_str().clone_into(&mut scene.config.store);
    scene.write_config(&format!("{}{KEY}", scene.config_file()));
    for _ in 0..2 {
        let import = scene.run(&["import", "--from", "sqlite:oncall-grants.db"]).await;
        assert!(exit_code(&import) == 0 && !stderr(&import).contains("stays behind"), "{import:?}");
    }
    scene.start().await;
    scene.shifts(sandbox::world::SCHEDULE, &[(CEM, -60, 120)]);
    scene.synced().await;
    let after = exported(&scene).await;
    assert_eq!(after[..before.len()], before[..]);
    assert!(after.len() > before.len() + 2);
    let (code, said) = verify(&scene, &["kept"]).await;
    assert!(code == 0 && said.contains("signed by our key"), "{said}");
}
