//! Debian's own proxies, as companies run them: squid on the way out, nginx on the way in. They are part of the tests:
//! without them the tests fail.

use std::process::Child;

use tokio::net::TcpStream;

use super::{Identity, free_port, postgres::unprivileged, wait_until};

/// Runs a command in a directory of its own, with these files in it, until its standard input ends.
const SCRIPT: &str = r#"
PATH=$PATH:/usr/sbin
trap '' INT TERM
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
command=$1
shift
while [ $# -gt 1 ]; do
  printf '%s\n' "$2" | sed "s|@DIR@|$dir|g" >"$1"
  shift 2
done
$command &
server=$!
while read -r _; do :; done
kill -KILL "$server"
wait "$server"
"#;

/// A proxy; it ends with this.
pub(crate) struct Program {
    pub(crate) port: u16,
    child: Child,
}

impl Program {
    async fn start(package: &str, port: u16, command: &str, files: &[(&str, &str)]) -> Self {
        let mut script = unprivileged(SCRIPT);
        script.arg(command);
        for (name, text) in files {
            script.args([name, text]);
        }
        let mut child = script.spawn().expect("a shell can be run");
        wait_until(&format!("{package} listens; if it is not there, install Debian's package"), async || {
            assert!(child.try_wait().expect("a child can be asked").is_none(), "{package} ended");
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Self { port, child }
    }

    /// squid, which makes tunnels to these names, all of which are this machine; for these users, written as `name
    /// password`, or for everybody. With an identity, it wants TLS itself.
    pub(crate) async fn squid(names: &[&str], user: Option<&str>, identity: Option<&Identity>) -> Self {
        let port = free_port();
        let hosts = format!("127.0.0.1 {}", names.join(" "));
        let listen = match identity {
            None => format!("http_port 127.0.0.1:{port}"),
            Some(_) => {
                format!("https_port 127.0.0.1:{port} tls-cert=@DIR@/proxy.pem tls-key=@DIR@/proxy.key")
            }
        };
        let admit = match user {
            None => "http_access allow all".to_owned(),
            Some(_) => "auth_param basic program /bin/sh @DIR@/users.sh\nauth_param basic children 1\n\
                        acl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all"
                .to_owned(),
        };
        let settings = format!(
            "{listen}\n{admit}\nhosts_file @DIR@/hosts\ncache deny all\npid_filename none\naccess_log none\n\
             cache_log @DIR@/cache.log\ncoredump_dir @DIR@\npinger_enable off\nvisible_hostname proxy.test\n\
             max_filedescriptors 512\nshutdown_lifetime 0 seconds"
        );
        // squid encodes what a user name and password may hold.
        let users = format!(
            "while read -r user; do if [ \"$user\" = '{}' ]; then echo OK; else echo ERR; fi; done",
            user.unwrap_or_default()
        );
        let (pem, key) = identity.map(|one| (one.certificate.as_str(), one.key.as_str())).unwrap_or_default();
        let files = [
            ("squid.conf", settings.as_str()),
            ("hosts", &hosts),
            ("users.sh", &users),
            ("proxy.pem", pem),
            ("proxy.key", key),
        ];
        Self::start("squid", port, "squid -N -f squid.conf", &files).await
    }

    /// nginx on this port, with these locations.
    pub(crate) async fn nginx(port: u16, locations: &str) -> Self {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path @DIR@/{kind};"))
            .concat();
        let settings = format!(
            "daemon off; master_process off; pid @DIR@/nginx.pid; error_log @DIR@/error.log;\nevents {{}}\n\
             http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; {locations} }} }}"
        );
        Self::start("nginx", port, "nginx -p . -c nginx.conf", &[("nginx.conf", &settings)]).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
