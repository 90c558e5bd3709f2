//! Which write each byte of a file comes from.

use std::collections::BTreeMap;

/// A run of a file that comes from one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) end: u64,
    /// Where in the file the source's first byte stands.
    pub(super) origin: u64,
    pub(super) source: usize,
}

/// Which source each byte of the file comes from: later paint covers earlier.
#[derive(Debug)]
pub(super) struct Painted {
    pub(super) runs: BTreeMap<u64, Run>,
}

impl Painted {
    pub(super) fn new(committed_length: u64) -> Self {
        let mut runs = BTreeMap::new();
        if committed_length > 0 {
            runs.insert(
                0,
                Run {
                    end: committed_length,
                    origin: 0,
                    source: 0,
                },
            );
        }
        Self { runs }
    }

    pub(super) fn paint(&mut self, start: u64, end: u64, source: usize) {
        let first = self
            .runs
            .range(..=start)
            .next_back()
            .map_or(start, |(key, _)| *key);
        let touched: Vec<(u64, Run)> = self
            .runs
            .range(first..end)
            .map(|(start, run)| (*start, *run))
            .collect();
        for (old_start, old) in touched {
            if old.end <= start {
                continue;
            }
            self.runs.remove(&old_start);
            if old_start < start {
                self.runs.insert(old_start, Run { end: start, ..old });
            }
            if old.end > end {
                self.runs.insert(end, old);
            }
        }
        self.runs.insert(
            start,
            Run {
                end,
                origin: start,
                source,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_paint_covers_earlier() {
        let mut painted = Painted::new(10);
        painted.paint(8, 20, 1);
        painted.paint(12, 14, 2);
        painted.paint(0, 3, 3);
        let runs: Vec<_> = painted
            .runs
            .iter()
            .map(|(start, run)| (*start, run.end, run.source))
            .collect();
        assert_eq!(
            runs,
            [(0, 3, 3), (3, 8, 0), (8, 12, 1), (12, 14, 2), (14, 20, 1)]
        );
        let tail = painted.runs.get(&14).map(|run| run.origin);
        assert_eq!(tail, Some(8));
    }
}
