//! Turns the strongDM messages in use into Rust types, without needing `protoc`.

use std::error::Error;

const PROTO: &str = "src/strongdm/proto/strongdm.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let files = protox::compile([PROTO], ["src/strongdm/proto"])?;
    // Messages only: one generic unary call serves every method (src/strongdm/call.rs).
    tonic_prost_build::configure().build_client(false).build_server(false).compile_fds(files)?;
    Ok(())
}
