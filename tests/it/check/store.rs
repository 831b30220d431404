//! A store that cannot be opened, on both databases.

use super::{check, checked, fill};
use crate::support::{Config, Database, Scene};

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_found_without_making_one() {
    let scene = Scene::prepared(Config::default()).await;
    fill(&scene);
    std::fs::create_dir(scene.dir().join("adir")).expect("a writable directory");
    scene.write_file("letter", "no database at all ".repeat(100));
    let file = scene.config_file();
    let before = std::fs::read_dir(scene.dir()).expect("a directory").count();
    for (url, subject, words) in [
        ("sqlite:missing/x.db", "missing/x.db", "cannot be made in"),
        ("sqlite:adir", "adir", "is a directory"),
        ("sqlite:letter/x.db", "letter/x.db", "cannot be looked at"),
        ("sqlite:letter", "store", "not a database"),
        ("postgres://app:hush-password@127.0.0.1:9/grants", "store", "Connection refused"),
    ] {
        scene.write_config(&file.replace("sqlite:oncall-grants.db", url));
        let found = check(&scene).await;
        found.assert_problem("store", subject, words);
        assert_eq!(found.kinds("problem"), ["store"], "{url}");
        assert!(!found.report.to_string().contains("hush-password"), "{:#}", found.report);
    }
    assert_eq!(std::fs::read_dir(scene.dir()).expect("a directory").count(), before, "nothing was made");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_found_and_an_empty_one_is_sound() {
    let database = Database::create().await;
    let mut gone = database.url.clone();
    gone.set_path("no_such_database");
    let found = checked(Config { store: gone.to_string(), ..Config::default() }).await;
    found.assert_problem("store", "store", "no_such_database");
    let found = checked(Config { store: database.url.to_string(), ..Config::default() }).await;
    assert_eq!((found.code, found.of("store").len()), (Some(0), 0), "{:#}", found.report);
}
