//! A database that an earlier version made goes on: it knows the steps that made it by their checksums, and refuses a
//! version whose steps are not these.

use std::{fs, path::Path};

use oncall_grants::store::{OpenError, postgres::Postgres, sqlite::Sqlite};
use sqlx::{ConnectOptions, Executor, sqlite::SqliteConnectOptions};

use crate::postgres_server::Database;

/// What databases in service have kept of each step. Lines are added, never changed.
const IN_SQLITE: [&str; 15] = [
    "0001_initial c3b79f8844918860de284c6232258602ee32b4dbd90799a456e63fe4919eb03c5928b79112b70938b93e8b52a1f8a80f",
    "0002_agenda 02d52cb944063fe9f2b587a4c7332f7dd9a6b088e967c6965fc4704ac0ae3c0c3d889811d5dde1ef6dabc5f2ff751070",
    "0003_looks 8e6e66f32fb9c524c5e0eebb32d5951c132a4912f1bffc462f916868bb5999beafa3f0d5e7e1214fb45da01bf786f267",
    "0004_second_look 7b0b78d832adb6ac01ef8b398434a87e3017ff2fb5924114411b575eec44786362bb3f9697d0740f9552f5b3f90c5aa8",
    "0005_pruning 52ff5ad3f8c36e7b7c9746d6962d0d43c4f82f0598cbf8723df78f400f5768673e7827b97b1a0c24ea39b514d2ad61ed",
    "0006_own_clocks 9212e8d71f24b379950aa74cc55513065ef2260ef690de44c1a00c12d256dd963df09036a7890b8be194e2324da3aae6",
    "0007_overview e456326cf4bc2268cd3385e4468f535f19db126e9dd129fb60a54b8517735c5841a3a616ace508a904f2b49fb8ef845f",
    "0008_altered c2cd50f73dbb50cc6b835be0fab83ba901d6a3ccac4041391e072f006ff7d9fe38628485f10c8275f1b0748c5a1ed366",
    "0009_incident_parts 85251bc1d86879a9e20661f52265460f5a019f8fb4df0be53d90eff196a1cf185c34dfecb9bfdf620538e35424becf25",
    "0010_kubernetes_groups 53d8a95cc52d1b0d2934f1870f3e924a392cb56f51051e8e74ffb098867a2ba67f42147fe65ba3f16a5fbf8881b82ddd",
    "0011_names 1720eba131cd7195f1004040944a9ee1589f895a6375447f961fe2201c81879d47266368f925d0cceb62e49a5686dd5f",
    "0012_decision_log f74297d23ba47a83c44fc03709ec5f52c104e79d20e89fdaffd89d217a41eb478cc41b830e4dee36905ab556dfe01528",
    "0013_notices 07984dea4b6ed68cd261ebddc3282bb10feee1c8e905321e49f50c597dd2d3325d1dce1116ad27309c6b449ba96bf26f",
    "0014_endpoint_health aba900fed5d60a27cb568b2a4d18a1536907dd8d606e386627e552470e3e6e5ea148e480fd14d37d67d5be8c279d26a1",
    "0015_ledger_version 2e6d3b159c51dcffa3b8f941e0e5b19ac549649a552716150bf8e318d72f5b38812ee15a0ac428d8bf5c0facaf79e626",
];
const IN_POSTGRES: [&str; 13] = [
    "0001_initial 9f5d6a11c6168562be3751fa19447a7e17e249deeefc34b905000aeaf5ef75f5b6885a48f0832853cd1d84f07be14788",
    "0002_looks eeee76f24fb3019a23f2e1b8788175a9307142cb374229b933537990ccf67e9f98b87aecc1a21022917dc1b3bfa5f02f",
    "0003_second_look 7b0b78d832adb6ac01ef8b398434a87e3017ff2fb5924114411b575eec44786362bb3f9697d0740f9552f5b3f90c5aa8",
    "0004_pruning 52ff5ad3f8c36e7b7c9746d6962d0d43c4f82f0598cbf8723df78f400f5768673e7827b97b1a0c24ea39b514d2ad61ed",
    "0005_own_clocks d9341336b460d04684da6e1dabf8dd1fff02f9ffb2f01751bc76ee4a5c9be7a6eea1f510336ba2da06bed8fbe12b727f",
    "0006_overview c402608bf77d8092df6c71bb6263f49a372349e23bd067f3665cd9f814f7c44e3bc9a4484b0753b7dbfa1fa15e80289c",
    "0007_altered 5ee07c8c53d26aefa594864bb299619c320ad47a4f9413a66c4ef5257cd216cfcd463bbae90742f9533e6f9be7a315a2",
    "0008_incident_parts 5dd9735cb7431ac9b60e4ba1da0ed11d9ea1882fd10e8ce30b1066e5c05cbbea761d5ed949d80097b94fb00bb46a6327",
    "0009_kubernetes_groups 53d8a95cc52d1b0d2934f1870f3e924a392cb56f51051e8e74ffb098867a2ba67f42147fe65ba3f16a5fbf8881b82ddd",
    "0010_names 071bd273666d7b6ff5e9e3c4aab7cd96c279f80a4a1479de13628b97035e7dbc96e84439c457dd31b6655032b90d1bef",
    "0011_decision_log 0ef08af1f3ae7292424be8f052dbcc9d2b5697c6043f351a4b71ad361f3aeefbd3037859abf855a76e30c3eed8ef381c",
    "0012_notices 17750f5d22f32300141bcf4023f21ac96d395d3f31ff7609d1263862e5dbd41cc077686541bac34346e3f7627a75bb35",
    "0013_endpoint_health 8e81ecb31009e740877b699a98e5611a1dc16ca16e6047f713b12b5b0095bb3135e71b382898eadbcbc77c0f3af286e0",
];

/// No file was forgotten where the steps are listed.
fn are_all_in(folder: &str, steps: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    files.sort();
    let named: Vec<String> =
        steps.iter().map(|step| format!("{}.sql", step.split(' ').next().unwrap())).collect();
    assert_eq!(files, named);
}

#[tokio::test]
async fn the_steps_of_sqlite_are_what_they_were() {
    are_all_in("sqlite", &IN_SQLITE);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    let _store = Sqlite::open(&path).await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let kept = "SELECT printf('%04d_%s %s', version, description, lower(hex(checksum)))
                FROM _sqlx_migrations ORDER BY version";
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&mut connection).await.unwrap();
    assert_eq!(kept, IN_SQLITE);
}

#[tokio::test]
async fn the_steps_of_postgres_are_what_they_were() {
    are_all_in("postgres", &IN_POSTGRES);
    let database = Database::create().await;
    let _store = Postgres::open(database.url.as_str()).await.unwrap();
    let kept = "SELECT to_char(version, 'FM0000') || '_' || description || ' ' || encode(checksum, 'hex')
                FROM _sqlx_migrations ORDER BY version";
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&mut database.connect().await).await.unwrap();
    assert_eq!(kept, IN_POSTGRES);
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grants.db");
    Sqlite::open(&path).await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9001, 'more', TRUE, x'00', 0)";
    connection.execute(later).await.unwrap();
    let refused = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { step: 9001, .. }), "{refused}");
    let known = IN_SQLITE.len();
    assert!(refused.to_string().contains(&format!("the steps up to {known};")), "{refused}");
}

#[tokio::test]
async fn a_database_of_a_later_version_goes_on_until_a_step_breaks_with_this_one() {
    let database = Database::create().await;
    Postgres::open(database.url.as_str()).await.unwrap();
    let mut connection = database.connect().await;
    for (version, description) in [(9001, "more"), (9002, "breaks_everything")] {
        Postgres::open(database.url.as_str()).await.unwrap();
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES ($1, $2, TRUE, '', 0)";
        sqlx::query(later).bind(version).bind(description).execute(&mut connection).await.unwrap();
    }
    let refused = Postgres::open(database.url.as_str()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { step: 9002, .. }), "{refused}");
}
