//! `oncall-grants completions` and `oncall-grants man`: what shells and people read, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Ending, print};

pub(super) const COMPLETIONS_EXAMPLE: &str = "\
Example: oncall-grants completions bash > /etc/bash_completion.d/oncall-grants
         oncall-grants completions zsh > /usr/local/share/zsh/site-functions/_oncall-grants
         oncall-grants completions fish > ~/.config/fish/completions/oncall-grants.fish";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// Write a page for the program and one for each of its commands into this directory
    #[arg(long, value_name = "DIR")]
    all: Option<PathBuf>,
}

pub(super) fn completions(options: &Options) -> anyhow::Result<Ending> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut text);
    print(&String::from_utf8(text)?);
    Ok(Ending::Done)
}

pub(super) fn man(options: &ManOptions) -> anyhow::Result<Ending> {
    if let Some(directory) = &options.all {
        let failed = || format!("cannot write man pages into {}", directory.display());
        clap_mangen::generate_to(Cli::command(), directory).with_context(failed)?;
        return Ok(Ending::Done);
    }
    let mut text = Vec::new();
    Man::new(Cli::command()).render(&mut text)?;
    print(&String::from_utf8(text)?);
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn every(command: &Command, look: &mut impl FnMut(&Command)) {
        look(command);
        command.get_subcommands().for_each(|command| every(command, look));
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_parses() {
        let mut cli = Cli::command();
        cli.build();
        let mut without = Vec::new();
        let mut examples = Vec::new();
        every(&cli, &mut |command| {
            // clap adds a `help` command with a copy of all others.
            if command.get_name() == "help"
                || command.get_bin_name().is_some_and(|name| name.contains(" help"))
            {
                return;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            match help.split_once("Example: ") {
                Some((_, found)) => examples.extend(found.lines().map(str::to_owned)),
                None => without.push(command.get_bin_name().unwrap_or_default().to_owned()),
            }
        });
        assert!(without.is_empty(), "without an example: {without:?}");
        for example in examples.iter().flat_map(|line| line.split(", then ")) {
            let words = example.split('>').next().unwrap_or_default().split_whitespace();
            let parsed = cli.clone().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {parsed:?}");
        }
    }

    #[test]
    fn shells_and_man_pages_know_every_command() {
        let mut cli = Cli::command();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut cli, "oncall-grants", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in ["serve", "sync", "check", "healthcheck", "dry-run"] {
                assert!(text.contains(command), "{shell}: {command}");
            }
        }
        let mut page = Vec::new();
        Man::new(cli.clone()).render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
        assert!(page.contains("serve") && page.contains("Example"), "{page}");
    }
}
