//! What the machine can do at best.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::YEARS;

const CHUNK_BYTES: usize = 1 << 20;
const COPY_BYTES: usize = 64 << 20;
const REST_A_ROW: Duration = Duration::from_micros(3);
const REST_MAX: Duration = Duration::from_secs(10);

/// The limits of the machine, in bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Writing a file and syncing it.
    pub write_and_sync: f64,
    /// Parsing CSV with one thread.
    pub parse_csv: f64,
    /// Copying memory with one thread.
    pub copy_memory: f64,
}

/// Bytes in a time, a second.
pub(super) fn speed(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Waits a while, as every measurement does before it begins: a disk that is shared lends speed for a moment, and who
/// comes after somebody that wrote much would be measured without it.
pub fn rest(rows: usize) {
    std::thread::sleep((REST_A_ROW * rows as u32).min(REST_MAX));
}

/// Writes as many bytes as a snapshot has, in as many files, each synced; removes them, and tells how long the writing
/// took.
///
/// # Errors
/// What the disk answers.
pub fn raw(folder: &Path, bytes: u64) -> io::Result<Duration> {
    let chunk = vec![b'r'; CHUNK_BYTES];
    let path = |year: usize| folder.join(format!("raw-{year}"));
    let start = Instant::now();
    for year in 0..YEARS {
        let mut file = File::create(path(year))?;
        let mut left = bytes as usize / YEARS;
        while left > 0 {
            let next = left.min(CHUNK_BYTES);
            file.write_all(&chunk[..next])?;
            left -= next;
        }
        file.sync_all()?;
    }
    let time = start.elapsed();
    (0..YEARS).try_for_each(|year| fs::remove_file(path(year)))?;
    Ok(time)
}

/// Parses a CSV file, and tells how long it took.
///
/// # Errors
/// What the disk answers, or a file that is no CSV.
pub(super) fn parse(path: &Path) -> csv::Result<Duration> {
    let start = Instant::now();
    let mut reader = csv::Reader::from_path(path)?;
    let mut record = csv::ByteRecord::new();
    let mut cells = 0;
    while reader.read_byte_record(&mut record)? {
        cells += record.len();
    }
    std::hint::black_box(cells);
    Ok(start.elapsed())
}

/// Bytes a second that one thread copies in memory.
pub(super) fn copy_memory() -> f64 {
    let from = vec![1u8; COPY_BYTES];
    // Written once, so that its pages are there.
    let mut to = vec![2u8; COPY_BYTES];
    let start = Instant::now();
    to.copy_from_slice(&from);
    let time = start.elapsed();
    std::hint::black_box(&to);
    speed(COPY_BYTES as u64, time)
}

/// The most memory that this process had, mapped files included, where the system tells.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
