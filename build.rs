//! KEDA's .proto → Rust, and the descriptors that reflection serves.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rustc-env=SLIPWAY_BUILD={}", build());
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
    // tonic's own codec keeps two buffers of 8 KiB for each call and open stream; the builder cannot be told of another.
    let generated = out.join("externalscaler.rs");
    let code = fs::read_to_string(&generated)?;
    let ours = code.replace(
        "tonic_prost::ProstCodec::",
        "crate::externalscaler::codec::Codec::",
    );
    if ours == code {
        return Err("the generated code names no codec any more".into());
    }
    fs::write(generated, ours)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]
/// ` (COMMIT)`, for `--version` of what people are given. Empty for other builds, which would be made anew for each
/// commit, and where there is no repository.
fn build() -> String {
    if env::var("PROFILE").as_deref() != Ok("release") {
        return String::new();
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12"])
        .map_or_else(String::new, |commit| format!(" ({commit})"))
}
