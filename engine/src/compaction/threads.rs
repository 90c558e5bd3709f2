//! Work that several threads share.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Does `tasks` pieces of work, each by its number, and gives the results in order. There is a
/// thread for each tool but the first, which the caller's thread uses; and no more than tasks. A
/// scratch is kept by each thread from task to task. After an error no more work is begun.
pub(super) fn share<T, S, R>(
    tools: impl Iterator<Item = T>,
    tasks: usize,
    work: impl Fn(&mut T, &mut S, usize) -> Result<R> + Sync,
) -> Result<Vec<R>>
where
    T: Send,
    S: Default,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let run = |mut tool: T| -> Result<Vec<(usize, R)>> {
        let mut scratch = S::default();
        let mut done = Vec::new();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return Ok(done);
            }
            match work(&mut tool, &mut scratch, task) {
                Ok(result) => done.push((task, result)),
                Err(error) => {
                    next.store(tasks, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut tools = tools.take(tasks);
    let Some(first) = tools.next() else {
        return Ok(Vec::new());
    };
    let mut done = std::thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = tools.map(|tool| scope.spawn(move || run(tool))).collect();
        let mut done = run(first);
        for other in others {
            let theirs = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done = done.and_then(|mut done| {
                done.extend(theirs?);
                Ok(done)
            });
        }
        done
    })?;
    done.sort_unstable_by_key(|(task, _)| *task);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_come_in_the_order_of_the_tasks_and_an_error_ends_the_work() {
        let square = |_: &mut u8, _: &mut (), task: usize| Ok(task * task);
        let squares: Vec<usize> = (0..100).map(|n| n * n).collect();
        assert_eq!(
            share([0u8, 1, 2].into_iter(), 100, square).unwrap(),
            squares
        );
        assert!(share([0u8].into_iter(), 0, square).unwrap().is_empty());
        let failing = |_: &mut u8, begun: &mut usize, task: usize| {
            *begun += 1;
            match task {
                7 => Err(Error::invalid("seven")),
                _ => Ok(*begun),
            }
        };
        assert!(share([0u8, 1].into_iter(), 1_000, failing).is_err());
    }
}
