//! Failures on purpose, for the tests that prove what the engine promises. Debug builds carry them; in
//! a release build every question here is answered with "no" by the compiler.

use std::io;
use std::path::Path;

/// What the engine asks of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new file, or an old one that is emptied.
    Create,
    /// Bytes into a file.
    Write,
    /// The bytes of a file, or the names of a folder, onto the disk.
    Sync,
    /// Another name.
    Rename,
    /// One more name.
    Link,
    /// A name less.
    Remove,
}

/// Environment variable with the name of a mistake that the engine is to make.
pub const MISTAKE_VARIABLE: &str = "LAKESTAGE_MISTAKE";

/// Whether the engine is to make a mistake, so that a test shows that it is noticed.
pub(crate) fn makes(mistake: &str) -> bool {
    #[cfg(debug_assertions)]
    {
        carried::mistake() == Some(mistake)
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = mistake;
        false
    }
}

/// Asked before each operation on a file of the engine's own.
///
/// # Errors
/// If a test wants this one to fail.
pub(crate) fn meet(operation: Operation, path: &Path) -> io::Result<()> {
    #[cfg(debug_assertions)]
    {
        carried::meet(operation, path)
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = (operation, path);
        Ok(())
    }
}

#[cfg(debug_assertions)]
pub use carried::FaultPlan;

#[cfg(debug_assertions)]
mod carried {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
    use std::{env, io};

    use super::{MISTAKE_VARIABLE, Operation};

    pub(super) fn mistake() -> Option<&'static str> {
        static MISTAKE: OnceLock<Option<String>> = OnceLock::new();
        let mistake = MISTAKE.get_or_init(|| env::var(MISTAKE_VARIABLE).ok());
        mistake.as_deref()
    }

    #[derive(Default)]
    struct Plan {
        folder: PathBuf,
        seen: Vec<(Operation, PathBuf)>,
        /// The operation that fails, counted from now, and with what.
        fails: Option<(usize, io::ErrorKind)>,
    }

    static PLANS: Mutex<Vec<Arc<Mutex<Plan>>>> = Mutex::new(Vec::new());

    fn plans() -> MutexGuard<'static, Vec<Arc<Mutex<Plan>>>> {
        PLANS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn meet(operation: Operation, path: &Path) -> io::Result<()> {
        for plan in plans().iter() {
            let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
            if !path.starts_with(&plan.folder) {
                continue;
            }
            plan.seen.push((operation, path.to_owned()));
            match plan.fails {
                Some((0, kind)) => {
                    plan.fails = None;
                    return Err(io::Error::new(kind, "it fails on purpose"));
                }
                Some((left, kind)) => plan.fails = Some((left - 1, kind)),
                None => {}
            }
        }
        Ok(())
    }

    /// Watches the file operations below a folder, and lets one of them fail.
    pub struct FaultPlan(Arc<Mutex<Plan>>);

    impl FaultPlan {
        /// Watches from now on, until it is dropped.
        pub fn below(folder: &Path) -> Self {
            let plan = Arc::new(Mutex::new(Plan {
                folder: folder.to_owned(),
                ..Plan::default()
            }));
            plans().push(plan.clone());
            FaultPlan(plan)
        }

        fn plan(&self) -> MutexGuard<'_, Plan> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Lets `operations` more succeed and the next one fail, once.
        pub fn fail_after(&self, operations: usize, kind: io::ErrorKind) {
            self.plan().fails = Some((operations, kind));
        }

        /// Whether the failure has not come yet.
        pub fn waits(&self) -> bool {
            self.plan().fails.is_some()
        }

        /// What was done so far.
        pub fn seen(&self) -> Vec<(Operation, PathBuf)> {
            self.plan().seen.clone()
        }
    }

    impl Drop for FaultPlan {
        fn drop(&mut self) {
            plans().retain(|plan| !Arc::ptr_eq(plan, &self.0));
        }
    }
}
