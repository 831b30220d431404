//! A disk that is full or broken for a while: nothing is taken meanwhile, and all goes on by itself once it is well.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::PathBuf,
    process::Command,
};

use reqwest::Method;
use sandbox::world::SCHEDULE;
use tempfile::TempDir;

use crate::support::{ADMIN_TOKEN, BO, CEM, Config, DB, Scene, directory};

/// A file system in memory that is soon full.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None if this user may not mount one.
    fn mount() -> Option<Self> {
        let dir = directory();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(dir.path());
        mount.output().ok()?.status.success().then_some(Self(dir))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a writable directory");
        let full = loop {
            if let Err(error) = filler.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The service may still have files there.
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).output());
    }
}

#[tokio::test]
async fn a_disk_that_was_full_for_a_while_needs_no_restart() {
    let Some(disk) = SmallDisk::mount() else {
        #[expect(clippy::print_stderr, reason = "nobody should believe that this was tried")]
        {
            eprintln!("NOT TRIED: only root may mount a small file system");
        }
        return;
    };
    let store = format!("sqlite:{}", disk.0.path().join("grants.db").display());
    let scene = Scene::running(Config { store, ..Config::default() }).await;
    let event = scene.about(SCHEDULE);
    for round in 0..3 {
        disk.fill();
        // Though nothing else is written.
        scene.ready_becomes(503).await;
        for _ in 0..3 {
            scene.post_signed(event.body()).await.assert_error(503, "unavailable");
            scene.sync().await.assert_error(503, "unavailable");
            let trigger = scene.request(Method::POST, "/trigger").bearer_auth(ADMIN_TOKEN);
            let answer = scene.send(trigger).await;
            answer.assert_error(503, "unavailable");
            assert!(answer.headers.contains_key("retry-after"));
        }
        assert_eq!(scene.get("/healthz").await.status, 200);
        disk.make_room();
        scene.ready_becomes(200).await;
        let shifts = [[(CEM, -60, 120), (BO, 120, 240)], [(BO, -60, 120), (CEM, 120, 240)]];
        scene.shifts(SCHEDULE, &shifts[round % 2]);
        scene.deliver(&scene.about(SCHEDULE)).await;
        scene.synced().await;
        scene.access_becomes(shifts[round % 2][0].0, DB, &[(0, 120)]).await;
        scene.all_served().await;
    }
    assert_eq!(scene.post_signed(event.body()).await.status, 202, "what was refused is taken now");
}

/// The system refuses writes as a broken disk does, with an error that SQLite has no name of its own for.
#[tokio::test]
async fn writes_that_failed_for_a_while_need_no_restart() {
    let mut scene = Scene::prepared(Config::default()).await;
    scene.launch_with_bounded_files().await;
    scene.first_pass_is_over().await;
    let event = scene.about(SCHEDULE);
    let log = scene.dir().join("oncall-grants.db-wal");
    for round in 0..4 {
        // From the first byte, or in the middle of a transaction of several pages.
        let written = fs::metadata(&log).expect("the log of the database").len();
        scene.limit_files(Some(if round % 2 == 0 { 0 } else { written + 6000 }));
        for _ in 0..3 {
            scene.post_signed(event.body()).await.assert_error(503, "unavailable");
        }
        if round % 2 == 0 {
            scene.ready_becomes(503).await;
            scene.sync().await.assert_error(503, "unavailable");
        }
        scene.limit_files(None);
        scene.ready_becomes(200).await;
        let shifts = [[(CEM, -60, 120), (BO, 120, 240)], [(BO, -60, 120), (CEM, 120, 240)]][round % 2];
        scene.shifts(SCHEDULE, &shifts);
        scene.deliver(&scene.about(SCHEDULE)).await;
        scene.synced().await;
        scene.access_becomes(shifts[0].0, DB, &[(0, 120)]).await;
        scene.all_served().await;
    }
    let told = scene.log_by_now().await;
    assert!(told.iter().any(|line| line.error.contains("disk I/O error")), "no other error is meant here");
    assert_eq!(scene.post_signed(event.body()).await.status, 202, "what was refused is taken now");
}
