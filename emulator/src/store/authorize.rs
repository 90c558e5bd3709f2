//! Who may do what: POSIX permissions and access control lists, for everybody but the superuser.
//!
//! The owner goes by the owner's bits. A named user goes by its entry within the mask. Otherwise, if the owning group
//! or a named group holds the principal, one of their entries, within the mask, must grant everything that is wanted;
//! that they do not is final. Everybody else goes by `other`. On the way to a path every directory must grant `x`.

use crate::error::{ErrorCode, Result};
use crate::store::acl::{AccessControl, AclEntry, AclScope};
use crate::store::core::{Core, View};
use crate::store::inode::{Inode, NodeKind};
use crate::store::key;
use crate::store::namespace::Node;
use crate::store::path::StorePath;
use crate::store::sled_file::namespace_error;
use crate::store::transaction::decode_entry;

/// Read.
pub const READ: u8 = 4;
/// Write.
pub const WRITE: u8 = 2;
/// Execute: for a directory, to go through it.
pub const EXECUTE: u8 = 1;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Who holds the account's key: everything is allowed.
    #[default]
    Superuser,
    /// Somebody whom a role lets do what is asked. What they create is theirs.
    Role {
        /// Object id.
        id: String,
        /// Object ids of the groups.
        groups: Vec<String>,
        /// Whether the role is one to which access control never applies.
        is_superuser: bool,
    },
    /// Somebody to whom access control applies.
    User {
        /// Object id.
        id: String,
        /// Object ids of the groups.
        groups: Vec<String>,
    },
}

impl Principal {
    /// Whether it may change owners and everybody's permissions.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        matches!(
            self,
            Self::Superuser
                | Self::Role {
                    is_superuser: true,
                    ..
                }
        )
    }

    /// Whether what it asks for is allowed whatever access control says.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        !matches!(self, Self::User { .. })
    }

    /// Object id; the account itself has none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Superuser => None,
            Self::Role { id, .. } | Self::User { id, .. } => Some(id),
        }
    }

    fn owns(&self, access: &AccessControl) -> bool {
        self.is_superuser()
            || self
                .id()
                .is_some_and(|id| access.owner.eq_ignore_ascii_case(id))
    }

    fn is_in(&self, group: &str) -> bool {
        match self {
            Self::Superuser => true,
            Self::Role { groups, .. } | Self::User { groups, .. } => {
                groups.iter().any(|held| held.eq_ignore_ascii_case(group))
            }
        }
    }

    /// Refuses what only a superuser may do.
    ///
    /// # Errors
    /// `AuthorizationPermissionMismatch`.
    pub fn must_be_superuser(&self) -> Result<()> {
        allowed(self.is_superuser())
    }

    /// Refuses what access control lists do not speak of.
    ///
    /// # Errors
    /// `AuthorizationPermissionMismatch`.
    pub fn must_be_unrestricted(&self) -> Result<()> {
        allowed(self.is_unrestricted())
    }

    /// Whether `access` grants everything in `wanted`.
    #[must_use]
    pub fn may(&self, access: &AccessControl, wanted: u8) -> bool {
        let Self::User { id, .. } = self else {
            return true;
        };
        let grants = |bits: u8| bits & wanted == wanted;
        let here = || access.entries.iter().filter(|entry| !entry.default);
        let bits = |scope: AclScope| {
            here()
                .find(|entry| entry.scope == scope && entry.id.is_empty())
                .map(|entry| entry.bits)
        };
        if self.owns(access) {
            return grants(bits(AclScope::User).unwrap_or(0));
        }
        let mask = bits(AclScope::Mask).unwrap_or(READ | WRITE | EXECUTE);
        let named = here().find(|entry| {
            entry.scope == AclScope::User && entry.id.eq_ignore_ascii_case(id) && !id.is_empty()
        });
        if let Some(entry) = named {
            return grants(entry.bits & mask);
        }
        let holds = |entry: &&AclEntry| {
            let group = if entry.id.is_empty() {
                &access.group
            } else {
                &entry.id
            };
            entry.scope == AclScope::Group && self.is_in(group)
        };
        let mut groups = here().filter(holds).peekable();
        match groups.peek() {
            Some(_) => groups.any(|entry| grants(entry.bits & mask)),
            None => grants(bits(AclScope::Other).unwrap_or(0)),
        }
    }

    /// Checks a change of permissions, list, owner or group.
    ///
    /// # Errors
    /// `AuthorizationPermissionMismatch`: the owner may change permissions, and the group to one of the own; only the
    /// superuser may change the owner.
    pub fn check_access_change(
        &self,
        access: &AccessControl,
        owner: Option<&str>,
        group: Option<&str>,
    ) -> Result<()> {
        let owner_stays = owner.is_none_or(|owner| owner == access.owner);
        let group_fits = group.is_none_or(|group| group == access.group || self.is_in(group));
        allowed(self.is_superuser() || (self.owns(access) && owner_stays && group_fits))
    }
}

fn allowed(is_allowed: bool) -> Result<()> {
    match is_allowed {
        true => Ok(()),
        false => Err(ErrorCode::AuthorizationPermissionMismatch.into()),
    }
}

impl Core {
    /// Checks what an item itself grants.
    pub(crate) fn check_access(
        &self,
        principal: &Principal,
        inode: &Inode,
        wanted: u8,
    ) -> Result<()> {
        allowed(principal.may(&inode.access, wanted))
    }

    /// Checks that the principal may go through every directory of `segments` that is there, the root included, and
    /// gives the last one.
    pub(crate) fn check_way(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        segments: &[String],
    ) -> Result<Option<Inode>> {
        if principal.is_unrestricted() {
            return Ok(None);
        }
        let mut directory = self.node(view, root)?.inode;
        self.check_access(principal, &directory, EXECUTE)?;
        for segment in segments {
            let Some((id, NodeKind::Directory)) = self.entry(view, directory.id, segment)? else {
                break;
            };
            directory = self.node(view, id)?.inode;
            self.check_access(principal, &directory, EXECUTE)?;
        }
        Ok(Some(directory))
    }

    /// The node at `path`, for somebody who may go there: whoever may not learns nothing of what is there.
    pub(crate) fn find_as(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        path: &StorePath,
    ) -> Result<Option<Node>> {
        let parents = path.split().map_or(&[][..], |(parents, _)| parents);
        self.check_way(view, principal, root, parents)?;
        self.find(view, root, path)
    }

    /// Checks that a name may come into the last directory of `segments` that is there.
    pub(crate) fn check_may_add(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        segments: &[String],
    ) -> Result<()> {
        match self.check_way(view, principal, root, segments)? {
            None => Ok(()),
            Some(parent) => self.check_access(principal, &parent, WRITE | EXECUTE),
        }
    }

    /// Checks that a name may go from its directory; in a sticky one only owners may take names away.
    pub(crate) fn check_may_take(
        &self,
        view: &impl View,
        principal: &Principal,
        root: u64,
        segments: &[String],
        child: &Inode,
    ) -> Result<()> {
        let Some(parent) = self.check_way(view, principal, root, segments)? else {
            return Ok(());
        };
        self.check_access(principal, &parent, WRITE | EXECUTE)?;
        let owns = principal.owns(&parent.access) || principal.owns(&child.access);
        allowed(!parent.access.sticky || owns)
    }

    /// Checks that a directory may be deleted with all that is below: `rwx` on it and on every directory in it.
    pub(crate) fn check_may_empty(
        &self,
        view: &impl View,
        principal: &Principal,
        directory: &Inode,
    ) -> Result<()> {
        if principal.is_unrestricted() {
            return Ok(());
        }
        let mut left = vec![directory.clone()];
        while let Some(directory) = left.pop() {
            self.check_access(principal, &directory, READ | WRITE | EXECUTE)?;
            for item in self.tree().scan_prefix(key::entries(directory.id)) {
                let (_, value) = item.map_err(|e| namespace_error("read", &e))?;
                let Some((id, kind)) = decode_entry(&value) else {
                    continue;
                };
                if kind == NodeKind::Directory || directory.access.sticky {
                    let child = self.node(view, id)?.inode;
                    let owns = principal.owns(&directory.access) || principal.owns(&child.access);
                    allowed(!directory.access.sticky || owns)?;
                    if kind == NodeKind::Directory {
                        left.push(child);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::store::acl::parse_acl;

    fn access(list: &str) -> AccessControl {
        let mut access = AccessControl::from_mode(0o750);
        access.owner = "alice".to_owned();
        access.group = "staff".to_owned();
        access.replace(parse_acl(list, true).unwrap()).unwrap();
        access
    }

    fn user(id: &str, groups: &[&str]) -> Principal {
        Principal::User {
            id: id.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    /// What of `rwx` is granted, asked bit by bit.
    fn granted(access: &AccessControl, principal: &Principal) -> String {
        [(READ, 'r'), (WRITE, 'w'), (EXECUTE, 'x')]
            .iter()
            .map(|(bit, c)| if principal.may(access, *bit) { *c } else { '-' })
            .collect()
    }

    #[test]
    fn the_owner_a_named_user_a_group_and_others_go_by_their_entries() {
        let list = "user::rw-,user:bob:rwx,group::r-x,group:audit:-wx,mask::r-x,other::--x";
        let access = access(list);
        // The mask does not hold for the owner, and a better entry of a group does not help the owner.
        assert_eq!(granted(&access, &user("alice", &["staff"])), "rw-");
        assert_eq!(granted(&access, &user("bob", &["staff"])), "r-x");
        assert_eq!(granted(&access, &user("carol", &["staff"])), "r-x");
        assert_eq!(granted(&access, &user("carol", &["audit"])), "--x");
        assert_eq!(granted(&access, &user("carol", &["other"])), "--x");
        assert_eq!(granted(&access, &Principal::Superuser), "rwx");
        // One entry must grant all of it.
        let both = user("carol", &["staff", "audit"]);
        assert!(both.may(&access, READ | EXECUTE));
        assert!(!both.may(&access, READ | WRITE));
    }

    #[test]
    fn a_member_of_a_group_that_grants_nothing_is_not_among_the_others() {
        let access = access("user::rwx,group::---,other::rwx");
        assert_eq!(granted(&access, &user("carol", &["staff"])), "---");
        assert_eq!(granted(&access, &user("carol", &[])), "rwx");
    }

    #[test]
    fn only_the_superuser_gives_away_and_the_owner_only_to_own_groups() {
        let access = access("user::rwx,group::---,other::---");
        let alice = user("alice", &["staff", "audit"]);
        assert!(
            alice
                .check_access_change(&access, None, Some("audit"))
                .is_ok()
        );
        assert!(
            alice
                .check_access_change(&access, None, Some("board"))
                .is_err()
        );
        assert!(
            alice
                .check_access_change(&access, Some("bob"), None)
                .is_err()
        );
        assert!(
            user("bob", &[])
                .check_access_change(&access, None, None)
                .is_err()
        );
        let superuser = Principal::Superuser;
        assert!(
            superuser
                .check_access_change(&access, Some("bob"), None)
                .is_ok()
        );
    }
}
