//! Compiles the strongDM messages, without needing `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "proto/accounts.proto",
        "proto/resources.proto",
        "proto/account_grants.proto",
        "proto/account_grants_history.proto",
        "proto/roles.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
