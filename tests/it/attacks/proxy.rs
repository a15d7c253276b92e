//! A proxy in the environment: it is used for what it takes, and for nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::cluster::Cluster;
use crate::support::process::Slipway;
use crate::support::servers;

/// A proxy by CONNECT; how many calls it took.
async fn proxy(tasks: &mut JoinSet<()>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    tasks.spawn(async move {
        let mut calls = JoinSet::new();
        while let Ok((from, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            calls.spawn(tunnel(from));
        }
    });
    (address, taken)
}

/// Takes one call to where its head says; nothing for a head that is none.
async fn tunnel(mut from: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let to = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let mut to = TcpStream::connect(to).await.ok()?;
    from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut from, &mut to).await.ok()?;
    Some(())
}

#[tokio::test]
async fn the_api_server_is_called_through_the_proxy_unless_no_proxy_names_it() {
    let cluster = Cluster::new("proxy").await;
    let mut tasks = JoinSet::new();
    let (address, taken) = proxy(&mut tasks).await;
    let kubeconfig = servers::kubeconfig();
    for (no_proxy, is_used) in [("", true), ("localhost,127.0.0.0/8", false)] {
        taken.store(0, Ordering::SeqCst);
        let environment = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", no_proxy)];
        let run = Slipway::run(&kubeconfig, &cluster.namespace, &[], &environment);
        // It is ready only when it has read its lists.
        let slipway = tokio::time::timeout(Duration::from_mins(2), run).await;
        assert!(slipway.is_ok(), "NO_PROXY={no_proxy:?}");
        assert_eq!(taken.load(Ordering::SeqCst) > 0, is_used, "{no_proxy:?}");
    }
    cluster.remove().await;
}
