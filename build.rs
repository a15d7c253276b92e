//! KEDA's .proto → Rust, and the descriptors that reflection serves.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file("externalscaler.proto")?;
    // tonic's builder writes no descriptors when it is handed them.
    fs::write(
        out.join("externalscaler.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
