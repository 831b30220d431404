//! `oncall-grants webhook`: one file for each of its commands.

mod create;
mod list;
mod ping;
mod rotate;
