//! `oncall-grants completions` and `oncall-grants man`: what shells and people read, made from the command line itself.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, ExitStatus, print};

/// The sections of the man page that the command line does not know of itself.
const SECTIONS: &str = r#".SH FILES
.TP
\&./oncall\-grants.toml, /etc/oncall\-grants/oncall\-grants.toml
The configuration, where no other is named. Every key is explained in oncall\-grants.example.toml.
.SH ENVIRONMENT
.TP
ONCALL_GRANTS_CONFIG
The configuration file.
.TP
ONCALL_GRANTS_LISTEN, ONCALL_GRANTS_ADMIN_TOKEN, ONCALL_GRANTS_TRIGGER_TOKENS, ONCALL_GRANTS_STORE_URL, PAGERDUTY_TOKEN, PAGERDUTY_CLIENT_ID, PAGERDUTY_CLIENT_SECRET, PAGERDUTY_WEBHOOK_SECRETS, SDM_API_ACCESS_KEY, SDM_API_SECRET_KEY
Win over the keys of the configuration: server.listen, server.admin_token, server.trigger_tokens, store.url, pagerduty.token, pagerduty.client_id, pagerduty.client_secret, pagerduty.webhook_secrets, strongdm.access_key and strongdm.secret_key.
.SH "EXIT STATUS"
.TP
0
Done; also after SIGTERM or SIGINT.
.TP
1
The work failed or is incomplete.
.TP
2
Wrong usage or configuration, or a store of a later version.
"#;

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

pub(super) fn completions(options: &Options) -> anyhow::Result<ExitStatus> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut text);
    print(&String::from_utf8(text)?);
    Ok(ExitStatus::Done)
}

pub(super) fn man(options: &ManOptions) -> anyhow::Result<ExitStatus> {
    let mut page = Vec::new();
    // The `help` that clap adds has no page of its own.
    Man::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
    page.extend_from_slice(SECTIONS.as_bytes());
    match &options.all {
        None => print(&String::from_utf8(page)?),
        Some(directory) => {
            let failed = || format!("cannot write man pages into {}", directory.display());
            clap_mangen::generate_to(Cli::command(), directory).with_context(failed)?;
            fs::write(directory.join("oncall-grants.1"), page).with_context(failed)?;
        }
    }
    Ok(ExitStatus::Done)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn for_each_command(command: &Command, visit: &mut impl FnMut(&Command)) {
        visit(command);
        command.get_subcommands().for_each(|command| for_each_command(command, visit));
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_parses() {
        let mut cli = Cli::command();
        cli.build();
        let mut without = Vec::new();
        let mut examples = Vec::new();
        for_each_command(&cli, &mut |command| {
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
        // A dot at the start of a line makes it a request, and what is none is left out.
        let requests = SECTIONS.lines().filter(|line| line.starts_with(['.', '\'']));
        let unknown: Vec<&str> =
            requests.filter(|line| *line != ".TP" && !line.starts_with(".SH ")).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
