//! What a request needs: of a shared access signature letters, of a role actions.
//!
//! The letters are those of the service's tables in "Create an account SAS" and "Create a service SAS", the actions
//! those that its operations name under "Permissions".

use http::Method;

use crate::protocol::request::{Face, Request};

/// What roles grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    ReadService,
    WriteService,
    DelegateKeys,
    ReadContainers,
    WriteContainers,
    DeleteContainers,
    ReadPolicies,
    WritePolicies,
    ReadBlobs,
    WriteBlobs,
    DeleteBlobs,
    MoveBlobs,
    /// Permissions, access control lists, owners and groups.
    OwnBlobs,
    ReadTags,
    WriteTags,
}

impl Action {
    /// Its name, behind `Microsoft.Storage/storageAccounts/blobServices/`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadService => "read",
            Self::WriteService => "write",
            Self::DelegateKeys => "generateUserDelegationKey/action",
            Self::ReadContainers => "containers/read",
            Self::WriteContainers => "containers/write",
            Self::DeleteContainers => "containers/delete",
            Self::ReadPolicies => "containers/getAcl/action",
            Self::WritePolicies => "containers/setAcl/action",
            Self::ReadBlobs => "containers/blobs/read",
            Self::WriteBlobs => "containers/blobs/write",
            Self::DeleteBlobs => "containers/blobs/delete",
            Self::MoveBlobs => "containers/blobs/move/action",
            Self::OwnBlobs => "containers/blobs/manageOwnership/action",
            Self::ReadTags => "containers/blobs/tags/read",
            Self::WriteTags => "containers/blobs/tags/write",
        }
    }
}

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// The resource type of an account's signature: `s`, `c` or `o`.
    pub resource: char,
    /// One letter of each is needed.
    pub letters: Vec<&'static str>,
    /// Whether only an account's signature can grant it.
    pub is_of_account: bool,
    /// Whether no signature can.
    pub is_beyond_signatures: bool,
    /// All are needed.
    pub actions: Vec<Action>,
    /// Whether access control lists decide where no role does.
    pub is_path: bool,
}

impl Needs {
    fn new(resource: char, letters: &'static str, action: Action) -> Self {
        Self {
            resource,
            letters: vec![letters],
            is_of_account: resource != 'o',
            is_beyond_signatures: false,
            actions: vec![action],
            is_path: resource == 'o',
        }
    }

    /// Nothing but credentials that are good.
    fn nothing(resource: char) -> Self {
        Self {
            letters: Vec::new(),
            actions: Vec::new(),
            is_of_account: false,
            ..Self::new(resource, "", Action::ReadService)
        }
    }

    fn beyond_signatures(mut self) -> Self {
        self.is_beyond_signatures = true;
        self
    }

    fn and(mut self, letters: &'static str, action: Action) -> Self {
        self.letters.push(letters);
        self.actions.push(action);
        self
    }

    /// It has to see a request as its protocol's dispatch does, or one could be allowed and another carried out.
    pub(super) fn of(request: &Request) -> Self {
        let query = &request.query;
        let is_blob = request.face == Face::Blob;
        let is_container = match request.face {
            Face::Blob => {
                query.is("restype", "container")
                    || (request.path.is_empty() && query.has("restype"))
            }
            Face::Dfs => query.is("resource", "filesystem"),
        };
        match () {
            () if is_blob && query.is("restype", "account") => of_account_information(request),
            () if request.filesystem.is_empty() => of_service(request),
            () if is_container => of_container(request),
            () => of_path(request),
        }
    }
}

fn comp(request: &Request) -> Option<String> {
    let comp = request.query.get("comp").map(str::to_ascii_lowercase);
    comp.filter(|comp| !comp.is_empty())
}

/// Get Account Information is for whoever has any right.
fn of_account_information(request: &Request) -> Needs {
    let resource = match (request.filesystem.is_empty(), request.path.is_empty()) {
        (true, _) => 's',
        (false, true) => 'c',
        (false, false) => 'o',
    };
    Needs::nothing(resource)
}

fn of_service(request: &Request) -> Needs {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    if request.face == Face::Dfs {
        return Needs::new('s', "l", Action::ReadContainers);
    }
    match comp(request).as_deref() {
        Some("list") => Needs::new('s', "l", Action::ReadContainers),
        // Each request in it needs what it needs.
        Some("batch") => Needs::nothing('s'),
        Some("userdelegationkey") => Needs::new('s', "", Action::DelegateKeys).beyond_signatures(),
        _ if reads => Needs::new('s', "r", Action::ReadService),
        _ => Needs::new('s', "w", Action::WriteService),
    }
}

fn of_container(request: &Request) -> Needs {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    let comp = comp(request);
    let lists = match request.face {
        Face::Blob => comp.as_deref() == Some("list"),
        Face::Dfs => true,
    };
    if lists && request.method == Method::GET {
        return Needs {
            is_of_account: false,
            is_path: true,
            ..Needs::new('c', "l", Action::ReadBlobs)
        };
    }
    match comp.as_deref() {
        Some("acl") if reads => Needs::new('c', "", Action::ReadPolicies).beyond_signatures(),
        Some("acl") => Needs::new('c', "", Action::WritePolicies).beyond_signatures(),
        Some("batch") => Needs::nothing('c'),
        _ if reads => Needs::new('c', "r", Action::ReadContainers),
        _ if request.method == Method::DELETE => Needs::new('c', "d", Action::DeleteContainers),
        Some("lease") => Needs::new('c', "wd", Action::WriteContainers),
        None if request.method == Method::PUT => Needs::new('c', "cw", Action::WriteContainers),
        _ => Needs::new('c', "w", Action::WriteContainers),
    }
}

fn of_path(request: &Request) -> Needs {
    if request.moves_source {
        return Needs::new('o', "md", Action::MoveBlobs);
    }
    match request.method {
        Method::GET | Method::HEAD => reading(request),
        Method::DELETE => Needs::new('o', "d", Action::DeleteBlobs),
        Method::POST if request.query.is("comp", "query") => reading(request),
        Method::POST => Needs::new('o', "wd", Action::WriteBlobs),
        Method::PATCH => updating(request),
        _ => putting(request),
    }
}

fn reading(request: &Request) -> Needs {
    if comp(request).as_deref() == Some("tags") {
        return Needs::new('o', "t", Action::ReadTags);
    }
    // Execute lets see a blob's properties and its list.
    let letters = match request.method {
        Method::HEAD => "re",
        _ => "r",
    };
    Needs::new('o', letters, Action::ReadBlobs)
}

fn updating(request: &Request) -> Needs {
    let query = &request.query;
    let has = |name: &str| request.headers.contains_key(name);
    if query.is("action", "setaccesscontrol") || query.is("action", "setaccesscontrolrecursive") {
        let owner = has("x-ms-owner") || has("x-ms-group");
        let list = has("x-ms-permissions") || has("x-ms-acl");
        let letters = if owner { "o" } else { "p" };
        let needs = Needs::new('o', letters, Action::OwnBlobs);
        return match owner && list {
            true => needs.and("p", Action::OwnBlobs),
            false => needs,
        };
    }
    let letters = match query.is("action", "append") {
        true => "aw",
        false => "w",
    };
    Needs::new('o', letters, Action::WriteBlobs)
}

fn putting(request: &Request) -> Needs {
    let query = &request.query;
    let has = |name: &str| request.headers.contains_key(name);
    if request.face == Face::Dfs && has("x-ms-rename-source") {
        return Needs::new('o', "mw", Action::MoveBlobs);
    }
    let comp = comp(request);
    let letters = match comp.as_deref() {
        Some("tags") => return Needs::new('o', "t", Action::WriteTags),
        Some("appendblock") => "aw",
        Some("lease") => "wd",
        Some("snapshot") | None => "cw",
        // Since then, creating is enough to put blocks.
        Some("block" | "blocklist") if query.get("sv") >= Some("2026-04-06") => "cw",
        _ => "w",
    };
    let mut needs = Needs::new('o', letters, Action::WriteBlobs);
    if has("x-ms-tags") {
        needs = needs.and("t", Action::WriteTags);
    }
    if has("x-ms-owner") || has("x-ms-group") {
        needs = needs.and("o", Action::OwnBlobs);
    }
    needs
}
