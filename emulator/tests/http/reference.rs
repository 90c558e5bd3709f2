//! The namespace as plainly as it can be said: a map from paths to nodes, and each operation a few checks in order.
//!
//! It knows nothing of the server. Two principals do: the superuser, and Alice, who is in no group.

use std::collections::BTreeMap;

pub type Path = Vec<&'static str>;
/// Status and error code; the code is empty when it went well.
pub type Outcome = (u16, &'static str);

const READ: u16 = 4;
const WRITE: u16 = 2;
const EXECUTE: u16 = 1;
const DENIED: Outcome = (403, "AuthorizationPermissionMismatch");
const NOT_MET: Outcome = (412, "ConditionNotMet");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Superuser,
    Alice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// `If-Match` with the ETag that is there.
    Same,
    /// `If-Match` with another.
    Other,
    /// `If-None-Match: *`.
    Absent,
}

/// What goes with every operation that changes something.
#[derive(Clone, Copy, Debug)]
pub struct With {
    pub who: Who,
    pub condition: Condition,
    /// Whether the lease's id is given. There is one id for all leases.
    pub lease: bool,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub is_directory: bool,
    pub content: Vec<u8>,
    /// Appended and not flushed, in the order of arrival.
    pub waiting: Vec<(usize, Vec<u8>)>,
    pub is_leased: bool,
    pub owner: Who,
    pub mode: u16,
}

#[derive(Debug)]
pub struct Model {
    pub nodes: BTreeMap<Path, Node>,
}

fn new_node(is_directory: bool, owner: Who) -> Node {
    Node {
        is_directory,
        content: Vec::new(),
        waiting: Vec::new(),
        is_leased: false,
        owner,
        // 0777 and 0666 behind the umask 0027.
        mode: if is_directory { 0o750 } else { 0o640 },
    }
}

fn may(node: &Node, who: Who, bits: u16) -> bool {
    let granted = match (who, node.owner) {
        (Who::Superuser, _) => 0o7,
        (Who::Alice, Who::Alice) => node.mode >> 6,
        (Who::Alice, Who::Superuser) => node.mode,
    };
    granted & bits == bits
}

fn check(is_fine: bool, otherwise: Outcome) -> Result<(), Outcome> {
    if is_fine { Ok(()) } else { Err(otherwise) }
}

fn check_lease(node: &Node, with: With) -> Result<(), Outcome> {
    check(!node.is_leased || with.lease, (412, "LeaseIdMissing"))?;
    check(node.is_leased || !with.lease, (412, "LeaseNotPresent"))
}

/// `exists` is the answer to `If-None-Match: *` where something is there.
fn check_condition(is_there: bool, with: With, exists: Outcome) -> Result<(), Outcome> {
    match (with.condition, is_there) {
        (Condition::Other, _) | (Condition::Same, false) => Err(NOT_MET),
        (Condition::Absent, true) => Err(exists),
        _ => Ok(()),
    }
}

impl Model {
    pub fn new() -> Self {
        let mut root = new_node(true, Who::Superuser);
        root.mode = 0o777;
        Self {
            nodes: BTreeMap::from([(Path::new(), root)]),
        }
    }

    /// The directories on the way to a path that are there, from the root on.
    fn way(&self, path: &Path) -> Vec<&Node> {
        let prefixes = (0..path.len()).map(|length| path[..length].to_vec());
        prefixes
            .map_while(|prefix| self.nodes.get(&prefix).filter(|node| node.is_directory))
            .collect()
    }

    fn check_way(&self, path: &Path, who: Who) -> Result<(), Outcome> {
        check(
            self.way(path).iter().all(|node| may(node, who, EXECUTE)),
            DENIED,
        )
    }

    fn check_parent(&self, path: &Path, who: Who) -> Result<(), Outcome> {
        self.check_way(path, who)?;
        let parent = self.way(path).pop().unwrap();
        check(may(parent, who, WRITE | EXECUTE), DENIED)
    }

    fn find(&self, path: &Path, who: Who, missing: &'static str) -> Result<&Node, Outcome> {
        self.check_way(path, who)?;
        self.nodes.get(path).ok_or((404, missing))
    }

    fn is_empty(&self, path: &Path) -> bool {
        !self
            .nodes
            .keys()
            .any(|other| other.len() > path.len() && other.starts_with(path))
    }

    pub fn create(&mut self, path: &Path, is_directory: bool, with: With) -> Result<u16, Outcome> {
        let exists = (409, "PathAlreadyExists");
        if let Some(node) = self.nodes.get(path) {
            self.check_way(path, with.who)?;
            check(may(node, with.who, WRITE), DENIED)?;
            check_condition(true, with, exists)?;
            check(node.is_directory == is_directory, (409, "PathConflict"))?;
            if with.lease {
                check_lease(node, with)?;
            }
        } else {
            self.check_parent(path, with.who)?;
            check_condition(false, with, exists)?;
            for length in 1..path.len() {
                let above = path[..length].to_vec();
                let node = self.nodes.entry(above).or_insert(new_node(true, with.who));
                // Nothing of what was made on the way stays when a file is in it, but then it is the first of all.
                check(node.is_directory, (409, "PathConflict"))?;
            }
        }
        let mut fresh = new_node(is_directory, with.who);
        if let Some(node) = self.nodes.get(path) {
            fresh.is_leased = node.is_leased && with.lease;
            if with.who != Who::Superuser {
                fresh.owner = node.owner;
            }
        }
        self.nodes.insert(path.clone(), fresh);
        Ok(201)
    }

    pub fn append(
        &mut self,
        path: &Path,
        at: usize,
        bytes: &[u8],
        with: With,
    ) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        check(may(node, with.who, WRITE), DENIED)?;
        check(!node.is_directory, (409, "ResourceTypeMismatch"))?;
        check_lease(node, with)?;
        let node = self.nodes.get_mut(path).unwrap();
        node.waiting.push((at, bytes.to_vec()));
        Ok(202)
    }

    pub fn flush(&mut self, path: &Path, position: usize, with: With) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        check(may(node, with.who, WRITE), DENIED)?;
        check(!node.is_directory, (409, "ResourceTypeMismatch"))?;
        check_condition(true, with, (304, "ConditionNotMet"))?;
        check_lease(node, with)?;
        let mut painted: Vec<Option<u8>> = node.content.iter().copied().map(Some).collect();
        for (at, bytes) in &node.waiting {
            painted.resize(painted.len().max(at + bytes.len()), None);
            for (offset, byte) in bytes.iter().enumerate() {
                painted[at + offset] = Some(*byte);
            }
        }
        painted.resize(painted.len().max(position), None);
        let content: Option<Vec<u8>> = painted[..position].iter().copied().collect();
        let content = content.ok_or((400, "InvalidFlushPosition"))?;
        let node = self.nodes.get_mut(path).unwrap();
        node.content = content;
        node.waiting.clear();
        Ok(200)
    }

    pub fn set_mode(&mut self, path: &Path, mode: u16, with: With) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        check_condition(true, with, NOT_MET)?;
        check_lease(node, with)?;
        check(with.who == Who::Superuser || node.owner == with.who, DENIED)?;
        self.nodes.get_mut(path).unwrap().mode = mode;
        Ok(200)
    }

    pub fn acquire(&mut self, path: &Path, with: With) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        check(may(node, with.who, WRITE), DENIED)?;
        check_condition(true, with, NOT_MET)?;
        self.nodes.get_mut(path).unwrap().is_leased = true;
        Ok(201)
    }

    pub fn release(&mut self, path: &Path, with: With) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        check(may(node, with.who, WRITE), DENIED)?;
        check_condition(true, with, NOT_MET)?;
        check(node.is_leased, (409, "LeaseIdMismatchWithLeaseOperation"))?;
        self.nodes.get_mut(path).unwrap().is_leased = false;
        Ok(200)
    }

    pub fn delete(&mut self, path: &Path, recursive: bool, with: With) -> Result<u16, Outcome> {
        let node = self.find(path, with.who, "PathNotFound")?;
        self.check_parent(path, with.who)?;
        check_condition(true, with, NOT_MET)?;
        check_lease(node, with)?;
        let below = || {
            self.nodes
                .iter()
                .filter(|(other, _)| other.starts_with(path))
        };
        if node.is_directory && recursive {
            let all = READ | WRITE | EXECUTE;
            let mut directories = below().filter(|(_, node)| node.is_directory);
            check(
                directories.all(|(_, node)| may(node, with.who, all)),
                DENIED,
            )?;
        }
        check(recursive || self.is_empty(path), (409, "DirectoryNotEmpty"))?;
        self.nodes.retain(|other, _| !other.starts_with(path));
        Ok(200)
    }

    pub fn rename(&mut self, from: &Path, to: &Path, with: With) -> Result<u16, Outcome> {
        let source = self.find(from, with.who, "SourcePathNotFound")?;
        check(!to.starts_with(from), (409, "InvalidRenameSourcePath"))?;
        self.check_parent(from, with.who)?;
        self.check_parent(to, with.who)?;
        check(!source.is_leased, (412, "LeaseIdMissing"))?;
        let parent = self.nodes.get(&to[..to.len() - 1]);
        let has_parent = parent.is_some_and(|parent| parent.is_directory);
        check(has_parent, (404, "RenameDestinationParentPathNotFound"))?;
        let exists = (409, "PathAlreadyExists");
        check_condition(self.nodes.contains_key(to), with, exists)?;
        if let Some(target) = self.nodes.get(to) {
            let same = target.is_directory == source.is_directory;
            check(same, (409, "InvalidSourceOrDestinationResourceType"))?;
            check_lease(target, with)?;
            check(self.is_empty(to), exists)?;
        }
        self.nodes.remove(to);
        let moved: Vec<Path> = self
            .nodes
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for old in moved {
            let node = self.nodes.remove(&old).unwrap();
            let new = [&to[..], &old[from.len()..]].concat();
            self.nodes.insert(new, node);
        }
        Ok(201)
    }

    pub fn read(&self, path: &Path, who: Who) -> Result<&[u8], Outcome> {
        let node = self.find(path, who, "PathNotFound")?;
        check(may(node, who, READ), DENIED)?;
        Ok(&node.content)
    }

    /// Paths below a directory; one that may not be read is not gone into. The list of a file is the file.
    pub fn list(&self, directory: &Path, who: Who) -> Result<Vec<String>, Outcome> {
        self.check_way(directory, who)?;
        let node = self.nodes.get(directory).ok_or((404, "PathNotFound"))?;
        if !node.is_directory {
            return Ok(vec![directory.join("/")]);
        }
        check(may(node, who, READ | EXECUTE), DENIED)?;
        let shown = |path: &&Path| {
            path.len() > directory.len()
                && path.starts_with(directory)
                && (directory.len()..path.len())
                    .all(|length| may(&self.nodes[&path[..length]], who, READ | EXECUTE))
        };
        Ok(self
            .nodes
            .keys()
            .filter(shown)
            .map(|path| path.join("/"))
            .collect())
    }
}
