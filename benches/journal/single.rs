//! Commits of one row, beside a loop of `pwrite` and `fdatasync`.

use std::collections::VecDeque;
use std::path::Path;
use std::thread;

use lakestage_benches::{Dice, Goal, by_turns, ratio_line};

use crate::Args;
use crate::environment::{Bench, ROW_BYTES};
use crate::plain::Preallocated;

const PRODUCERS: usize = 64;
const IN_FLIGHT: usize = 1_024;
const FILE_BYTES: usize = 16 << 20;

pub fn measure(args: &Args, folder: &Path) -> Vec<String> {
    let bench = Bench::new(&folder.join("single"));
    let mut file = Preallocated::new(&folder.join("preallocated"), FILE_BYTES);
    let mut dice = Dice::new(1);
    let mut line = |name, goal, commits: usize, run: &dyn Fn(&[String])| {
        let rounds: Vec<Vec<String>> = (0..args.rounds)
            .map(|_| (0..commits).map(|_| dice.id()).collect())
            .collect();
        let (engine, plain) = by_turns(
            args.rounds,
            |round| run(&rounds[round]),
            |_| (0..args.commits).for_each(|_| file.write(&[b'r'; ROW_BYTES])),
        );
        let rate = commits as f64 / engine.as_secs_f64();
        let plain_rate = args.commits as f64 / plain.as_secs_f64();
        println!("{name}: {rate:.0} commits/s beside {plain_rate:.0} synced writes/s");
        ratio_line(name, rate / plain_rate, Goal::AtLeast(goal))
    };
    vec![
        line("journal_one_producer", 0.6, args.commits, &|ids| {
            ids.chunks(1).for_each(|id| bench.commit(id));
        }),
        line(
            "journal_64_producers",
            10.0,
            PRODUCERS * args.commits_per_producer,
            &|ids| many_producers(&bench, ids),
        ),
        line(
            "journal_1024_in_flight",
            30.0,
            args.commits_in_flight,
            &|ids| in_flight(&bench, ids),
        ),
    ]
}

/// Each waits for its own commits.
fn many_producers(bench: &Bench, ids: &[String]) {
    thread::scope(|scope| {
        for ids in ids.chunks(ids.len() / PRODUCERS) {
            scope.spawn(move || ids.chunks(1).for_each(|id| bench.commit(id)));
        }
    });
}

fn in_flight(bench: &Bench, ids: &[String]) {
    let mut tickets = VecDeque::with_capacity(IN_FLIGHT);
    for id in ids.chunks(1) {
        if tickets.len() == IN_FLIGHT {
            wait(tickets.pop_front());
        }
        tickets.push_back(bench.commit_later(id));
    }
    while !tickets.is_empty() {
        wait(tickets.pop_front());
    }
}

fn wait(ticket: Option<lakestage::engine::CommitTicket>) {
    if let Some(ticket) = ticket {
        ticket.wait().unwrap();
    }
}
