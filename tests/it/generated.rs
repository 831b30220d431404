//! The Rust code that is committed for strongDM's messages is the one that their `.proto` files give.
//!
//! `BLESS=1 cargo test --test it generated` writes it anew.

use std::{fs, path::Path};

use tonic_prost_build::Builder;

/// Compares `generated`, or writes it, with what `protos` in `sources` give; both lie in the repository.
fn is_fresh(sources: &str, protos: &[&str], generated: &str, builder: Builder) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(protos, [root.join(sources)]).expect("sound messages");
    let folder = tempfile::tempdir().expect("a folder");
    builder.out_dir(folder.path()).compile_fds(descriptors).expect("messages that Rust can express");
    let fresh = fs::read_to_string(folder.path().join("v1.rs")).expect("one file for the one package");
    let generated = root.join(generated);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&generated, &fresh).expect("a writable tree");
    }
    let committed = fs::read_to_string(&generated).expect("it is committed");
    assert!(
        committed == fresh,
        "{} is not what the files in {sources} give; `BLESS=1 cargo test --test it generated` writes it anew",
        generated.display(),
    );
}

#[test]
fn the_generated_messages_of_the_service_are_fresh() {
    // Messages only: one generic unary call serves every method.
    let builder = tonic_prost_build::configure().build_client(false).build_server(false);
    is_fresh("src/strongdm/proto", &["strongdm.proto"], "src/strongdm/gen/v1.rs", builder);
}

#[test]
fn the_generated_services_of_the_sandbox_are_fresh() {
    let protos = [
        "accounts.proto",
        "resources.proto",
        "account_grants.proto",
        "account_grants_history.proto",
        "roles.proto",
    ];
    let builder = tonic_prost_build::configure();
    is_fresh("sandbox/proto", &protos, "sandbox/src/strongdm/gen/v1.rs", builder);
}
