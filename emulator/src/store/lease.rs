//! Leases: an exclusive right to write, for a time.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Result, StoreError};

const NS_PER_S: i64 = 1_000_000_000;
/// Break period of a lease without end when none is asked for.
const INFINITE_BREAK_S: u32 = 0;

/// What a holder, or someone who wants to be, asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// `duration_s` 15 to 60, `None` without end; `id` is the one proposed.
    Acquire {
        /// The id proposed, or one the server made up.
        id: String,
        /// How long, `None` for ever.
        duration_s: Option<u32>,
    },
    /// Starts the time anew.
    Renew {
        /// The lease held.
        id: String,
    },
    /// Goes on under another id.
    Change {
        /// The lease held.
        id: String,
        /// Its new id.
        proposed: String,
    },
    /// Ends it at once.
    Release {
        /// The lease held.
        id: String,
    },
    /// Ends it after a period, whoever holds it.
    Break {
        /// 0 to 60 seconds; `None` means what is left of it.
        period_s: Option<u32>,
    },
}

/// The state the service reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Held by nobody, free to acquire.
    Available,
    /// Held.
    Leased,
    /// Its time ran out.
    Expired,
    /// Still held, and not to be renewed.
    Breaking,
    /// Broken.
    Broken,
}

impl LeaseState {
    /// As `x-ms-lease-state` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Leased => "leased",
            Self::Expired => "expired",
            Self::Breaking => "breaking",
            Self::Broken => "broken",
        }
    }

    /// Whether writes need the id.
    #[must_use]
    pub fn is_locked(self) -> bool {
        matches!(self, Self::Leased | Self::Breaking)
    }
}

/// A lease as it is kept: what was granted, and when that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder's id.
    pub id: String,
    /// How long it was granted for, `None` for ever.
    pub duration_s: Option<u32>,
    /// When it ends by itself.
    pub ends_unix_ns: Option<i64>,
    /// When a break takes hold.
    pub breaks_unix_ns: Option<i64>,
}

impl Lease {
    /// A lease that begins now.
    #[must_use]
    pub fn granted(id: &str, duration_s: Option<u32>, now_unix_ns: i64) -> Self {
        let ends_unix_ns = duration_s.map(|s| now_unix_ns + i64::from(s) * NS_PER_S);
        Self {
            id: id.to_owned(),
            duration_s,
            ends_unix_ns,
            breaks_unix_ns: None,
        }
    }

    fn state(&self, now_unix_ns: i64) -> LeaseState {
        if let Some(breaks) = self.breaks_unix_ns {
            return if now_unix_ns < breaks {
                LeaseState::Breaking
            } else {
                LeaseState::Broken
            };
        }
        match self.ends_unix_ns {
            Some(ends) if ends <= now_unix_ns => LeaseState::Expired,
            _ => LeaseState::Leased,
        }
    }
}

/// The state of what may be a lease.
#[must_use]
pub fn lease_state(lease: Option<&Lease>, now_unix_ns: i64) -> LeaseState {
    lease.map_or(LeaseState::Available, |lease| lease.state(now_unix_ns))
}

/// What a lease operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseOutcome {
    /// The lease from now on.
    pub lease: Option<Lease>,
    /// The id to answer; none after a break.
    pub id: Option<String>,
    /// Seconds until a break takes hold.
    pub time_s: Option<u32>,
}

/// Applies `action` to a lease.
///
/// # Errors
/// The lease codes of status 409.
pub fn apply(
    lease: Option<&Lease>,
    action: &LeaseAction,
    now_unix_ns: i64,
) -> Result<LeaseOutcome> {
    let state = lease_state(lease, now_unix_ns);
    match action {
        LeaseAction::Acquire { id, duration_s } => {
            acquire(lease, state, id, *duration_s, now_unix_ns)
        }
        LeaseAction::Renew { id } => renew(lease, state, id, now_unix_ns),
        LeaseAction::Change { id, proposed } => change(lease, state, id, proposed),
        LeaseAction::Release { id } => {
            let held = lease.ok_or(ErrorCode::LeaseIdMismatchWithLeaseOperation)?;
            if !held.id.eq_ignore_ascii_case(id) {
                return Err(ErrorCode::LeaseIdMismatchWithLeaseOperation.into());
            }
            Ok(LeaseOutcome {
                lease: None,
                id: None,
                time_s: None,
            })
        }
        LeaseAction::Break { period_s } => break_lease(lease, state, *period_s, now_unix_ns),
    }
}

fn acquire(
    lease: Option<&Lease>,
    state: LeaseState,
    id: &str,
    duration_s: Option<u32>,
    now_unix_ns: i64,
) -> Result<LeaseOutcome> {
    let same = lease.is_some_and(|held| held.id.eq_ignore_ascii_case(id));
    match state {
        LeaseState::Leased if !same => return Err(ErrorCode::LeaseAlreadyPresent.into()),
        LeaseState::Breaking if same => {
            return Err(ErrorCode::LeaseIsBreakingAndCannotBeAcquired.into());
        }
        LeaseState::Breaking => return Err(ErrorCode::LeaseAlreadyPresent.into()),
        _ => {}
    }
    let lease = Some(Lease::granted(id, duration_s, now_unix_ns));
    Ok(LeaseOutcome {
        lease,
        id: Some(id.to_owned()),
        time_s: None,
    })
}

fn renew(
    lease: Option<&Lease>,
    state: LeaseState,
    id: &str,
    now_unix_ns: i64,
) -> Result<LeaseOutcome> {
    let held = matching(lease, id)?;
    match state {
        LeaseState::Breaking | LeaseState::Broken => {
            Err(ErrorCode::LeaseIsBrokenAndCannotBeRenewed.into())
        }
        _ => {
            let lease = Some(Lease::granted(&held.id, held.duration_s, now_unix_ns));
            Ok(LeaseOutcome {
                lease,
                id: Some(held.id.clone()),
                time_s: None,
            })
        }
    }
}

fn change(
    lease: Option<&Lease>,
    state: LeaseState,
    id: &str,
    proposed: &str,
) -> Result<LeaseOutcome> {
    let held = lease.ok_or(ErrorCode::LeaseNotPresentWithLeaseOperation)?;
    match state {
        LeaseState::Breaking => return Err(ErrorCode::LeaseIsBreakingAndCannotBeChanged.into()),
        LeaseState::Leased => {}
        _ => return Err(ErrorCode::LeaseNotPresentWithLeaseOperation.into()),
    }
    // Repeating a change that already happened is fine: its answer may have been lost.
    if !held.id.eq_ignore_ascii_case(id) && !held.id.eq_ignore_ascii_case(proposed) {
        return Err(ErrorCode::LeaseIdMismatchWithLeaseOperation.into());
    }
    let lease = Some(Lease {
        id: proposed.to_owned(),
        ..held.clone()
    });
    Ok(LeaseOutcome {
        lease,
        id: Some(proposed.to_owned()),
        time_s: None,
    })
}

fn break_lease(
    lease: Option<&Lease>,
    state: LeaseState,
    period_s: Option<u32>,
    now_unix_ns: i64,
) -> Result<LeaseOutcome> {
    let held = lease.ok_or(ErrorCode::LeaseNotPresentWithLeaseOperation)?;
    let left_s = |until: i64| u32::try_from((until - now_unix_ns).max(0) / NS_PER_S).unwrap_or(0);
    let time_s = match state {
        LeaseState::Available | LeaseState::Broken | LeaseState::Expired => 0,
        LeaseState::Leased => match held.ends_unix_ns {
            Some(ends) => period_s.map_or(left_s(ends), |period| period.min(left_s(ends))),
            None => period_s.unwrap_or(INFINITE_BREAK_S),
        },
        LeaseState::Breaking => {
            let left = held.breaks_unix_ns.map_or(0, left_s);
            period_s.map_or(left, |period| period.min(left))
        }
    };
    let breaks_unix_ns = match state {
        LeaseState::Broken => held.breaks_unix_ns,
        _ => Some(now_unix_ns + i64::from(time_s) * NS_PER_S),
    };
    let lease = Some(Lease {
        breaks_unix_ns,
        ..held.clone()
    });
    Ok(LeaseOutcome {
        lease,
        id: None,
        time_s: Some(time_s),
    })
}

fn matching<'a>(lease: Option<&'a Lease>, id: &str) -> Result<&'a Lease> {
    match lease {
        Some(held) if held.id.eq_ignore_ascii_case(id) => Ok(held),
        _ => Err(ErrorCode::LeaseIdMismatchWithLeaseOperation.into()),
    }
}

/// Checks that a write with this lease id, or none, may go on.
///
/// # Errors
/// `LeaseIdMissing`, `LeaseIdMismatch`, `LeaseNotPresent`, `LeaseLost` (all 412).
pub fn check_write(lease: Option<&Lease>, given: Option<&str>, now_unix_ns: i64) -> Result<()> {
    match (lease_state(lease, now_unix_ns).is_locked(), lease, given) {
        (true, _, None) => Err(ErrorCode::LeaseIdMissing.into()),
        (_, _, None) => Ok(()),
        (locked, lease, Some(given)) => check_given(locked, lease, given),
    }
}

/// Checks that a read that names a lease names the one there is.
///
/// # Errors
/// As [`check_write`], without `LeaseIdMissing`.
pub fn check_read(lease: Option<&Lease>, given: Option<&str>, now_unix_ns: i64) -> Result<()> {
    match given {
        None => Ok(()),
        Some(given) => check_given(lease_state(lease, now_unix_ns).is_locked(), lease, given),
    }
}

fn check_given(locked: bool, lease: Option<&Lease>, given: &str) -> Result<()> {
    let same = lease.is_some_and(|held| held.id.eq_ignore_ascii_case(given));
    match (locked, lease, same) {
        (true, _, true) => Ok(()),
        (true, _, false) => Err(ErrorCode::LeaseIdMismatch.into()),
        (false, Some(_), true) => Err(ErrorCode::LeaseLost.into()),
        (false, _, _) => Err(StoreError::code(ErrorCode::LeaseNotPresent)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn acquired(duration_s: Option<u32>) -> Lease {
        let action = LeaseAction::Acquire {
            id: "a".to_owned(),
            duration_s,
        };
        apply(None, &action, 0).unwrap().lease.unwrap()
    }

    #[test]
    fn a_lease_ends_with_its_time() {
        let lease = acquired(Some(15));
        assert_eq!(lease_state(Some(&lease), 14 * NS_PER_S), LeaseState::Leased);
        assert_eq!(
            lease_state(Some(&lease), 15 * NS_PER_S),
            LeaseState::Expired
        );
        assert!(check_write(Some(&lease), None, 15 * NS_PER_S).is_ok());
        assert!(
            check_write(Some(&lease), Some("a"), 15 * NS_PER_S)
                .unwrap_err()
                .is(ErrorCode::LeaseLost)
        );
    }

    #[test]
    fn writes_need_the_id() {
        let lease = acquired(None);
        assert!(
            check_write(Some(&lease), None, 0)
                .unwrap_err()
                .is(ErrorCode::LeaseIdMissing)
        );
        assert!(
            check_write(Some(&lease), Some("b"), 0)
                .unwrap_err()
                .is(ErrorCode::LeaseIdMismatch)
        );
        assert!(check_write(Some(&lease), Some("A"), 0).is_ok());
        assert!(
            check_write(None, Some("a"), 0)
                .unwrap_err()
                .is(ErrorCode::LeaseNotPresent)
        );
    }

    #[test]
    fn a_breaking_lease_still_protects_and_then_ends() {
        let broken = apply(
            Some(&acquired(None)),
            &LeaseAction::Break { period_s: Some(3) },
            0,
        )
        .unwrap();
        assert_eq!(broken.time_s, Some(3));
        let lease = broken.lease.unwrap();
        assert!(check_write(Some(&lease), Some("a"), NS_PER_S).is_ok());
        assert!(check_write(Some(&lease), None, NS_PER_S).is_err());
        assert_eq!(lease_state(Some(&lease), 3 * NS_PER_S), LeaseState::Broken);
        let renewed =
            apply(Some(&lease), &LeaseAction::Renew { id: "a".to_owned() }, 0).unwrap_err();
        assert!(renewed.is(ErrorCode::LeaseIsBrokenAndCannotBeRenewed));
    }
}
