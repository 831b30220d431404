//! Where the service of this machine listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address at which this machine reaches a listener; none if the system chose its port.
pub(super) fn reachable(mut listen: SocketAddr) -> Option<SocketAddr> {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
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
            ("[::]:8443", Some("[::1]:8443")),
            ("127.0.0.1:0", None),
        ] {
            let expected: Option<SocketAddr> = expected.map(|address| address.parse().unwrap());
            assert_eq!(reachable(listen.parse().unwrap()), expected, "{listen}");
        }
    }
}
