//! What all tests share: a scene with both stand-ins and the service, the commands, and patience with a bound.

mod command;
mod config;
mod connect_proxy;
mod http;
mod patience;
mod pgbouncer;
mod postgres;
mod proxy;
mod python;
mod replicas;
mod scene;
mod service;
mod subscription;

pub(crate) use self::{
    command::{code, command, directory, err, out, output},
    config::{ADMIN_TOKEN, Config, rule},
    connect_proxy::{Behind, ConnectProxy},
    http::{Answer, NO_HEADERS},
    patience::{PATIENCE, in_time, wait_for, wait_until},
    pgbouncer::PgBouncer,
    postgres::{Database, free_port},
    proxy::Proxy,
    python::python,
    replicas::{Replica, Replicas, TAKE_OVER, send},
    scene::{ANA, BO, CEM, DENIZ, Person, Scene},
    service::Service,
};
