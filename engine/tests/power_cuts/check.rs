//! What must be there after a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lakestage_engine::{Depth, Environment, Lake, Result as EngineResult, verify_folder};

use crate::writer::{self, CONSUMER, FILESYSTEM, THREADS, changes, created, last_number};

/// A commit: the thread, and its number there.
type Commit = (u64, u64);

/// What the writers said.
#[derive(Default)]
pub struct Known {
    /// The versions of each commit that was acknowledged.
    acknowledged: BTreeMap<Commit, (u64, u64)>,
    published: u64,
    consumed: u64,
    last_version: u64,
}

impl Known {
    /// Takes a line of the writer; tells whether it acknowledges a commit.
    pub fn hear(&mut self, line: &str) -> bool {
        // The test harness prints before it on the first line.
        let words: Vec<&str> = line.split(' ').collect();
        let place = |word| words.iter().position(|w| *w == word);
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        if let Some(at) = place("acknowledged").filter(|at| words.len() == at + 5) {
            let versions = (number(at + 3), number(at + 4));
            let commit = (number(at + 1), number(at + 2));
            assert!(self.acknowledged.insert(commit, versions).is_none());
            return true;
        }
        if let Some(at) = place("published").filter(|at| words.len() == at + 2) {
            self.published = number(at + 1);
        }
        if let Some(at) = place("consumed").filter(|at| words.len() == at + 2) {
            self.consumed = number(at + 1);
        }
        false
    }

    pub fn commits(&self) -> usize {
        self.acknowledged.len()
    }

    pub fn summary(&self) -> String {
        format!(
            "{} commits acknowledged, published up to {}, last version {}",
            self.commits(),
            self.published,
            self.last_version
        )
    }

    /// Checks everything; the folder is opened and closed again.
    pub fn check(&mut self, folder: &Path) -> Result<(), String> {
        check_lake(folder)?;
        let environment = writer::open(folder).map_err(|e| format!("opening: {e}"))?;
        self.check_commits(&environment)?;
        self.check_consumer(&environment)?;
        drop(environment);
        let lakes = |address: &str, _: &str| -> EngineResult<Box<dyn Lake>> {
            Ok(Box::new(writer::lake_at(folder, address)))
        };
        let report = verify_folder(&folder.join("environment"), Depth::Full, &lakes)
            .map_err(|e| format!("verify: {e}"))?;
        match report.findings.is_empty() {
            true => Ok(()),
            false => Err(format!("verify found {:?}", report.findings)),
        }
    }

    fn check_commits(&mut self, environment: &Environment) -> Result<(), String> {
        let mut found: BTreeMap<u64, Commit> = BTreeMap::new();
        read_changes(environment, "counter", &mut found)?;
        read_changes(environment, "task", &mut found)?;
        let last = environment
            .status()
            .map_err(|e| e.to_string())?
            .last_version;
        if found.len() as u64 != last || found.keys().next_back().is_some_and(|v| *v != last) {
            return Err(format!("{} changes, last version {last}", found.len()));
        }
        if last < self.last_version {
            return Err(format!("versions went back to {last}"));
        }
        self.last_version = last;
        let mut versions: BTreeMap<Commit, (u64, u64)> = BTreeMap::new();
        for (version, commit) in found {
            let (_, last) = versions.entry(commit).or_insert((version, version));
            *last = version;
        }
        for (commit, (first, last)) in &versions {
            if last - first + 1 != changes(commit.1) {
                return Err(format!(
                    "commit {commit:?} has the versions {first} to {last}"
                ));
            }
        }
        for (commit, acknowledged) in &self.acknowledged {
            match versions.get(commit) {
                Some(found) if found == acknowledged => {}
                other => {
                    return Err(format!(
                        "commit {commit:?} was acknowledged as {acknowledged:?} and is {other:?}"
                    ));
                }
            }
        }
        for thread in 1..=THREADS {
            let counter = last_number(environment, thread).map_err(|e| e.to_string())?;
            let commits = versions.keys().filter(|(t, _)| *t == thread).count() as u64;
            if counter != commits {
                return Err(format!(
                    "thread {thread} has {commits} commits, and its counter says {counter}"
                ));
            }
        }
        Ok(())
    }

    fn check_consumer(&self, environment: &Environment) -> Result<(), String> {
        let consumer = environment.consumer(CONSUMER).map_err(|e| e.to_string())?;
        match consumer.version >= self.consumed {
            true => Ok(()),
            false => Err(format!(
                "the consumer went back from {} to {}",
                self.consumed, consumer.version
            )),
        }
    }
}

/// Which commit each change is of.
fn read_changes(
    environment: &Environment,
    table: &str,
    found: &mut BTreeMap<u64, Commit>,
) -> Result<(), String> {
    let told = |e: lakestage_engine::Error| format!("reading {table}: {e}");
    let mut changes = environment.changes(table, None).map_err(told)?;
    let mut deleted = Vec::new();
    while let Some(batch) = changes.next().map_err(told)? {
        for change in batch.rows() {
            let change = change.map_err(told)?;
            let Some(row) = change.row else {
                deleted.push(change.version);
                continue;
            };
            let cell = |name| row.cell(name).unwrap().parse::<u64>().unwrap();
            let commit = (cell("thread"), cell("number"));
            if found.insert(change.version, commit).is_some() {
                return Err(format!("version {} is there twice", change.version));
            }
            let place = change.id.as_u64_pair().1 >> 48;
            if table == "task" && place >= created(commit.1) {
                return Err(format!("commit {commit:?} has a row of place {place}"));
            }
        }
    }
    // A delete stands behind the rows that its commit creates.
    for version in deleted {
        let commit = found.get(&(version - 1)).copied();
        let commit = commit.ok_or_else(|| format!("a delete alone at version {version}"))?;
        found.insert(version, commit);
    }
    Ok(())
}

/// As a consumer sees it: whatever `model.json` names is there whole.
fn check_lake(folder: &Path) -> Result<(), String> {
    let root = folder.join("lake").join(FILESYSTEM);
    let Ok(model) = fs::read(root.join("model.json")) else {
        return Ok(());
    };
    let model: serde_json::Value =
        serde_json::from_slice(&model).map_err(|e| format!("model.json: {e}"))?;
    for entity in model["entities"].as_array().unwrap() {
        let columns = entity["attributes"].as_array().unwrap().len();
        for partition in entity["partitions"].as_array().unwrap() {
            let location = partition["location"].as_str().unwrap();
            let (_, path) = location.split_once(&format!("/{FILESYSTEM}/")).unwrap();
            let bytes = fs::read(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&bytes[..]);
            let is_whole = bytes.ends_with(b"\n")
                && reader
                    .records()
                    .all(|r| r.is_ok_and(|r| r.len() == columns));
            if !is_whole {
                return Err(format!("model.json names {path}, which is not whole"));
            }
        }
    }
    Ok(())
}
