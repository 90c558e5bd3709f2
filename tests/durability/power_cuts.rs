//! Power cuts while a server takes rows, publishes them into its lake, and clients put files there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::{Disk, Kind};
use crate::lake::{check_whole, rows};
use crate::support::{Server, output, run};
use crate::{Random, check_rows, set_up, write_until};

const MEBIBYTES: u32 = 400;
const CUTS: u64 = 8;
const CUTS_MANY: u64 = 60;
const CUT_WITHIN_MS: u64 = 1_200;
/// What `--sync group` may lose is a tenth of a second; a sync that is under way takes its time.
const GROUP_MS: u64 = 500;
const FILESYSTEM: &str = "files";

/// Files that were put into the lake, and when the server had answered.
type Put = Vec<(u64, Instant)>;

fn content(number: u64) -> Vec<u8> {
    format!("{number} ")
        .repeat(1 + (number as usize % 7) * 3_000)
        .into_bytes()
}

/// Puts files into the lake until that fails.
fn put_files(data: &Path, folder: &Path, first: u64, over: &AtomicBool) -> Put {
    let mut put = Put::new();
    for number in first.. {
        let file = folder.join("file");
        std::fs::write(&file, content(number)).unwrap();
        let path = format!("{FILESYSTEM}/{number}");
        let done = output(data, &["fs", "put", &file.to_string_lossy(), &path], b"");
        if over.load(Ordering::SeqCst) || !done.status.success() {
            break;
        }
        put.push((number, Instant::now()));
    }
    put
}

/// One run of the server and one cut. Gives the last batch that was acknowledged, and the files that must be there.
fn cut(disk: &Disk, sync: &str, batch: u64, file: u64, after: Duration) -> (Option<u64>, Vec<u64>) {
    let data = data_of(disk);
    let server = Server::start_with(&data, &["--sync", sync]);
    let over = Arc::new(AtomicBool::new(false));
    let aside = tempfile::tempdir().unwrap();
    let putting = thread::spawn({
        let (data, over, aside) = (data.clone(), over.clone(), aside.path().to_owned());
        move || put_files(&data, &aside, file, &over)
    });
    let mut at = Instant::now();
    let last = write_until(server, &data, batch, |server| {
        thread::sleep(after);
        at = Instant::now();
        disk.cut();
        over.store(true, Ordering::SeqCst);
        server.kill();
    });
    let put = putting.join().unwrap().into_iter();
    let loss = Duration::from_millis(if sync == "group" { GROUP_MS } else { 0 });
    let kept = put
        .filter(|(_, when)| *when + loss <= at)
        .map(|(number, _)| number);
    (last, kept.collect())
}

fn data_of(disk: &Disk) -> PathBuf {
    disk.path().join("data")
}

fn check_files(data: &Path, files: &BTreeSet<u64>) {
    for number in files {
        let stored = run(data, &["fs", "cat", &format!("{FILESYSTEM}/{number}")]);
        assert!(stored == content(*number), "the file {number} is another");
    }
}

fn cuts(sync: &str, cuts: u64) {
    let Some(mut disk) = Disk::new(Kind::Ext4, MEBIBYTES) else {
        return;
    };
    set_up(&data_of(&disk));
    run(&data_of(&disk), &["fs", "mkdir", FILESYSTEM]);
    let mut random = Random::new();
    let (mut batches, mut files) = (BTreeSet::new(), BTreeSet::new());
    let (mut next_batch, mut next_file) = (1, 1);
    for number in 0..cuts {
        let after = Duration::from_millis(100 + random.below(CUT_WITHIN_MS));
        let (last, put) = cut(&disk, sync, next_batch, next_file, after);
        disk.power_on();
        let data = data_of(&disk);
        batches.extend(next_batch..=last.unwrap_or(next_batch - 1));
        // A file that was put and not acknowledged keeps its number.
        next_file += 1_000;
        files.extend(put);
        check_whole(&data);
        run(&data, &["snapshot"]);
        let found = check_rows(&rows(&data), &batches);
        check_files(&data, &files);
        run(&data, &["verify", "--full"]);
        println!(
            "cut {number}: {} batches and {} files were acknowledged",
            batches.len(),
            files.len()
        );
        next_batch = found.unwrap_or(0).max(next_batch - 1) + 1;
    }
    assert!(batches.len() as u64 > cuts && files.len() as u64 > cuts);
}

#[test]
fn a_power_cut_takes_nothing_of_a_lake_that_always_syncs() {
    cuts("always", CUTS);
}

#[test]
fn a_power_cut_takes_at_most_the_last_moment_of_a_lake_that_syncs_in_groups() {
    cuts("group", CUTS);
}

#[test]
#[ignore = "many power cuts take minutes"]
fn many_power_cuts_take_nothing_of_a_lake() {
    cuts("always", CUTS_MANY);
    cuts("group", CUTS_MANY);
}
