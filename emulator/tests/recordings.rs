//! Sessions that were recorded with the real service, replayed here and compared.
//!
//! The recordings are not part of the project. `LAKESTAGE_RECORDINGS` names the folder that has them, with a folder
//! `dfs` of vcrpy files in it, and `LAKESTAGE_REPLAY` the program that replays one; without them there is nothing to
//! compare with, and the test says so. `LAKESTAGE_PYTHON` names the interpreter, which needs PyYAML.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use lakestage_emulator::{DEFAULT_ACCOUNT_NAME, Emulator, ServerOptions, StoreOptions};
use serde_json::Value;

const SALT: &str = "lks";
const NAME_MAX: usize = 63;

/// A request of a recording: method, filesystem, query.
struct Recorded {
    method: String,
    filesystem: String,
    query: String,
    /// What the service answered.
    status: u16,
}

fn requests(text: &str) -> Vec<Recorded> {
    let mut method = String::new();
    let mut found: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        if let Some(code) = line.trim_start().strip_prefix("code: ")
            && let Some(answered) = found.last_mut()
        {
            answered.status = code.parse().unwrap_or(0);
        }
        if let Some(verb) = line.strip_prefix("    method: ") {
            verb.clone_into(&mut method);
        }
        let Some(uri) = line.strip_prefix("    uri: ") else {
            continue;
        };
        let rest = uri
            .trim_matches(['\'', '"'])
            .split_once("://")
            .map_or("", |(_, rest)| rest);
        let (_, path) = rest.split_once('/').unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        found.push(Recorded {
            method: method.clone(),
            filesystem: path.split('/').next().unwrap_or("").to_owned(),
            query: query.to_owned(),
            status: 0,
        });
    }
    found
}

/// Sessions begin with a filesystem that was made before the recording, unless their first request for it says that
/// it is not there. One that cannot be made because it is there was as well.
fn filesystems_there_before(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for file in folder.read_dir().unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut first: BTreeMap<String, Recorded> = BTreeMap::new();
        for request in requests(&text) {
            first.entry(request.filesystem.clone()).or_insert(request);
        }
        for (name, request) in first {
            let whole = ["restype=container", "resource=filesystem"]
                .iter()
                .any(|parameter| request.query.contains(parameter));
            let is_found = whole && request.method == "PUT" && request.status == 409;
            let needs_it = !whole
                || is_found
                || (request.status != 404)
                    && !["PUT", "HEAD", "DELETE"].contains(&request.method.as_str());
            if !name.is_empty() && needs_it {
                let kept: String = name.chars().take(NAME_MAX - SALT.len()).collect();
                names.push(format!("{kept}{SALT}"));
            }
        }
    }
    names
}

/// The name of the account that requests of a session went to.
fn account_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("    uri: https://")?;
    rest.split_once('.').map(|(account, _)| account)
}

/// Copies the sessions, with the name of the recorded account mended where it was blotted out in the address of a
/// request and not in the address of what it copies.
fn mended(folder: &Path) -> tempfile::TempDir {
    let copies = tempfile::tempdir().unwrap();
    for file in folder.read_dir().unwrap() {
        let path = file.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        if let Some(account) = account_of(&text).map(str::to_owned) {
            let parts: Vec<&str> = text.split("- https://").collect();
            let parts: Vec<String> = parts
                .iter()
                .enumerate()
                .map(
                    |(place, part)| match part.split_once(".blob.core.windows.net/") {
                        Some((_, rest)) if place > 0 => {
                            format!("{account}.blob.core.windows.net/{rest}")
                        }
                        _ => (*part).to_owned(),
                    },
                )
                .collect();
            text = parts.join("- https://");
        }
        std::fs::write(copies.path().join(path.file_name().unwrap()), text).unwrap();
    }
    copies
}

/// Whether a recorded header is one that can be compared: recordings of the asynchronous client have their headers as
/// pairs, which the comparison reads as one odd name.
fn is_name(header: &Value) -> bool {
    header.as_str().is_some_and(|name| !name.starts_with('['))
}

/// How many percent of the steps pass `check`.
fn share(steps: &[&Value], check: impl Fn(&Value) -> bool) -> f64 {
    let good = steps.iter().filter(|step| check(step)).count();
    100.0 * good as f64 / steps.len().max(1) as f64
}

fn replayed(kind: &str, is_flat: bool) -> Option<Vec<Value>> {
    let (Some(recordings), Some(replay)) = (
        env::var_os("LAKESTAGE_RECORDINGS"),
        env::var_os("LAKESTAGE_REPLAY"),
    ) else {
        eprintln!("skipped: LAKESTAGE_RECORDINGS and LAKESTAGE_REPLAY do not say where they are");
        return None;
    };
    let folder = PathBuf::from(recordings).join(kind);
    let mut store = StoreOptions::default();
    for account in &mut store.accounts {
        account.soft_delete_days = (!is_flat).then_some(7);
        account.flat = is_flat;
    }
    let server = ServerOptions {
        blob_port: 0,
        dfs_port: 0,
        ..ServerOptions::default()
    };
    let emulator = Emulator::start_with(store, server).unwrap();
    for name in filesystems_there_before(&folder) {
        // Some names are not ones that a filesystem can have: the session is about that.
        let _ = emulator
            .store()
            .create_file_system(DEFAULT_ACCOUNT_NAME, &name);
    }
    let copies = mended(&folder);
    let out = tempfile::NamedTempFile::new().unwrap();
    let python = env::var_os("LAKESTAGE_PYTHON").unwrap_or_else(|| "python3".into());
    let status = Command::new(python)
        .arg(replay)
        .arg(copies.path())
        .arg(out.path())
        .args([
            "--salt",
            SALT,
            "--ep",
            &emulator.blob_url(),
            "--dfs-ep",
            &emulator.dfs_url(),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read(out.path()).unwrap();
    if let Some(folder) = env::var_os("LAKESTAGE_REPLAY_REPORTS") {
        std::fs::write(PathBuf::from(folder).join(format!("{kind}.json")), &text).unwrap();
    }
    let sessions: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let steps = sessions
        .iter()
        .filter_map(|session| session["steps"].as_array());
    Some(steps.flatten().cloned().collect())
}

/// How many percent have the service's status and code, and of those its header names, values and bodies.
fn compared(kind: &str, is_flat: bool) -> Option<[f64; 4]> {
    let steps = replayed(kind, is_flat)?;
    let passes = |name: &'static str| move |step: &Value| step[name] == true;
    let all: Vec<&Value> = steps.iter().collect();
    let answered: Vec<&Value> = steps.iter().filter(|step| step["status"] == true).collect();
    let status = share(&all, |step| step["status"] == true && step["code"] == true);
    let names = share(&answered, |step| {
        let missing = step["missing"].as_array();
        missing.is_none_or(|missing| !missing.iter().any(is_name))
    });
    let (values, bodies) = (
        share(&answered, passes("vals")),
        share(&answered, passes("body")),
    );
    eprintln!(
        "{kind}: status and code {status:.1}, names {names:.1}, values {values:.1}, bodies {bodies:.1}"
    );
    Some([status, names, values, bodies])
}

#[test]
fn recorded_sessions_of_the_dfs_endpoint_get_the_services_answers() {
    if let Some([status, names, values, bodies]) = compared("dfs", false) {
        assert!(status >= 98.1 && names >= 99.0 && values >= 99.0 && bodies >= 98.5);
    }
}

#[test]
fn recorded_sessions_of_a_flat_account_get_the_services_answers() {
    if let Some([status, names, values, bodies]) = compared("blob", true) {
        assert!(status >= 94.8 && names >= 99.0 && values >= 99.0 && bodies >= 99.0);
    }
}
