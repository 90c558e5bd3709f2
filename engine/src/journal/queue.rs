//! The bounded queue before the committer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::faults;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Many put something in, one takes all of it out at once. A channel would do, but who waits for one
/// turns in a circle first, and gives one at a time.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    left: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    is_closed: bool,
    /// How many wait for room; nobody is woken who does not.
    want_room: usize,
}

/// Why nothing was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Queue {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                is_closed: false,
                want_room: 0,
            }),
            arrived: Condvar::new(),
            left: Condvar::new(),
            capacity,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in; where there is no room it waits for so long.
    pub(super) fn put(&self, item: T, wait: Duration) -> Result<(), Refused> {
        let mut until = None;
        let mut state = self.state();
        while !state.is_closed && state.waiting.len() >= self.capacity {
            let until = *until.get_or_insert_with(|| Instant::now() + wait);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refused::Full);
            }
            state.want_room += 1;
            let waited = self.left.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.want_room -= 1;
        }
        if state.is_closed {
            return Err(Refused::Closed);
        }
        state.waiting.push_back(item);
        let is_first = state.waiting.len() == 1;
        drop(state);
        // Whoever takes goes on until nothing is left.
        if is_first && !faults::makes("the committer is not woken") {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for something, and takes what is there for as long as `more` says so, one thing at least.
    /// `None` once it is closed and empty.
    pub(super) fn take(&self, mut more: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.is_closed {
            let waited = self.arrived.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = vec![state.waiting.pop_front()?];
        let mut goes_on = more(&taken[0]);
        while goes_on && let Some(item) = state.waiting.pop_front() {
            goes_on = more(&item);
            taken.push(item);
        }
        let wants_room = state.want_room > 0;
        drop(state);
        if wants_room {
            self.left.notify_all();
        }
        Some(taken)
    }

    /// Nothing more is put in; what is there can be taken.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_all();
        self.left.notify_all();
    }

    /// Closes it, and drops what is there: nobody will take it.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
        self.left.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.state().waiting.len()
    }
}
