//! SEMANTICS.md names, behind each promise, the tests that prove it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, into);
        } else if name.ends_with(".rs") || name.ends_with(".py") {
            into.push(path);
        }
    }
}

/// The names of all tests of the project.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "engine", "emulator", "fixtures", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let function = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = function.strip_prefix("fn ").filter(|_| is_test) {
                names.insert(rest.split('(').next().unwrap().to_owned());
            } else if let Some(rest) = line.strip_prefix("def test_") {
                names.insert(format!("test_{}", rest.split('(').next().unwrap()));
            }
            is_test =
                ["#[test]", "#[tokio::test]"].contains(&line) || (is_test && line.starts_with('#'));
        }
    }
    names
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let semantics = fs::read_to_string(root.join("SEMANTICS.md")).unwrap();
    let tests = tests();
    let mut promises = 0;
    for promise in semantics.split("\n- ").skip(1) {
        let promise = promise.split("\n\n").next().unwrap();
        let Some((_, proof)) = promise.rsplit_once("Proof:") else {
            panic!("no test is named for: {promise}");
        };
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named for: {promise}");
        for name in named {
            assert!(
                tests.contains(name),
                "{name} is no test; it is named for: {promise}"
            );
        }
        promises += 1;
    }
    assert!(promises > 40, "only {promises} promises were found");
}
