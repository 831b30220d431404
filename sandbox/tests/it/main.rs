//! Both stand-ins from outside: what they answer, and how they fail when told to.

mod support;

mod architecture;
mod faults;
mod grants;
mod incident_control;
mod incidents;
mod oauth;
mod oncalls;
mod paging;
mod rest;
mod signing;
mod teams;
mod webhooks;
