//! What threads wait for each other with. The test `schedules` puts others in their place, which try the
//! orders in which threads may run.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread;
