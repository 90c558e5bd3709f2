//! The answer to a commit that is on its way.

use crate::clock::Ticks;
use crate::error::{Error, Result};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a commit returned: everything in it is as durable as the environment's
/// [`Durability`](crate::Durability) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The version of the transaction's first row change.
    pub first_version: u64,
    /// The version of its last.
    pub last_version: u64,
    /// The time of the commit.
    pub committed: Ticks,
}

/// A commit on its way, made by [`Transaction::commit_later`](crate::Transaction::commit_later).
///
/// Dropping it does not take the commit back; it only gives up the answer.
#[derive(Debug)]
#[must_use = "only the ticket tells whether the commit became durable"]
pub struct CommitTicket(Arc<Answer>);

/// Who gives the answer. Where it is dropped without one, that is the answer.
pub(super) struct Reply(Arc<Answer>);

/// A channel would do, but who waits for one turns in a circle first, and where many wait they take the
/// processor from those who work.
#[derive(Debug, Default)]
struct Answer {
    state: Mutex<State>,
    given: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Awaited,
    Given(Result<Receipt>),
    /// It was given and taken, or nobody will give it.
    Gone,
}

pub(super) fn ticket() -> (CommitTicket, Reply) {
    let answer = Arc::<Answer>::default();
    (CommitTicket(answer.clone()), Reply(answer))
}

impl Answer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Result<Receipt>> {
        match std::mem::replace(self, State::Gone) {
            State::Awaited => {
                *self = State::Awaited;
                None
            }
            State::Given(answer) => Some(answer),
            State::Gone => Some(Err(gone())),
        }
    }
}

impl CommitTicket {
    /// Waits until the commit is durable.
    ///
    /// # Errors
    /// As [`Transaction::commit`](crate::Transaction::commit).
    pub fn wait(self) -> Result<Receipt> {
        let mut state = self.0.state();
        loop {
            if let Some(answer) = state.take() {
                return answer;
            }
            state = self
                .0
                .given
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The answer, if it is there already; it is given once.
    pub fn try_wait(&self) -> Option<Result<Receipt>> {
        match &mut *self.0.state() {
            State::Gone => None,
            state => state.take(),
        }
    }
}

impl Reply {
    /// Gives the answer. Who does not wait for it any more has no use for it.
    pub(super) fn send(&self, answer: Result<Receipt>) {
        let mut state = self.0.state();
        if matches!(*state, State::Awaited) {
            *state = State::Given(answer);
        }
        drop(state);
        self.0.given.notify_one();
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if matches!(*state, State::Awaited) {
            *state = State::Gone;
            self.0.given.notify_one();
        }
    }
}

pub(super) fn gone() -> Error {
    Error::Poisoned {
        reason: "the committer thread ended".into(),
    }
}
