//! Connections to scalers: names are looked up for each, and every address is held
//! against the rules then, so that a name that is made to point elsewhere later (DNS
//! rebinding) is caught too.
//!
//! The first address that takes the connection is used, and looked up anew for the
//! next one; KEDA's client spreads its calls over all of them.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::address::Rules;
use crate::resource::external::ScalerEndpoint;

/// Name, connection and TLS together: less than a call has, so that it can say what was wrong.
const DEADLINE: Duration = Duration::from_millis(2500);
/// One address of several may be silent.
const ONE_ADDRESS: Duration = Duration::from_secs(1);
/// Addresses of a name that are looked at.
const MOST_ADDRESSES: usize = 64;

/// How names become addresses.
pub(super) type Resolve =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// By the system's resolver.
pub(super) fn system() -> Resolve {
    Arc::new(|name| {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        }
        .boxed()
    })
}

/// Makes connections to one scaler.
#[derive(Clone)]
pub(super) struct Connector {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    rules: Rules,
    resolve: Resolve,
}

/// Why there is no connection. All of it is ours to say: nothing that the other side wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    /// The address is not allowed.
    #[error("{0}")]
    Refused(String),
    /// Nobody there, or nobody who can be believed.
    #[error("{0}")]
    Unconnected(String),
}

/// Whatever carries bytes both ways.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

impl Connector {
    pub(super) fn new(
        endpoint: &ScalerEndpoint,
        tls: Option<Arc<ClientConfig>>,
        rules: Rules,
        resolve: Resolve,
    ) -> Self {
        Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls,
            rules,
            resolve,
        }
    }

    async fn connect(self) -> Result<Box<dyn Carrier>, ConnectFailure> {
        let connection = tokio::time::timeout(DEADLINE, self.open()).await;
        connection.unwrap_or_else(|_| {
            Err(ConnectFailure::Unconnected(format!(
                "no connection within {} s",
                DEADLINE.as_secs_f32()
            )))
        })
    }

    async fn open(&self) -> Result<Box<dyn Carrier>, ConnectFailure> {
        let stream = self.tcp(&self.addresses().await?).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let host = self.host.trim_end_matches('.').to_owned();
        let name = ServerName::try_from(host).map_err(|_| {
            ConnectFailure::Unconnected(
                "its host is no name that a certificate can have".to_owned(),
            )
        })?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|error| ConnectFailure::Unconnected(format!("no TLS: {error}")))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectFailure::Unconnected(
                "no gRPC: it does not offer HTTP/2 (ALPN h2)".to_owned(),
            ));
        }
        Ok(Box::new(stream))
    }

    /// The addresses of the host, if all are allowed.
    async fn addresses(&self) -> Result<Vec<IpAddr>, ConnectFailure> {
        let host = self.host.as_str();
        self.rules
            .check_host(host)
            .map_err(ConnectFailure::Refused)?;
        let addresses = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => (self.resolve)(host.to_owned()).await.map_err(|error| {
                ConnectFailure::Unconnected(format!("its name cannot be looked up: {error}"))
            })?,
        };
        if addresses.is_empty() || addresses.len() > MOST_ADDRESSES {
            return Err(ConnectFailure::Unconnected(format!(
                "its name has {} addresses",
                addresses.len()
            )));
        }
        for address in &addresses {
            self.rules
                .check_address(host, *address)
                .map_err(ConnectFailure::Refused)?;
        }
        Ok(addresses)
    }

    async fn tcp(&self, addresses: &[IpAddr]) -> Result<TcpStream, ConnectFailure> {
        let mut last = String::new();
        for address in addresses {
            let address = SocketAddr::new(*address, self.port);
            match tokio::time::timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small calls do not wait for each other; without it they are only slower.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no connection within 1 s"),
            }
        }
        Err(ConnectFailure::Unconnected(last))
    }
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<Box<dyn Carrier>>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// The address is the scaler's, whatever the request says.
    fn call(&mut self, _uri: http::Uri) -> Self::Future {
        let connector = self.clone();
        async move { Ok(TokioIo::new(connector.connect().await?)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::*;

    fn connector(host: &str, port: u16, rules: Rules, resolve: Resolve) -> Connector {
        let endpoint = ScalerEndpoint {
            host: host.to_owned(),
            port,
            tls: None,
        };
        Connector::new(&endpoint, None, rules, resolve)
    }

    async fn failure(connector: Connector) -> ConnectFailure {
        match connector.connect().await {
            Ok(_) => panic!("connected"),
            Err(failure) => failure,
        }
    }

    #[tokio::test]
    async fn a_name_that_is_made_to_point_elsewhere_later_is_caught() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
        let resolve: Resolve = {
            let answer = Arc::clone(&answer);
            Arc::new(move |_| {
                let answer = answer.lock().unwrap().clone();
                async move { Ok(answer) }.boxed()
            })
        };
        let rules = Rules::new(["127.0.0.1".to_owned()], false);
        let connector = connector("scaler.shop", port, rules, resolve);
        assert!(connector.clone().connect().await.is_ok());
        for elsewhere in [
            "169.254.169.254",
            "127.0.0.2",
            "fd00:ec2::254",
            "::ffff:169.254.1.1",
        ] {
            // Beside one that is allowed.
            let found = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), elsewhere.parse().unwrap()];
            *answer.lock().unwrap() = found;
            let failure = failure(connector.clone()).await;
            assert!(
                matches!(failure, ConnectFailure::Refused(_)),
                "{elsewhere}: {failure}"
            );
            assert!(
                failure.to_string().contains("--allow-address scaler.shop"),
                "{failure}"
            );
        }
        *answer.lock().unwrap() = Vec::new();
        assert!(matches!(
            failure(connector).await,
            ConnectFailure::Unconnected(_)
        ));
    }

    #[tokio::test]
    async fn hosts_inside_the_machine_are_refused_as_written_and_as_resolved() {
        for host in [
            "localhost",
            "127.0.0.1",
            "169.254.169.254",
            "::1",
            "2130706433",
        ] {
            let connector = connector(host, 1, Rules::default(), system());
            let failure = failure(connector).await;
            assert!(
                matches!(failure, ConnectFailure::Refused(_)),
                "{host}: {failure}"
            );
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_does_not_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let resolve: Resolve = Arc::new(|_| {
            let addresses = ["127.0.0.9", "127.0.0.1"].map(|text| text.parse().unwrap());
            async move { Ok(addresses.to_vec()) }.boxed()
        });
        let connector = connector("scaler.shop", port, Rules::new([], true), resolve);
        assert!(connector.clone().connect().await.is_ok());
        drop(listener);
        let failure = failure(connector).await.to_string();
        assert!(
            failure.starts_with(&format!("127.0.0.1:{port}: ")),
            "{failure}"
        );
    }
}
