//! Faults on purpose, so that users can test their retries, and records of requests.
//!
//! [`plan`] says what shall go wrong, [`Faults`] decides for each request, [`effect`](self) lets it happen, and
//! [`record`] notes it. A server without any of it does not come by here.

pub(crate) mod admin;
pub(crate) mod connection;
pub(crate) mod effect;
pub(crate) mod operation;
pub mod plan;
pub mod record;
mod shape;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;

use crate::protocol::request::Request;

pub use operation::OPERATIONS;
pub use plan::{Effect, Fault, FaultPlan, Limit, PlanError, RequestMatch};
pub use record::Record;

use record::Records;

/// A plan at work, and what has happened so far.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Mutex<Working>,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Working {
    plan: FaultPlan,
    progress: Vec<Progress>,
    /// Filesystems that are being deleted, with the end of that.
    deleting: Vec<(String, String, Instant)>,
}

/// How far a fault has come.
#[derive(Debug)]
struct Progress {
    dice: fastrand::Rng,
    matched: u64,
    happened: u64,
}

/// What the fault that a request gets is called, with all about it.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) effect: Effect,
    /// From 1, as the plan has them.
    pub(crate) number: usize,
}

impl Working {
    fn new(plan: FaultPlan) -> Self {
        // A sequence for each fault, so that one does not depend on how often another matches.
        let progress = (1..=plan.faults.len() as u64)
            .map(|number| Progress {
                dice: fastrand::Rng::with_seed(plan.seed ^ number.rotate_left(32)),
                matched: 0,
                happened: 0,
            })
            .collect();
        Self {
            plan,
            progress,
            deleting: Vec::new(),
        }
    }

    fn choose(&mut self, operation: &str, request: &Request) -> Option<Chosen> {
        let faults = self.plan.faults.iter().zip(&mut self.progress);
        for (place, (fault, progress)) in faults.enumerate() {
            if !matches(fault, operation, request) {
                continue;
            }
            progress.matched += 1;
            let is_over = fault.count.is_some_and(|count| progress.happened >= count);
            if progress.matched <= fault.skip || is_over {
                continue;
            }
            // Drawn for each request that matches, so that it depends on nothing else.
            if progress.dice.f64() >= fault.probability {
                continue;
            }
            progress.happened += 1;
            return Some(Chosen {
                effect: fault.effect.clone(),
                number: place + 1,
            });
        }
        None
    }
}

fn matches(fault: &Fault, operation: &str, request: &Request) -> bool {
    let wanted = &fault.matches;
    let is = |wanted: &Option<String>, given: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(given))
    };
    let place = format!("{}/{}", request.filesystem, request.path);
    let place = place.trim_matches('/');
    let is_there = wanted
        .path
        .as_ref()
        .is_none_or(|glob| fast_glob::glob_match(glob.trim_matches('/'), place));
    let fits = match fault.effect {
        Effect::StaleSecondary {} => {
            request.is_secondary && [Method::GET, Method::HEAD].contains(&request.method)
        }
        Effect::DeletingFilesystem { .. } => {
            ["deleteFilesystem", "deleteContainer"].contains(&operation)
        }
        _ => true,
    };
    fits && is_there
        && is(&wanted.operation, operation)
        && is(&wanted.method, request.method.as_str())
        && is(&wanted.account, &request.account)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// A plan that begins now.
    ///
    /// # Errors
    /// Those of [`FaultPlan::check`].
    pub fn new(plan: FaultPlan) -> Result<Self, PlanError> {
        let faults = Self::default();
        faults.set(plan)?;
        Ok(faults)
    }

    /// Has every request and fault written to a file as well, as JSON lines.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn record_to(&self, path: &Path) -> io::Result<()> {
        lock(&self.records).file = Some(File::create(path)?);
        Ok(())
    }

    /// Replaces the plan, and begins with it anew.
    ///
    /// # Errors
    /// Those of [`FaultPlan::check`]; the plan before stays then.
    pub fn set(&self, plan: FaultPlan) -> Result<(), PlanError> {
        plan.check()?;
        *lock(&self.plan) = Working::new(plan);
        Ok(())
    }

    /// The plan, and how often each of its faults has happened.
    #[must_use]
    pub fn plan(&self) -> (FaultPlan, Vec<u64>) {
        let working = lock(&self.plan);
        let happened = working.progress.iter().map(|fault| fault.happened);
        (working.plan.clone(), happened.collect())
    }

    /// The last requests, with what happened to them; the oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        lock(&self.records).last.iter().cloned().collect()
    }

    pub(crate) fn choose(&self, operation: &str, request: &Request) -> Option<Chosen> {
        lock(&self.plan).choose(operation, request)
    }

    pub(crate) fn note(&self, record: Record) {
        lock(&self.records).note(record);
    }

    /// Begins the time in which a filesystem is being deleted.
    pub(crate) fn begin_deleting(&self, account: &str, filesystem: &str, for_ms: u64) {
        let end = Instant::now() + Duration::from_millis(for_ms);
        let name = (account.to_owned(), filesystem.to_owned(), end);
        lock(&self.plan).deleting.push(name);
    }

    pub(crate) fn is_being_deleted(&self, account: &str, filesystem: &str) -> bool {
        let now = Instant::now();
        let mut working = lock(&self.plan);
        working.deleting.retain(|(.., end)| *end > now);
        working
            .deleting
            .iter()
            .any(|(of, name, _)| of == account && name == filesystem)
    }
}
