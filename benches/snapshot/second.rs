//! A snapshot after changes at random, beside those who merge them into files of their own, and beside what a script
//! does: read the CSV file of each partition, apply the changes, write it anew.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakestage::bench::{Load, YEARS};
use lakestage::engine::Lake as _;
use lakestage_benches::{Dice, Goal, Line, median, quotient, rest};

use crate::Args;
use crate::peers::Peers;

/// One row of so many changes: 1 %, 0.1 %, 0.01 %.
const SHARES: [(usize, &str); 3] = [
    (10_000, "0_01_percent"),
    (1_000, "0_1_percent"),
    (100, "1_percent"),
];
/// The share that is compared with the peers.
const OF_PEERS: usize = 100;

pub fn measure(args: &Args, folder: &Path, peers: &mut Peers) -> Vec<Line> {
    let load = Load::create(&folder.join("second")).unwrap();
    load.write(0..args.rows, &Load::notes()).unwrap();
    load.snapshot().unwrap();
    let files: Vec<PathBuf> = (2020..2020 + YEARS)
        .map(|year| {
            let content = load.lake.read(&format!("task/{year}.csv")).unwrap();
            let file = folder.join(format!("{year}.csv"));
            std::fs::write(&file, content.unwrap()).unwrap();
            file
        })
        .collect();
    let mut lines = Vec::new();
    for (share, name) in SHARES {
        lines.extend(change(args, &load, &files, (share, name), peers));
    }
    lines
}

fn change(
    args: &Args,
    load: &Load,
    files: &[PathBuf],
    (share, name): (usize, &str),
    peers: &mut Peers,
) -> Vec<Line> {
    let mut dice = Dice::new(share as u64);
    let [mut ours, mut script, mut duckdb, mut delta]: [Vec<Duration>; 4] = Default::default();
    let with_peers = share == OF_PEERS;
    let delta_is_there = with_peers && peers.ask("load_delta").is_some();
    for _ in 0..args.rounds {
        let rows: Vec<usize> = (0..args.rows / share)
            .map(|_| (dice.roll() % args.rows as u64) as usize)
            .collect();
        load.write(rows.iter().copied(), "changed").unwrap();
        rest(args.rows);
        let (report, time) = load.snapshot().unwrap();
        assert!(report.changed);
        ours.push(time);
        let ids: HashSet<String> = rows.iter().map(|row| Load::id(*row)).collect();
        rest(args.rows);
        let start = Instant::now();
        files.iter().for_each(|file| rewrite(file, &ids));
        script.push(start.elapsed());
        if with_peers {
            let path = files[0].with_file_name("changes.csv");
            let text: String = ids.iter().flat_map(|id| [id, "\n"]).collect();
            std::fs::write(&path, text).unwrap();
            peers.ask(&format!("changes {}", path.display()));
            rest(args.rows);
            duckdb.extend(peers.ask("duckdb_merge"));
            if delta_is_there {
                rest(args.rows);
                delta.extend(peers.ask("delta_merge"));
            }
        }
    }
    let ours = median(ours);
    println!("{name} changed: snapshot after {ours:.2?}");
    let others = [
        ("script", script),
        ("duckdb_merge", duckdb),
        ("delta_merge", delta),
    ];
    let measured = others.into_iter().filter(|(_, times)| !times.is_empty());
    measured
        .map(|(peer, times)| {
            let theirs = median(times);
            println!("{name} changed: {peer} after {theirs:.2?}");
            let name = format!("snapshot_after_{name}_beside_{peer}");
            Line::new(name, quotient(theirs, ours), Goal::AtLeast(5.0))
        })
        .collect()
}

/// What a script does to one partition.
fn rewrite(file: &Path, changed: &HashSet<String>) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(file)
        .unwrap();
    let new = file.with_extension("new");
    let mut writer = csv::WriterBuilder::new().from_path(&new).unwrap();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap() {
        let id = std::str::from_utf8(&record[0]).unwrap();
        if changed.contains(id) {
            let cells = record.iter().enumerate();
            let cells = cells.map(|(at, cell)| if at == 5 { b"changed" } else { cell });
            writer.write_record(cells).unwrap();
        } else {
            writer.write_byte_record(&record).unwrap();
        }
    }
    writer.flush().unwrap();
    File::open(&new).unwrap().sync_data().unwrap();
    std::fs::rename(new, file).unwrap();
}
