//! Which roles somebody has, and what they grant.
//!
//! The roles are the service's own, with the actions of their definitions.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::protocol::auth::Identity;
use crate::protocol::auth::identity::is_id;
use crate::protocol::auth::needs::Action;

/// A role, by the name that the service has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Manages the account and its containers; sees no data.
    Owner,
    /// As [`Role::Owner`] here, where there are no assignments to manage.
    Contributor,
    /// Sees the account and its containers; sees no data.
    Reader,
    /// Does everything with containers and data; access control lists do not hold for it.
    #[serde(rename = "Storage Blob Data Owner")]
    BlobDataOwner,
    /// Manages containers, and reads, writes and deletes data.
    #[serde(rename = "Storage Blob Data Contributor")]
    BlobDataContributor,
    /// Reads data.
    #[serde(rename = "Storage Blob Data Reader")]
    BlobDataReader,
    /// Gets user delegation keys, and nothing else.
    #[serde(rename = "Storage Blob Delegator")]
    BlobDelegator,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Contributor,
        Self::Reader,
        Self::BlobDataOwner,
        Self::BlobDataContributor,
        Self::BlobDataReader,
        Self::BlobDelegator,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Contributor => "Contributor",
            Self::Reader => "Reader",
            Self::BlobDataOwner => "Storage Blob Data Owner",
            Self::BlobDataContributor => "Storage Blob Data Contributor",
            Self::BlobDataReader => "Storage Blob Data Reader",
            Self::BlobDelegator => "Storage Blob Delegator",
        }
    }

    fn grants(self, action: Action) -> bool {
        use Action::{
            DelegateKeys, DeleteBlobs, DeleteContainers, MoveBlobs, ReadBlobs, ReadContainers,
            ReadPolicies, ReadService, WriteBlobs, WriteContainers, WritePolicies, WriteService,
        };
        let containers = matches!(action, ReadContainers | WriteContainers | DeleteContainers);
        let policies = matches!(action, ReadPolicies | WritePolicies);
        let service = matches!(action, ReadService | WriteService);
        let delegates = action == DelegateKeys;
        match self {
            Self::Owner | Self::Contributor => containers || policies || service || delegates,
            Self::Reader => matches!(action, ReadContainers | ReadService),
            Self::BlobDataOwner => !service,
            Self::BlobDataContributor => {
                containers
                    || delegates
                    || matches!(action, ReadBlobs | WriteBlobs | DeleteBlobs | MoveBlobs)
            }
            Self::BlobDataReader => delegates || matches!(action, ReadContainers | ReadBlobs),
            Self::BlobDelegator => delegates,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = BadRoles;

    fn from_str(text: &str) -> Result<Self, BadRoles> {
        let known = Self::ALL.into_iter();
        let mut named = known.filter(|role| role.name().eq_ignore_ascii_case(text.trim()));
        named.next().ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            BadRoles(format!("\"{text}\" is no role; the roles are {names}"))
        })
    }
}

/// Why roles cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRoles(String);

/// That somebody has a role somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Object id of a user, an application or a group.
    pub principal: String,
    /// Which.
    pub role: Role,
    /// The account it holds in; all of them if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The filesystem it holds in; the whole account if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
}

impl FromStr for Assignment {
    type Err = BadRoles;

    /// `<object id>=<role>[@<account>[/<filesystem>]]`
    fn from_str(text: &str) -> Result<Self, BadRoles> {
        let form = || BadRoles("write <object id>=<role>[@<account>[/<filesystem>]]".to_owned());
        let (principal, rest) = text.split_once('=').ok_or_else(form)?;
        let (role, scope) = rest.split_once('@').unwrap_or((rest, ""));
        let (account, filesystem) = scope.split_once('/').unwrap_or((scope, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let assignment = Self {
            principal: principal.to_owned(),
            role: role.parse()?,
            account: given(account),
            filesystem: given(filesystem),
        };
        assignment.check()?;
        Ok(assignment)
    }
}

impl Assignment {
    fn check(&self) -> Result<(), BadRoles> {
        if !is_id(&self.principal) {
            let text = format!("\"{}\" cannot be an object id", self.principal);
            return Err(BadRoles(text));
        }
        match (&self.account, &self.filesystem) {
            (None, Some(filesystem)) => Err(BadRoles(format!(
                "the role of {} in {filesystem} does not say in which account that is",
                self.principal
            ))),
            _ => Ok(()),
        }
    }

    fn holds_in(&self, account: &str, filesystem: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
            && self
                .filesystem
                .as_deref()
                .is_none_or(|own| own == filesystem)
    }
}

/// Who has which role, and who is in which group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Roles add up.
    #[serde(default)]
    pub assignments: Vec<Assignment>,
    /// Members by group, object ids both, besides those that tokens say they are in.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
}

/// What a role granted.
pub(super) struct Granted {
    /// Whether access control lists do not hold for whoever has it.
    pub is_superuser: bool,
}

impl Roles {
    /// Reads them from the JSON form that `emulator/roles.schema.json` describes.
    ///
    /// # Errors
    /// What is not of that form, and where.
    pub fn from_json(text: &str) -> Result<Self, BadRoles> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "$schema")]
            _schema: Option<String>,
            #[serde(flatten)]
            roles: BTreeMap<String, serde_json::Value>,
        }
        let bad = |error: serde_json::Error| BadRoles(error.to_string());
        let document: Document = serde_json::from_str(text).map_err(bad)?;
        let value = serde_json::to_value(document.roles).map_err(bad)?;
        let roles: Self = serde_json::from_value(value).map_err(bad)?;
        for assignment in &roles.assignments {
            assignment.check()?;
        }
        for id in roles.groups.keys().chain(roles.groups.values().flatten()) {
            if !is_id(id) {
                return Err(BadRoles(format!("\"{id}\" cannot be an object id")));
            }
        }
        Ok(roles)
    }

    /// Somebody with all groups that are known.
    pub(super) fn with_groups(&self, identity: &Identity) -> Identity {
        let mut identity = identity.clone();
        for (group, members) in &self.groups {
            let is_in = members
                .iter()
                .any(|id| id.eq_ignore_ascii_case(&identity.id));
            if is_in
                && !identity
                    .groups
                    .iter()
                    .any(|held| held.eq_ignore_ascii_case(group))
            {
                identity.groups.push(group.clone());
            }
        }
        identity
    }

    /// Whether somebody's roles in a filesystem, or in the account where that is empty, grant all of `actions`.
    pub(super) fn grant(
        &self,
        identity: &Identity,
        (account, filesystem): (&str, &str),
        actions: &[Action],
    ) -> Option<Granted> {
        let is_theirs = |assignment: &&Assignment| {
            let principal = &assignment.principal;
            let mut own = std::iter::once(&identity.id).chain(&identity.groups);
            own.any(|id| id.eq_ignore_ascii_case(principal))
                && assignment.holds_in(account, filesystem)
        };
        let held: Vec<Role> = self
            .assignments
            .iter()
            .filter(is_theirs)
            .map(|assignment| assignment.role)
            .collect();
        let granted = |action: &Action| held.iter().any(|role| role.grants(*action));
        // Where nothing in particular is needed, one role is enough.
        (!held.is_empty() && actions.iter().all(granted)).then(|| Granted {
            is_superuser: held.contains(&Role::BlobDataOwner),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_written_in_one_line() {
        let one: Assignment = "alice=storage blob data reader@acct/raw".parse().unwrap();
        assert_eq!(one.role, Role::BlobDataReader);
        assert_eq!(
            (one.account.as_deref(), one.filesystem.as_deref()),
            (Some("acct"), Some("raw"))
        );
        let wide: Assignment = "alice=Owner".parse().unwrap();
        assert_eq!((wide.account, wide.filesystem), (None, None));
        for wrong in [
            "alice",
            "=Owner",
            "a b=Owner",
            "alice=King",
            "alice=Owner@/raw",
        ] {
            assert!(wrong.parse::<Assignment>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_schemas_roles_and_examples_are_those_that_are_read() {
        let schema = include_str!("../../../roles.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let example = schema["examples"][0].to_string();
        assert_eq!(Roles::from_json(&example).unwrap().assignments.len(), 2);
        let assignment = &schema["properties"]["assignments"]["items"]["properties"];
        let named = assignment["role"]["enum"].as_array().unwrap();
        let named: Vec<&str> = named.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(named, Role::ALL.map(Role::name));
        for (role, name) in Role::ALL.iter().zip(named) {
            assert_eq!(serde_json::to_value(role).unwrap(), name);
        }
    }

    #[test]
    fn a_file_of_roles_is_checked() {
        let text = r#"{"$schema": "roles.schema.json",
            "assignments": [{"principal": "staff", "role": "Storage Blob Data Owner", "account": "a"}],
            "groups": {"staff": ["alice"]}}"#;
        let roles = Roles::from_json(text).unwrap();
        assert_eq!(roles.assignments[0].role, Role::BlobDataOwner);
        for wrong in [
            r#"{"assignment": []}"#,
            r#"{"assignments": [{"principal": "a", "role": "King"}]}"#,
            r#"{"assignments": [{"principal": "a", "role": "Owner", "container": "raw"}]}"#,
            r#"{"assignments": [{"principal": "a", "role": "Owner", "filesystem": "raw"}]}"#,
            r#"{"groups": {"a b": []}}"#,
        ] {
            assert!(Roles::from_json(wrong).is_err(), "{wrong}");
        }
    }
}
