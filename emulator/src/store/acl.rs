//! POSIX permissions and access control lists, in the service's notation.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Result, StoreError};

/// Access entries an item may have, and default entries as many again.
pub const ACL_ENTRIES_MAX: usize = 32;
/// What `x-ms-umask` is when it is not sent (the REST reference's value).
pub const UMASK_DEFAULT: u16 = 0o027;
/// The owner and group of what a shared key creates.
pub const SUPERUSER: &str = "$superuser";

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AclScope {
    /// The owner, or a named user.
    User,
    /// The owning group, or a named group.
    Group,
    /// The most that named entries and the group can have.
    Mask,
    /// Everyone else.
    Other,
}

impl AclScope {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Mask => "mask",
            Self::Other => "other",
        }
    }
}

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Whether new children inherit it, instead of it holding here.
    pub default: bool,
    /// Whom it is about.
    pub scope: AclScope,
    /// The object id, empty for the owner, owning group, mask and other.
    pub id: String,
    /// Three bits: read 4, write 2, execute 1.
    pub bits: u8,
}

impl AclEntry {
    fn same_target(&self, other: &Self) -> bool {
        (self.default, self.scope, &self.id) == (other.default, other.scope, &other.id)
    }

    fn is_named(&self) -> bool {
        !self.id.is_empty()
    }
}

/// What the recursive operation does with the entries it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclChange {
    /// Replaces the list.
    Set,
    /// Adds or replaces entries.
    Modify,
    /// Removes entries.
    Remove,
}

/// Who may do what with an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessControl {
    /// Owning user.
    pub owner: String,
    /// Owning group.
    pub group: String,
    /// Only owners may delete or rename children.
    pub sticky: bool,
    /// All entries; the three base ones are always there.
    pub entries: Vec<AclEntry>,
}

impl AccessControl {
    /// Permissions `mode` without named entries.
    #[must_use]
    pub fn from_mode(mode: u16) -> Self {
        let entry = |scope, shift: u16| AclEntry {
            default: false,
            scope,
            id: String::new(),
            bits: (mode >> shift & 7) as u8,
        };
        let entries = vec![
            entry(AclScope::User, 6),
            entry(AclScope::Group, 3),
            entry(AclScope::Other, 0),
        ];
        let sticky = mode & 0o1000 != 0;
        Self {
            owner: SUPERUSER.to_owned(),
            group: SUPERUSER.to_owned(),
            sticky,
            entries,
        }
    }

    fn bits(&self, scope: AclScope) -> Option<u8> {
        self.entries
            .iter()
            .find(|e| !e.default && e.scope == scope && !e.is_named())
            .map(|e| e.bits)
    }

    fn set_bits(&mut self, scope: AclScope, bits: u8) {
        for entry in &mut self.entries {
            if !entry.default && entry.scope == scope && !entry.is_named() {
                entry.bits = bits;
            }
        }
    }

    fn is_extended(&self) -> bool {
        self.entries
            .iter()
            .any(|e| e.default || e.is_named() || e.scope == AclScope::Mask)
    }

    /// `rwxr-x---`, with `t` or `T` when sticky and `+` when there is more than it says.
    #[must_use]
    pub fn permissions(&self) -> String {
        let group = self
            .bits(AclScope::Mask)
            .or_else(|| self.bits(AclScope::Group));
        let mut text = String::with_capacity(10);
        for bits in [self.bits(AclScope::User), group, self.bits(AclScope::Other)] {
            text.push_str(&rwx(bits.unwrap_or(0)));
        }
        if self.sticky {
            let executable = text.ends_with('x');
            text.pop();
            text.push(if executable { 't' } else { 'T' });
        }
        if self.is_extended() {
            text.push('+');
        }
        text
    }

    /// The list as `x-ms-acl` carries it.
    #[must_use]
    pub fn acl(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            if !text.is_empty() {
                text.push(',');
            }
            let default = if entry.default { "default:" } else { "" };
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "{default}{}:{}:{}",
                entry.scope.name(),
                entry.id,
                rwx(entry.bits)
            );
        }
        text
    }

    /// Changes the permission bits; with named entries the middle digit is the mask, as POSIX has it.
    pub fn set_mode(&mut self, mode: u16) {
        let group = if self.bits(AclScope::Mask).is_some() {
            AclScope::Mask
        } else {
            AclScope::Group
        };
        self.set_bits(AclScope::User, (mode >> 6 & 7) as u8);
        self.set_bits(group, (mode >> 3 & 7) as u8);
        self.set_bits(AclScope::Other, (mode & 7) as u8);
        self.sticky = mode & 0o1000 != 0;
    }

    /// Replaces the whole list.
    ///
    /// # Errors
    /// `InvalidInput` when a base entry is missing or there are too many.
    pub fn replace(&mut self, entries: Vec<AclEntry>) -> Result<()> {
        self.entries = complete(entries)?;
        Ok(())
    }

    /// Adds or replaces the given entries.
    ///
    /// # Errors
    /// `InvalidInput` when there are too many.
    pub fn modify(&mut self, changes: &[AclEntry], is_directory: bool) -> Result<()> {
        let mut entries = self.entries.clone();
        for change in changes
            .iter()
            .filter(|change| is_directory || !change.default)
        {
            match entries.iter_mut().find(|entry| entry.same_target(change)) {
                Some(entry) => entry.bits = change.bits,
                None => entries.push(change.clone()),
            }
        }
        self.replace(entries)
    }

    /// Removes the given entries; the base entries stay.
    ///
    /// # Errors
    /// `InvalidInput` when the rest is not a valid list.
    pub fn remove(&mut self, targets: &[AclEntry]) -> Result<()> {
        let mut entries = self.entries.clone();
        entries.retain(|entry| {
            let base = !entry.default && !entry.is_named() && entry.scope != AclScope::Mask;
            base || !targets.iter().any(|target| entry.same_target(target))
        });
        if !entries
            .iter()
            .any(|entry| !entry.default && entry.is_named())
        {
            entries.retain(|entry| entry.default || entry.scope != AclScope::Mask);
        }
        self.replace(entries)
    }

    /// What a new child inherits: its own entries and, for a directory, the defaults again. `None` without defaults.
    #[must_use]
    pub fn inherited(&self, is_directory: bool) -> Option<Vec<AclEntry>> {
        let defaults: Vec<AclEntry> = self.entries.iter().filter(|e| e.default).cloned().collect();
        if defaults.is_empty() {
            return None;
        }
        let mut entries: Vec<AclEntry> = defaults
            .iter()
            .map(|entry| AclEntry {
                default: false,
                ..entry.clone()
            })
            .collect();
        if is_directory {
            entries.extend(defaults);
        }
        Some(entries)
    }
}

fn rwx(bits: u8) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')]
        .iter()
        .map(|(bit, c)| if bits & bit != 0 { *c } else { '-' })
        .collect()
}

fn invalid(reason: &str) -> StoreError {
    StoreError::with_message(ErrorCode::InvalidInput, reason)
}

fn parse_rwx(text: &str) -> Option<u8> {
    let mut bits = 0;
    if text.len() != 3 {
        return None;
    }
    for (c, (bit, letter)) in text.chars().zip([(4, 'r'), (2, 'w'), (1, 'x')]) {
        match c {
            '-' => {}
            c if c == letter => bits |= bit,
            _ => return None,
        }
    }
    Some(bits)
}

/// Reads `x-ms-permissions`: four octal digits (three are taken too) or `rwxr-x---`.
///
/// # Errors
/// `InvalidHeaderValue`.
pub fn parse_permissions(text: &str) -> Result<u16> {
    let wrong = || StoreError::invalid_header("x-ms-permissions", text);
    if (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return match u16::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o1777 => Ok(mode),
            _ => Err(wrong()),
        };
    }
    let text = text.strip_suffix('+').unwrap_or(text);
    if text.len() != 9 || !text.is_ascii() {
        return Err(wrong());
    }
    let (plain, sticky) = match text.as_bytes().last() {
        Some(b't') => (format!("{}x", text.get(..8).unwrap_or("")), 0o1000),
        Some(b'T') => (format!("{}-", text.get(..8).unwrap_or("")), 0o1000),
        _ => (text.to_owned(), 0),
    };
    let mut mode = sticky;
    for (index, shift) in [(0, 6), (3, 3), (6, 0)] {
        let bits = plain
            .get(index..index + 3)
            .and_then(parse_rwx)
            .ok_or_else(wrong)?;
        mode |= u16::from(bits) << shift;
    }
    Ok(mode)
}

/// Reads `x-ms-umask`: three or four octal digits.
///
/// # Errors
/// `InvalidHeaderValue`.
pub fn parse_umask(text: &str) -> Result<u16> {
    match u16::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 && (3..=4).contains(&text.len()) => Ok(mask),
        _ => Err(StoreError::invalid_header("x-ms-umask", text)),
    }
}

/// Reads a list of entries. With `with_bits` false (recursive removal) entries carry no permissions.
///
/// # Errors
/// `InvalidInput` that says which entry is wrong.
pub fn parse_acl(text: &str, with_bits: bool) -> Result<Vec<AclEntry>> {
    let mut entries: Vec<AclEntry> = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let entry = parse_entry(item, with_bits)
            .ok_or_else(|| invalid(&format!("The access control entry '{item}' is not valid.")))?;
        if entries.iter().any(|earlier| earlier.same_target(&entry)) {
            return Err(invalid(&format!(
                "The access control entry '{item}' is given twice."
            )));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn parse_entry(item: &str, with_bits: bool) -> Option<AclEntry> {
    let (default, rest) = match item.strip_prefix("default:") {
        Some(rest) => (true, rest),
        None => (false, item),
    };
    let mut parts = rest.split(':');
    let scope = match parts.next()? {
        "user" => AclScope::User,
        "group" => AclScope::Group,
        "mask" => AclScope::Mask,
        "other" => AclScope::Other,
        _ => return None,
    };
    let id = parts.next().unwrap_or("").to_owned();
    let bits = match (parts.next(), with_bits) {
        (Some(text), true) => parse_rwx(text)?,
        (None | Some(""), false) => 0,
        _ => return None,
    };
    let nameless = matches!(scope, AclScope::Mask | AclScope::Other);
    (parts.next().is_none() && (!nameless || id.is_empty())).then_some(AclEntry {
        default,
        scope,
        id,
        bits,
    })
}

/// Checks a list, adds the masks and base defaults that the service adds, and puts it in the usual order.
fn complete(mut entries: Vec<AclEntry>) -> Result<Vec<AclEntry>> {
    for scope in [AclScope::User, AclScope::Group, AclScope::Other] {
        if !entries
            .iter()
            .any(|e| !e.default && e.scope == scope && !e.is_named())
        {
            return Err(invalid(&format!(
                "The access control list needs an entry '{}::'.",
                scope.name()
            )));
        }
    }
    if entries.iter().any(|entry| entry.default) {
        for scope in [AclScope::User, AclScope::Group, AclScope::Other] {
            let missing = !entries
                .iter()
                .any(|e| e.default && e.scope == scope && !e.is_named());
            let base = entries
                .iter()
                .find(|e| !e.default && e.scope == scope && !e.is_named())
                .cloned();
            if let (true, Some(base)) = (missing, base) {
                entries.push(AclEntry {
                    default: true,
                    ..base
                });
            }
        }
    }
    for default in [false, true] {
        add_mask(&mut entries, default);
        if entries
            .iter()
            .filter(|entry| entry.default == default)
            .count()
            > ACL_ENTRIES_MAX
        {
            return Err(invalid(&format!(
                "An access control list can have at most {ACL_ENTRIES_MAX} entries."
            )));
        }
    }
    let rank = |entry: &AclEntry| (entry.default, entry.scope, entry.is_named());
    entries.sort_by_key(rank);
    // The owning group's entry stands before the named ones, as the owner's does; mask follows, then other.
    Ok(entries)
}

fn add_mask(entries: &mut Vec<AclEntry>, default: bool) {
    let here = |entry: &&AclEntry| entry.default == default;
    let named = entries.iter().filter(here).any(AclEntry::is_named);
    let masked = entries
        .iter()
        .filter(here)
        .any(|entry| entry.scope == AclScope::Mask);
    if !named || masked {
        return;
    }
    let group_class = |entry: &&AclEntry| {
        entry.is_named() || (entry.scope == AclScope::Group && !entry.is_named())
    };
    let bits = entries
        .iter()
        .filter(here)
        .filter(group_class)
        .fold(0, |bits, entry| bits | entry.bits);
    entries.push(AclEntry {
        default,
        scope: AclScope::Mask,
        id: String::new(),
        bits,
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn permissions_are_read_in_both_notations() {
        assert_eq!(parse_permissions("0750").unwrap(), 0o750);
        assert_eq!(parse_permissions("rwxr-x--T").unwrap(), 0o1750);
        assert_eq!(parse_permissions("rwxr-x--t").unwrap(), 0o1751);
        assert!(parse_permissions("rwx").is_err());
        assert_eq!(AccessControl::from_mode(0o1751).permissions(), "rwxr-x--t");
    }

    #[test]
    fn named_entries_bring_a_mask() {
        let mut access = AccessControl::from_mode(0o750);
        let list = "user:11111111-1111-1111-1111-111111111111:rwx,user::rwx,group::r--,other::---";
        access.replace(parse_acl(list, true).unwrap()).unwrap();
        assert_eq!(access.entries.len(), 5);
        assert!(access.acl().contains("mask::rwx"));
        assert_eq!(access.permissions(), "rwxrwx---+");
        access.set_mode(0o740);
        assert!(access.acl().contains("mask::r--") && access.acl().contains("group::r--"));
    }

    #[test]
    fn a_list_without_its_base_is_refused() {
        let mut access = AccessControl::from_mode(0o750);
        assert!(
            access
                .replace(parse_acl("user::rwx", true).unwrap())
                .is_err()
        );
        assert!(parse_acl("user::rwq", true).is_err());
        assert!(parse_acl("user::rwx,user::r--", true).is_err());
    }

    #[test]
    fn defaults_are_inherited() {
        let mut access = AccessControl::from_mode(0o750);
        access
            .modify(&parse_acl("default:user:u1:r-x", true).unwrap(), true)
            .unwrap();
        let file = access.inherited(false).unwrap();
        assert!(file.iter().all(|entry| !entry.default));
        assert!(file.iter().any(|entry| entry.id == "u1"));
        assert_eq!(access.inherited(true).unwrap().len(), 2 * file.len());
    }
}
