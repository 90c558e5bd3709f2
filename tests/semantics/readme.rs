//! What README.md says can be typed, typed.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The lines of the first session, as they stand.
fn first_session(readme: &str) -> String {
    let (_, session) = readme.split_once("## A first session\n").unwrap();
    let (session, _) = session.split_once("\n## ").unwrap();
    let lines = session.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_first_session_of_the_readme_works_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let session = first_session(&fs::read_to_string(root.join("README.md")).unwrap());
    let data = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_lakestage"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    // The command is built already, and serving goes on until somebody ends it.
    let passed_over = ["cargo install", "lakestage serve"];
    let script: String = session
        .split_inclusive('\n')
        .filter(|line| !passed_over.iter().any(|start| line.starts_with(start)))
        .collect();
    assert!(script.lines().count() >= 7, "{script}");
    let done = Command::new("sh")
        .args(["-eu", "-c", &script])
        .current_dir(root)
        .env("PATH", path)
        .env("LAKESTAGE_DATA", data.path().join("data"))
        .output()
        .unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{out}{error}");
    assert_eq!(error, "", "{out}");
    assert!(out.contains("contact: 1 row in 1 commit"), "{out}");
    assert!(out.contains("\"name\": \"contact\""), "{out}");
}
