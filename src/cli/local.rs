//! Where a command on this machine reaches the service.

use std::net::{Ipv4Addr, SocketAddr};

use url::Url;

use crate::config::Server;

/// Where the service of this configuration answers on this machine; none if the system chooses its port.
pub(super) fn service_url(server: &Server) -> Option<Url> {
    let address = connect_address(server.listen)?;
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{address}")).ok()
}

/// The address at which this machine reaches a listener; none if the system chooses its port. A listener on every
/// address has those of IPv4, whether this machine knows IPv6 or not.
pub(super) fn connect_address(mut listen: SocketAddr) -> Option<SocketAddr> {
    if listen.ip().is_unspecified() {
        listen.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    (listen.port() != 0).then_some(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_on_the_loopback_one() {
        for (listen, expected) in [
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("10.0.0.7:9000", Some("10.0.0.7:9000")),
            ("0.0.0.0:8080", Some("127.0.0.1:8080")),
            ("[::]:8443", Some("127.0.0.1:8443")),
            ("127.0.0.1:0", None),
        ] {
            let expected: Option<SocketAddr> = expected.map(|address| address.parse().unwrap());
            assert_eq!(connect_address(listen.parse().unwrap()), expected, "{listen}");
        }
    }
}
