//! What all tests share: a scene with both stand-ins and the service, the commands, and waits with a bound.

mod authority;
mod command;
mod config;
mod connect_proxy;
mod connection;
mod http;
mod log;
mod pgbouncer;
mod postgres;
mod programs;
mod proxy;
mod python;
mod replicas;
mod scene;
mod service;
mod subscription;
mod tls_server;
mod wait;

pub(crate) use self::{
    authority::{Authority, EXPIRES, Identity},
    command::{command, directory, exit_code, output, stderr, stdout},
    config::{ADMIN_TOKEN, Config, DB, filter_rule, policy_rule, rule},
    connect_proxy::{Behind, ConnectProxy},
    connection::until_hung_up,
    http::{Answer, FORGED, NO_HEADERS, SIGNATURE, answer, client_builder, report},
    pgbouncer::PgBouncer,
    postgres::{Database, free_port},
    programs::Program,
    proxy::Proxy,
    python::python,
    replicas::Replicas,
    scene::{ANA, BO, CEM, DENIZ, Person, Scene, grant_ids, merged, nobody_on_call},
    service::Service,
    tls_server::TlsServer,
    wait::{PATIENCE, some_attempt_within, wait_for, wait_until},
};
