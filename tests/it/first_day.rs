//! `docs/first-day.md` is what a new user sees: its commands are run as they stand there, and print what stands there.
//!
//! `BLESS=1` writes down what they print now.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sandbox::{
    clock::Clock,
    pagerduty::{Endpoint, PagerDuty},
    strongdm::StrongDm,
    world,
};
use tokio::time::sleep;

use crate::support::{directory, free_port, output};

const PAGE: &str = "docs/first-day.md";
/// The directory that the page speaks of.
const PLACE: &str = "/home/you/first-day";
/// Most commands answer at once; what they tell of may take a few seconds to come about.
const PATIENCE: Duration = Duration::from_mins(1);

/// A piece of the page.
enum Piece {
    /// Text, and blocks that are not run.
    Text(String),
    /// A file to save.
    File(String),
    /// A command and what it prints.
    Run {
        command: String,
        printed: String,
    },
    EndOfBlock,
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (block, line) {
            (None, "```console") => block = Some("console"),
            (None, "```toml") => {
                block = Some("toml");
                pieces.push(Piece::File(String::new()));
            }
            (Some(_), "```") => {
                block = None;
                pieces.push(Piece::EndOfBlock);
            }
            (Some("console"), line) => match (line.strip_prefix("$ "), pieces.last_mut()) {
                (Some(command), _) => {
                    pieces.push(Piece::Run { command: command.to_owned(), printed: String::new() });
                }
                (None, Some(Piece::Run { printed, .. })) => printed.extend([line, "\n"]),
                (None, _) => panic!("{PAGE}: an output without a command: {line}"),
            },
            (_, line) => match pieces.last_mut() {
                Some(Piece::File(text) | Piece::Text(text)) => text.extend([line, "\n"]),
                _ => pieces.push(Piece::Text(format!("{line}\n"))),
            },
        }
    }
    pieces
}

fn page_of(pieces: &[Piece]) -> String {
    let mut page = String::new();
    let mut is_open = false;
    for piece in pieces {
        match piece {
            Piece::Text(text) => page += text,
            Piece::File(text) => page.extend(["```toml\n", text]),
            Piece::Run { command, printed } => {
                if !is_open {
                    page += "```console\n";
                }
                is_open = true;
                page.extend(["$ ", command, "\n", printed]);
            }
            Piece::EndOfBlock => {
                page += "```\n";
                is_open = false;
            }
        }
    }
    page
}

/// The stand-ins and the service of a walk, at other ports and in another directory than the page tells.
struct Walk {
    dir: tempfile::TempDir,
    /// What stands on the page, and what it is here.
    places: Vec<(String, String)>,
    service: Option<Child>,
    _pagerduty: PagerDuty,
    _strongdm: StrongDm,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            // It may have ended by itself.
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

impl Walk {
    async fn begin() -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let clock = Clock::new();
        let pagerduty = PagerDuty::start(any, clock.clone()).await.expect("a free port");
        let strongdm = StrongDm::start(any, clock.clone()).await.expect("a free port");
        let service = format!("127.0.0.1:{}", free_port());
        let endpoint = format!("http://{service}/webhooks/pagerduty");
        pagerduty.set_endpoint(Endpoint::new(&endpoint, world::WEBHOOK_SECRET));
        world::seed(&pagerduty, &strongdm, clock.now());
        let dir = directory();
        let here = dir.path().canonicalize().expect("a directory").display().to_string();
        let bare = |url: String| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let places = vec![
            ("127.0.0.1:18081".to_owned(), bare(pagerduty.url())),
            ("127.0.0.1:18082".to_owned(), bare(strongdm.url())),
            ("127.0.0.1:8080".to_owned(), service),
            (PLACE.to_owned(), here),
        ];
        Self { dir, places, service: None, _pagerduty: pagerduty, _strongdm: strongdm }
    }

    fn here(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (told, here)| text.replace(told, here))
    }

    fn as_told(&self, text: &str) -> String {
        self.places.iter().fold(text.to_owned(), |text, (told, here)| text.replace(here, told))
    }

    fn shell(&self, command: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_oncall-grants")).parent().expect("a directory");
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("a PATH"));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &self.here(command)]).current_dir(self.dir.path());
        shell.env_clear().env("PATH", path);
        shell
    }

    /// What the command prints, as often as it takes to be what is expected.
    async fn run(&mut self, command: &str, expected: &str) -> String {
        if command == "oncall-grants serve" {
            return self.serve(command).await;
        }
        let began = Instant::now();
        loop {
            let output = output(self.shell(&format!("{{ {command}; }} 2>&1"))).await;
            let printed = self.as_told(&String::from_utf8(output.stdout).expect("UTF-8"));
            let may_come = command == "oncall-grants audit" && began.elapsed() < PATIENCE;
            let lacks = lines(&printed).len() < lines(expected).len().max(4);
            if same(&printed, expected) || !may_come || !lacks {
                return printed;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// What the service logs until its first pass is over.
    async fn serve(&mut self, command: &str) -> String {
        let log = self.dir.path().join("service.log");
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).expect("a file"));
        self.service = Some(shell.spawn().expect("the binary can be run"));
        let began = Instant::now();
        loop {
            let printed = self.as_told(&fs::read_to_string(&log).expect("a file"));
            if printed.contains("pass complete") || began.elapsed() > PATIENCE {
                return printed;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.trim_end().lines().map(without_chance).collect();
    // Writes that are equally urgent are begun at once, and end in any order.
    lines.sort();
    lines
}

fn same(printed: &str, expected: &str) -> bool {
    lines(printed) == lines(expected)
}

/// The line without times, IDs and what takes how long.
fn without_chance(line: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '=');
    let mut told = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        told += &chance(word);
        let next = after.find(is_of_word).unwrap_or(after.len());
        told += &after[..next];
        rest = &after[next..];
    }
    // Whichever pass sees it first.
    for trigger in ["webhook", "second_look", "follow_up", "interval", "boundary"] {
        told = told.replace(&format!("({trigger} pass"), "(some pass");
    }
    // Columns are as wide as the longest entry, which may be a path.
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn chance(word: &str) -> String {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_time = word.contains('T') && word.contains(':') && digits >= 14;
    let is_uuid = word.len() == 36 && word.matches('-').count() == 4;
    let hex = |text: &str| text.len() >= 8 && text.chars().all(|c| c.is_ascii_hexdigit());
    match word.rsplit_once(['-', '=']) {
        _ if is_time => "TIME".to_owned(),
        _ if is_uuid => "PASS".to_owned(),
        Some((kind, id)) if hex(id) => format!("{kind}-ID"),
        Some((kind @ "ms", _)) => format!("{kind}=MS"),
        _ => word.to_owned(),
    }
}

#[tokio::test]
async fn the_first_day_goes_as_its_page_tells() {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let blesses = std::env::var_os("BLESS").is_some();
    let mut walk = Walk::begin().await;
    let mut pieces = pieces(&page);
    assert_eq!(page_of(&pieces), page, "the page is read as it is");
    for piece in &mut pieces {
        match piece {
            Piece::Text(_) | Piece::EndOfBlock => {}
            Piece::File(text) => {
                fs::write(walk.dir.path().join("oncall-grants.toml"), walk.here(text)).expect("a file");
            }
            Piece::Run { command, printed } => {
                let found = walk.run(command, printed).await;
                if blesses {
                    let lines: Vec<&str> = found.trim_end().lines().map(str::trim_end).collect();
                    *printed = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
                } else {
                    assert_eq!(lines(&found), lines(printed), "{command}:\n{found}");
                }
            }
        }
    }
    if blesses {
        fs::write(&path, page_of(&pieces)).expect("the page can be written");
    }
}
