//! Commits of 1,000 rows, beside the same bytes in a plain file and beside other stores.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use lakestage::engine::CommitTicket;
use lakestage_benches::{Dice, Goal, by_turns, quotient, ratio_line};

use crate::Args;
use crate::environment::{Bench, ROW_BYTES};
use crate::plain;

const ROWS_PER_COMMIT: usize = 1_000;
/// What a producer keeps in flight that does not wait for each commit before it makes the next.
const IN_FLIGHT: usize = 8;

pub fn measure(args: &Args, folder: &Path) -> Vec<String> {
    let bench = Bench::new(&folder.join("bulk"));
    let mut file = File::create(folder.join("plain")).unwrap();
    let mut dice = Dice::new(2);
    let bytes = [b'r'; ROW_BYTES].repeat(ROWS_PER_COMMIT);
    let mut beside = |name: &str, goal: f64, other: &mut dyn FnMut(&[String])| {
        let rounds: Vec<Vec<String>> = (0..args.rounds)
            .map(|_| {
                (0..args.bulk_commits * ROWS_PER_COMMIT)
                    .map(|_| dice.id())
                    .collect()
            })
            .collect();
        let commits = |round: usize| rounds[round].chunks(ROWS_PER_COMMIT);
        let (engine, peer) = by_turns(
            args.rounds,
            |round| commits(round).for_each(|ids| bench.commit(ids)),
            |round| commits(round).for_each(&mut *other),
        );
        println!("{name}: {engine:.2?} beside {peer:.2?}");
        (name.to_owned(), goal, quotient(peer, engine))
    };
    let mut measured = vec![beside("journal_bulk_of_plain_file", 0.7, &mut |_| {
        plain::append(&mut file, &bytes);
    })];
    #[cfg(feature = "peers")]
    measured.extend(beside_stores(folder, &mut beside));
    measured.push(in_flight(args, &bench, &mut dice, |_| {
        plain::append(&mut file, &bytes);
    }));
    let lines = measured.into_iter();
    lines
        .map(|(name, goal, ratio)| ratio_line(&name, ratio, Goal::AtLeast(goal)))
        .collect()
}

/// The same load with several commits in flight: rendering and syncing overlap, and each is durable all the same.
fn in_flight(
    args: &Args,
    bench: &Bench,
    dice: &mut Dice,
    mut append: impl FnMut(usize),
) -> Measured {
    const NAME: &str = "journal_bulk_8_in_flight_of_plain_file";
    let rounds: Vec<Vec<String>> = (0..args.rounds)
        .map(|_| {
            let rows = args.bulk_commits * ROWS_PER_COMMIT;
            (0..rows).map(|_| dice.id()).collect()
        })
        .collect();
    let (engine, file) = by_turns(
        args.rounds,
        |round| {
            let mut tickets: VecDeque<CommitTicket> = VecDeque::new();
            for ids in rounds[round].chunks(ROWS_PER_COMMIT) {
                if tickets.len() == IN_FLIGHT
                    && let Some(oldest) = tickets.pop_front()
                {
                    oldest.wait().unwrap();
                }
                tickets.push_back(bench.commit_later(ids));
            }
            for ticket in tickets {
                ticket.wait().unwrap();
            }
        },
        |_| (0..args.bulk_commits).for_each(&mut append),
    );
    println!("{NAME}: {engine:.2?} beside {file:.2?}");
    (NAME.to_owned(), 0.7, quotient(file, engine))
}

/// A line's name, its goal and its value.
type Measured = (String, f64, f64);

#[cfg(feature = "peers")]
fn beside_stores(
    folder: &Path,
    beside: &mut dyn FnMut(&str, f64, &mut dyn FnMut(&[String])) -> Measured,
) -> Vec<Measured> {
    use crate::peers::{Fjall, Redb, Sqlite};
    let mut sqlite = Sqlite::new(&folder.join("sqlite"));
    let redb = Redb::new(&folder.join("redb"));
    let fjall = Fjall::new(&folder.join("fjall"));
    let first = beside("journal_bulk_of_sqlite", 1.5, &mut |ids| sqlite.commit(ids));
    let of_redb = beside("journal_bulk_of_redb", 1.0, &mut |ids| redb.commit(ids));
    let of_fjall = beside("journal_bulk_of_fjall", 1.0, &mut |ids| fjall.commit(ids));
    vec![first, of_redb, of_fjall]
}
