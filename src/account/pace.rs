//! Sending no faster than the way may be used.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::stream::SeekableStream;
use futures::AsyncRead;
use jiff::Timestamp;
use tokio::time::{Instant, Sleep};

use super::schedule::{Rate, Schedule};

/// How much is sent at a time: little enough for a slow way to be used evenly.
const PIECES_A_SECOND: u64 = 8;
const PIECE_BYTES_MIN: u64 = 1 << 10;
const PIECE_BYTES_MAX: u64 = 64 << 10;

/// What all connections to an account have sent, and when they may go on.
#[derive(Debug)]
pub(super) struct Pace {
    schedule: Schedule,
    next: Mutex<Instant>,
    /// How many have asked for the schedule not to count.
    ignored: AtomicUsize,
    busy: Mutex<Busy>,
    /// Bytes that were handed to the network, those that had to be sent again as well.
    on_the_wire: AtomicU64,
}

impl Pace {
    pub(super) fn new(schedule: Schedule) -> Self {
        Pace {
            schedule,
            next: Mutex::new(Instant::now()),
            ignored: AtomicUsize::new(0),
            busy: Mutex::default(),
            on_the_wire: AtomicU64::new(0),
        }
    }

    /// Until when the way is closed; `None` while it is open.
    pub(super) fn closed_until(&self) -> Option<Timestamp> {
        if self.is_ignored() {
            return None;
        }
        let now = Timestamp::now();
        let opens = self.schedule.opens(now).unwrap_or_else(|error| {
            tracing::warn!(%error, "the schedule of the account cannot be followed; the way is taken for open");
            Some(now)
        });
        opens.filter(|opens| *opens > now)
    }

    /// How sending goes.
    pub(super) fn sending(&self) -> Sending {
        let wire_bytes = self.on_the_wire.load(Ordering::Relaxed);
        let busy_s = self.lock_busy().so_far().as_secs_f64();
        Sending {
            wire_bytes,
            bytes_s: (busy_s > 0.0 && wire_bytes > 0).then(|| wire_bytes as f64 / busy_s),
        }
    }

    /// Counts the time until what it gives is dropped as time in which something is sent.
    pub(super) fn busy(self: &Arc<Self>) -> BusyTime {
        let mut busy = self.lock_busy();
        if busy.bodies == 0 {
            busy.since = Some(Instant::now());
        }
        busy.bodies += 1;
        drop(busy);
        BusyTime(Arc::clone(self))
    }

    fn lock_busy(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that may be sent a second, if anything says so. What is on its way when the way closes goes on at the
    /// pace it had.
    fn bytes_s(&self) -> Option<u64> {
        if self.is_ignored() {
            return None;
        }
        let limit = |rate| match rate {
            Rate::Limited(bytes_s) => Some(bytes_s.get()),
            Rate::Full | Rate::Closed => None,
        };
        match self.schedule.rate(Timestamp::now()) {
            Ok(Rate::Closed) => limit(self.schedule.bandwidth),
            Ok(rate) => limit(rate),
            Err(_) => None,
        }
    }

    /// What the way takes at its slowest, when it is open; `None` where nothing limits it.
    pub(super) fn slowest_bytes_s(&self) -> Option<u64> {
        self.schedule.slowest_bytes_s()
    }

    fn is_ignored(&self) -> bool {
        self.ignored.load(Ordering::Relaxed) > 0
    }

    /// How large the next piece is, and from when on it may go.
    fn take(&self, left: usize) -> (usize, Instant) {
        let now = Instant::now();
        let Some(bytes_s) = self.bytes_s() else {
            return (left.min(PIECE_BYTES_MAX as usize), now);
        };
        let piece = (bytes_s / PIECES_A_SECOND).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX);
        let bytes = left.min(piece as usize);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (*next).max(now);
        *next = at + Duration::from_secs_f64(bytes as f64 / bytes_s as f64);
        (bytes, at)
    }
}

/// How sending goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    /// Bytes that were handed to the network so far, also those that had to be sent again.
    pub wire_bytes: u64,
    /// Bytes a second, of the time in which anything was sent; `None` before anything was.
    pub bytes_s: Option<f64>,
}

/// When something is sent.
#[derive(Debug, Default)]
struct Busy {
    bodies: usize,
    since: Option<Instant>,
    before: Duration,
}

impl Busy {
    fn so_far(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// While it lives, time counts as time in which something is sent.
pub(super) struct BusyTime(Arc<Pace>);

impl Drop for BusyTime {
    fn drop(&mut self) {
        let mut busy = self.0.lock_busy();
        busy.bodies -= 1;
        if busy.bodies == 0 {
            busy.before = busy.so_far();
            busy.since = None;
        }
    }
}

/// While it lives the schedule of an account does not count.
#[derive(Debug)]
pub struct IgnoredSchedule(Arc<Pace>);

impl IgnoredSchedule {
    pub(super) fn of(pace: &Arc<Pace>) -> Self {
        pace.ignored.fetch_add(1, Ordering::Relaxed);
        IgnoredSchedule(Arc::clone(pace))
    }
}

impl Drop for IgnoredSchedule {
    fn drop(&mut self) {
        self.0.ignored.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When something last went over the wire.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn new() -> Self {
        Progress(Arc::new(Mutex::new(Instant::now())))
    }

    fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has gone over the wire for so long.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let due = last + limit;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// A body that is handed over piece by piece, at a pace.
pub(super) struct PacedBody {
    bytes: Bytes,
    at: usize,
    pace: Arc<Pace>,
    progress: Progress,
    next: Option<(usize, Pin<Box<Sleep>>)>,
}

impl PacedBody {
    pub(super) fn new(bytes: Bytes, pace: Arc<Pace>, progress: Progress) -> Self {
        PacedBody {
            bytes,
            at: 0,
            pace,
            progress,
            next: None,
        }
    }
}

impl fmt::Debug for PacedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacedBody({} bytes)", self.bytes.len())
    }
}

impl Clone for PacedBody {
    fn clone(&self) -> Self {
        PacedBody::new(
            self.bytes.clone(),
            Arc::clone(&self.pace),
            self.progress.clone(),
        )
    }
}

#[async_trait]
impl SeekableStream for PacedBody {
    async fn reset(&mut self) -> azure_core::Result<()> {
        self.at = 0;
        self.next = None;
        Ok(())
    }

    fn len(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }

    fn buffer_size(&self) -> usize {
        PIECE_BYTES_MAX as usize
    }
}

impl AsyncRead for PacedBody {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let left = (self.bytes.len() - self.at).min(buffer.len());
        if left == 0 {
            return Poll::Ready(Ok(0));
        }
        let body = &mut *self;
        let pace = &body.pace;
        let (bytes, sleep) = body.next.get_or_insert_with(|| {
            let (bytes, at) = pace.take(left);
            (bytes, Box::pin(tokio::time::sleep_until(at)))
        });
        ready!(sleep.as_mut().poll(context));
        let bytes = (*bytes).min(left);
        buffer[..bytes].copy_from_slice(&body.bytes[body.at..body.at + bytes]);
        body.at += bytes;
        body.next = None;
        body.progress.made();
        pace.on_the_wire.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::AsyncReadExt as _;

    use super::*;

    fn pace(bandwidth: &str) -> Arc<Pace> {
        Arc::new(Pace::new(Schedule {
            bandwidth: bandwidth.parse().unwrap(),
            ..Schedule::default()
        }))
    }

    async fn read(pace: &Arc<Pace>, bytes: usize) -> usize {
        let content = Bytes::from(vec![7; bytes]);
        let mut body = PacedBody::new(content, Arc::clone(pace), Progress::new());
        let mut read = Vec::new();
        body.read_to_end(&mut read).await.unwrap()
    }

    #[tokio::test]
    async fn all_connections_together_keep_the_bandwidth() {
        let pace = pace("64KiB/s");
        let begun = Instant::now();
        let (one, other) = tokio::join!(read(&pace, 16 << 10), read(&pace, 16 << 10));
        // Four pieces of 8 KiB; the first goes at once.
        assert!(begun.elapsed() >= Duration::from_millis(370));
        assert_eq!((one, other), (16 << 10, 16 << 10));
        assert_eq!(pace.sending().wire_bytes, 32 << 10);
    }

    #[tokio::test]
    async fn a_body_begins_anew_when_it_is_sent_again() {
        let pace = pace("full");
        let content = Bytes::from((0..200_000u32).map(|n| n as u8).collect::<Vec<u8>>());
        let mut body = PacedBody::new(content.clone(), Arc::clone(&pace), Progress::new());
        let mut half = vec![0; 100_000];
        body.read_exact(&mut half).await.unwrap();
        body.reset().await.unwrap();
        let mut whole = Vec::new();
        body.read_to_end(&mut whole).await.unwrap();
        assert_eq!(whole, content);
        assert_eq!(SeekableStream::len(&body), Some(200_000));
    }

    #[tokio::test]
    async fn a_request_stalls_when_nothing_has_gone_for_a_while() {
        let progress = Progress::new();
        let limit = Duration::from_millis(80);
        let begun = Instant::now();
        let going_on = async {
            for _ in 0..4 {
                tokio::time::sleep(limit / 4).await;
                progress.made();
            }
        };
        tokio::join!(going_on, progress.stalled(limit));
        assert!(begun.elapsed() >= limit * 2);
    }
}
