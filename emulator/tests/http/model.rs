//! Random operations on the server and on the reference model; every answer and every listing is compared.

use std::collections::BTreeMap;

use lakestage_emulator::{Store, StoreOptions, SyncMode};
use proptest::prelude::*;

use crate::client::{Answer, Lake};
use crate::reference::{Condition, Model, Outcome, Path, Who, With};

const LEASE: &str = "11111111-2222-3333-4444-555555555555";
const MODES: [&str; 4] = ["0777", "0700", "0755", "0000"];

#[derive(Clone, Debug)]
enum Operation {
    Create(Path, bool, With),
    Append(Path, usize, Vec<u8>, With),
    Flush(Path, usize, With),
    SetMode(Path, usize, With),
    Acquire(Path, With),
    Release(Path, With),
    Delete(Path, bool, With),
    Rename(Path, Path, With),
    Read(Path, Who),
    List(Path, Who),
}

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..=3)
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![3 => Just(Who::Superuser), 2 => Just(Who::Alice)]
}

fn with() -> impl Strategy<Value = With> {
    let condition = prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::Same),
        1 => Just(Condition::Other),
        1 => Just(Condition::Absent),
    ];
    let lease = prop::bool::weighted(0.15);
    (who(), condition, lease).prop_map(|(who, condition, lease)| With {
        who,
        condition,
        lease,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = prop::collection::vec(any::<u8>(), 1..6);
    prop_oneof![
        4 => (path(), any::<bool>(), with()).prop_map(|(p, d, w)| Operation::Create(p, d, w)),
        3 => (path(), 0..8_usize, bytes, with()).prop_map(|(p, at, b, w)| Operation::Append(p, at, b, w)),
        3 => (path(), 0..12_usize, with()).prop_map(|(p, at, w)| Operation::Flush(p, at, w)),
        2 => (path(), 0..MODES.len(), with()).prop_map(|(p, m, w)| Operation::SetMode(p, m, w)),
        1 => (path(), with()).prop_map(|(p, w)| Operation::Acquire(p, w)),
        1 => (path(), with()).prop_map(|(p, w)| Operation::Release(p, w)),
        2 => (path(), any::<bool>(), with()).prop_map(|(p, r, w)| Operation::Delete(p, r, w)),
        3 => (path(), path(), with()).prop_map(|(from, to, w)| Operation::Rename(from, to, w)),
        1 => (path(), who()).prop_map(|(p, w)| Operation::Read(p, w)),
        1 => (path(), who()).prop_map(|(p, w)| Operation::List(p, w)),
    ]
}

/// The server with what is known of it.
struct Both {
    lake: Lake,
    model: Model,
    /// As the server told them last.
    etags: BTreeMap<Path, String>,
}

impl Both {
    /// Over `folder`, or over a store that keeps nothing.
    fn new(folder: Option<&std::path::Path>) -> Self {
        let store = StoreOptions {
            folder: folder.map(std::path::Path::to_owned),
            sync: SyncMode::Off,
            ..StoreOptions::default()
        };
        let lake = Lake::taking_identities_over(Store::open(store).unwrap());
        let open = [("x-ms-permissions", "0777")];
        lake.dfs("PATCH", "/raw/?action=setAccessControl", &open, b"")
            .expect(200);
        Self {
            lake,
            model: Model::new(),
            etags: BTreeMap::new(),
        }
    }

    /// Sends a request; `conditioned` is the path whose ETag conditions name.
    fn send(
        &self,
        method: &str,
        target: &str,
        with: With,
        conditioned: Option<&Path>,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut headers = more.to_vec();
        if with.who == Who::Alice {
            headers.push(("x-lakestage-identity", "alice"));
        }
        if with.lease {
            headers.push(("x-ms-lease-id", LEASE));
        }
        let known = conditioned.and_then(|path| self.etags.get(path));
        match (conditioned, with.condition) {
            (None, _) | (_, Condition::None) => {}
            (_, Condition::Same) => {
                headers.push(("if-match", known.map_or("\"0x0\"", String::as_str)))
            }
            (_, Condition::Other) => headers.push(("if-match", "\"0x1\"")),
            (_, Condition::Absent) => headers.push(("if-none-match", "*")),
        }
        self.lake.dfs(method, target, &headers, body)
    }

    /// Compares an answer with what the model says, and gives whether it went well.
    fn same(answer: &Answer, expected: Result<u16, Outcome>) -> bool {
        let (status, code) = match expected {
            Ok(status) => (status, ""),
            Err(outcome) => outcome,
        };
        assert_eq!((answer.status, answer.code()), (status, code));
        expected.is_ok()
    }

    /// Notes the new ETag of a path, which no path had before.
    fn changed(&mut self, path: &Path, answer: &Answer) {
        let etag = answer.header("etag").to_owned();
        assert!(etag.starts_with("\"0x"), "{etag}");
        assert!(!self.etags.values().any(|known| *known == etag));
        self.etags.insert(path.clone(), etag);
    }

    /// Directories that a creation made on the way have ETags that nobody was told.
    fn learn(&mut self) {
        for path in self.model.nodes.keys().filter(|path| !path.is_empty()) {
            if !self.etags.contains_key(path) {
                let told = self
                    .lake
                    .dfs("HEAD", &format!("/raw/{}", path.join("/")), &[], b"");
                self.etags
                    .insert(path.clone(), told.expect(200).header("etag").to_owned());
            }
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(path, is_directory, with) => {
                let kind = if *is_directory { "directory" } else { "file" };
                let target = format!("/raw/{}?resource={kind}", path.join("/"));
                let answer = self.send("PUT", &target, *with, Some(path), &[], b"");
                if Self::same(&answer, self.model.create(path, *is_directory, *with)) {
                    self.changed(path, &answer);
                    self.learn();
                }
            }
            Operation::Append(path, at, bytes, with) => {
                let target = format!("/raw/{}?action=append&position={at}", path.join("/"));
                let answer = self.send("PATCH", &target, *with, None, &[], bytes);
                Self::same(&answer, self.model.append(path, *at, bytes, *with));
            }
            Operation::Flush(path, position, with) => {
                let target = format!("/raw/{}?action=flush&position={position}", path.join("/"));
                let answer = self.send("PATCH", &target, *with, Some(path), &[], b"");
                if Self::same(&answer, self.model.flush(path, *position, *with)) {
                    self.changed(path, &answer);
                }
            }
            Operation::SetMode(path, mode, with) => {
                let target = format!("/raw/{}?action=setAccessControl", path.join("/"));
                let mode = MODES[*mode];
                let headers = [("x-ms-permissions", mode)];
                let answer = self.send("PATCH", &target, *with, Some(path), &headers, b"");
                let mode = u16::from_str_radix(mode, 8).unwrap();
                if Self::same(&answer, self.model.set_mode(path, mode, *with)) {
                    self.changed(path, &answer);
                }
            }
            Operation::Acquire(path, with) => {
                let headers = [
                    ("x-ms-lease-action", "acquire"),
                    ("x-ms-lease-duration", "-1"),
                    ("x-ms-proposed-lease-id", LEASE),
                ];
                let target = format!("/raw/{}", path.join("/"));
                let answer = self.send("POST", &target, *with, Some(path), &headers, b"");
                Self::same(&answer, self.model.acquire(path, *with));
            }
            Operation::Release(path, with) => {
                let with = With {
                    lease: true,
                    ..*with
                };
                let headers = [("x-ms-lease-action", "release")];
                let target = format!("/raw/{}", path.join("/"));
                let answer = self.send("POST", &target, with, Some(path), &headers, b"");
                Self::same(&answer, self.model.release(path, with));
            }
            Operation::Delete(path, recursive, with) => {
                let target = format!("/raw/{}?recursive={recursive}", path.join("/"));
                let answer = self.send("DELETE", &target, *with, Some(path), &[], b"");
                if Self::same(&answer, self.model.delete(path, *recursive, *with)) {
                    self.etags.retain(|other, _| !other.starts_with(path));
                }
            }
            Operation::Rename(from, to, with) => {
                let source = format!("/raw/{}", from.join("/"));
                let target = format!("/raw/{}?mode=legacy", to.join("/"));
                let headers = [("x-ms-rename-source", source.as_str())];
                let answer = self.send("PUT", &target, *with, Some(to), &headers, b"");
                if Self::same(&answer, self.model.rename(from, to, *with)) {
                    self.etags.remove(to);
                    let known = std::mem::take(&mut self.etags).into_iter();
                    self.etags = known
                        .map(|(path, etag)| match path.starts_with(from) {
                            true => ([&to[..], &path[from.len()..]].concat(), etag),
                            false => (path, etag),
                        })
                        .collect();
                }
            }
            Operation::Read(path, who) => self.read(path, *who),
            Operation::List(directory, who) => self.list(directory, *who),
        }
    }

    fn plain(who: Who) -> With {
        With {
            who,
            condition: Condition::None,
            lease: false,
        }
    }

    fn read(&self, path: &Path, who: Who) {
        let target = format!("/raw/{}", path.join("/"));
        let answer = self.send("GET", &target, Self::plain(who), None, &[], b"");
        match self.model.read(path, who) {
            Ok(content) => assert_eq!((answer.status, &*answer.body), (200, content)),
            Err(outcome) => {
                Self::same(&answer, Err(outcome));
            }
        }
    }

    /// Lists in pages of two.
    fn list(&self, directory: &Path, who: Who) {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let target = format!(
                "/raw?resource=filesystem&recursive=true&maxResults=2&directory={}&continuation={token}",
                directory.join("/")
            );
            let answer = self.send("GET", &target, Self::plain(who), None, &[], b"");
            let expected = self.model.list(directory, who);
            if !Self::same(
                &answer,
                expected.as_ref().map(|_| 200).map_err(|outcome| *outcome),
            ) {
                return;
            }
            let page = answer.json();
            let names = page["paths"].as_array().unwrap().iter();
            found.extend(names.map(|path| path["name"].as_str().unwrap().to_owned()));
            answer.header("x-ms-continuation").clone_into(&mut token);
            if token.is_empty() {
                assert_eq!(found, expected.unwrap());
                return;
            }
        }
    }

    /// Everything that is there, with its ETag, its content and its permissions.
    fn compare(&self) {
        self.list(&Path::new(), Who::Superuser);
        for (path, node) in self.model.nodes.iter().filter(|(path, _)| !path.is_empty()) {
            let told = self
                .lake
                .dfs("HEAD", &format!("/raw/{}", path.join("/")), &[], b"")
                .expect(200);
            assert_eq!(told.header("etag"), self.etags[path], "{path:?}");
            let lease = if node.is_leased {
                "leased"
            } else {
                "available"
            };
            assert_eq!(told.header("x-ms-lease-state"), lease, "{path:?}");
            let owner = if node.owner == Who::Alice {
                "alice"
            } else {
                "$superuser"
            };
            assert_eq!(told.header("x-ms-owner"), owner, "{path:?}");
            if !node.is_directory {
                self.read(path, Who::Superuser);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_are_answered_as_the_reference_model_says(
        operations in prop::collection::vec(operation(), 1..80),
        on_disk in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut both = Both::new(on_disk.then(|| folder.path()));
        for operation in &operations {
            both.apply(operation);
        }
        both.compare();
    }
}
