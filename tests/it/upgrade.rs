//! A store of a later version is refused.

use sqlx::{Connection, Executor};

use crate::support::{Config, Scene, exit_code, stderr};

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_with_what_to_do() {
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    let mut file = scene.open_store().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9001, 'more', TRUE, x'00', 0)";
    file.execute(later).await.expect("a row");
    file.close().await.expect("a closed file");
    for command in [&["serve"][..], &["sync"]] {
        let refused = scene.run(command).await;
        let said = stderr(&refused);
        assert_eq!(exit_code(&refused), 2, "{said}");
        assert!(said.contains("belongs to a later version of oncall-grants"), "{said}");
        assert!(
            said.contains("run the later version, or restore the backup made before the upgrade"),
            "{said}"
        );
    }
}
