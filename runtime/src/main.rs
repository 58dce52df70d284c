//! The binary: parse, then run.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The first to install one wins; nobody else does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    impresario::cli::run(std::env::args_os())
}
