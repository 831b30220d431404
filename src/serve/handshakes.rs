//! Counts TLS handshakes, and logs why one failed: PagerDuty counts each failure against us, and three in a row make it
//! switch the subscription off.

use std::{io, sync::Arc, time::Duration};

use axum_server::accept::Accept;
use futures_util::{FutureExt, future::BoxFuture};
use rustls::{CertificateError, Error, OtherError};

use crate::{
    metrics::{ByResult, Metrics},
    telemetry::throttle::LogThrottle,
};

/// Failed handshakes are logged at most this often: anybody can cause them.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Watches the handshakes of `inner`.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes<A> {
    inner: A,
    metrics: Arc<Metrics>,
    throttle: Arc<LogThrottle>,
}

impl<A> Handshakes<A> {
    /// Reports the handshakes of `inner` to `metrics`.
    pub(crate) fn new(inner: A, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics, throttle: Arc::new(LogThrottle::every(LOG_EVERY)) }
    }

    fn record(&self, outcome: Result<(), &io::Error>) {
        let result = match outcome {
            Ok(()) => "done",
            Err(error) => kind(error),
        };
        self.metrics.tls_handshakes.get_or_create(&ByResult { result }).inc();
        let Err(error) = outcome.map_err(reason) else { return };
        // Port scanners and health checks that only connect are no news.
        if result == "broken_off" || self.throttle.count().is_none() {
            tracing::debug!("a TLS handshake failed: {error}");
        } else {
            tracing::warn!("a TLS handshake failed: {error}");
        }
    }
}

/// Why it failed, in words for people.
fn reason(error: &io::Error) -> String {
    match tls_error(error) {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(ours)))) => ours.to_string(),
        Some(Error::InvalidCertificate(flaw)) => client_certificate(flaw, error),
        Some(Error::NoCertificatesPresented) => "the client shows no certificate".to_owned(),
        Some(Error::AlertReceived(alert)) => {
            format!("the client does not want to go on: {alert:?}; does it trust our certificate?")
        }
        Some(_) | None => error.to_string(),
    }
}

/// What is wrong with the certificate that a client shows.
fn client_certificate(flaw: &CertificateError, error: &io::Error) -> String {
    match flaw {
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the client certificate says that it is not for clients: its extended key usage lacks clientAuth, which public \
             authorities leave out by now; the client needs one from an authority that puts it in"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client certificate is not valid yet, or this machine's clock is behind".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no authority of server.client_ca signed the client certificate, or the client leaves out those in between"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn kind(error: &io::Error) -> &'static str {
    match tls_error(error) {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => "client_refused",
        Some(Error::AlertReceived(_)) => "refused_by_client",
        Some(_) => "failed",
        None => "broken_off",
    }
}

impl<A, I, S> Accept<I, S> for Handshakes<A>
where
    A: Accept<I, S, Future: Send + 'static> + Clone + Send + Sync + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(A::Stream, A::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let this = self.clone();
        self.inner
            .accept(stream, service)
            .inspect(move |outcome| this.record(outcome.as_ref().map(|_| ())))
            .boxed()
    }
}
