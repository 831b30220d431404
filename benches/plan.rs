//! What a decision costs: time for each window, with 100 to 100,000 of them, and by which power of their number the time
//! grows from one size to the next. 1.0 is as it should be; 2.0 is the square.
//!
//! `cargo bench --bench plan`, with `BENCH_WINDOWS` (default 100000) for the largest size.
//!
//! The planner is private and pure, so it is built here from its own source, with the words that it speaks.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "most of the source has its users elsewhere")]

use std::env;

use reconcile::plan::tests::large::Large;

#[path = "../src/model/mod.rs"]
mod model;
#[path = "../src/reconcile"]
mod reconcile {
    pub(crate) mod plan;
    pub(crate) mod world;
}

/// Repetitions: many of what is over soon.
const REPEATED: usize = 200_000;

fn main() {
    let largest = env::var("BENCH_WINDOWS").map_or(100_000, |text| text.parse().expect("a number"));
    println!("{:<18} {:>8} {:>8} {:>12} {:>12} {:>7}", "", "windows", "writes", "time", "a window", "growth");
    for what in Large::ALL {
        let mut before: Option<f64> = None;
        let sizes = (2..).map(|power| 10_usize.pow(power)).take_while(|windows| *windows <= largest);
        for windows in sizes {
            let (took, writes) = what.decision(windows).cost((REPEATED / windows).clamp(2, 100));
            let each = took / u32::try_from(windows).expect("not so many");
            let growth = before
                .map_or(String::new(), |before| format!("{:.2}", (took.as_secs_f64() / before).log10()));
            let name = format!("{what:?}");
            println!("{name:<18} {windows:>8} {writes:>8} {took:>12.2?} {each:>12.2?} {growth:>7}");
            before = Some(took.as_secs_f64());
        }
    }
}
