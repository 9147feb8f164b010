//! The build context: a Dockerfile and the program that it copies.

use std::process::Command;
use system_tests::repository::root;
use system_tests::tarball::Tarball;

/// The context as a tar archive, with the program built for this host.
///
/// # Errors
/// A sentence saying what is missing.
pub(crate) fn context() -> Result<Vec<u8>, String> {
    let folder = root().join("tests/payload");
    let dockerfile = folder.join("Dockerfile");
    let dockerfile =
        std::fs::read(&dockerfile).map_err(|error| format!("{}: {error}", dockerfile.display()))?;
    let program = std::env::temp_dir().join(format!("cb-demo-hello-{}", std::process::id()));
    // In an empty image there is no dynamic linker and no shared library.
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "-C",
            "opt-level=s",
            "-C",
            "panic=abort",
            "-C",
            "strip=symbols",
        ])
        .args(["-C", "target-feature=+crt-static", "-o"])
        .arg(&program)
        .arg(folder.join("hello.rs"))
        .output()
        .map_err(|error| format!("rustc did not start: {error}"))?;
    if !built.status.success() {
        return Err(format!(
            "rustc could not build a static program:\n{}",
            String::from_utf8_lossy(&built.stderr)
        ));
    }
    let content = std::fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    // It has been read; what stays in the temporary folder would be no harm.
    let _ = std::fs::remove_file(&program);
    Ok(Tarball::new()
        .file("Dockerfile", dockerfile)
        .program("hello", content)
        .finish())
}
