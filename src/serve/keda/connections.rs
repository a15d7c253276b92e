//! The connections in force, and who may use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::refusal::RpcRefusal;
use crate::resource::connection::Connection;

/// `--connections`, as last read.
#[derive(Debug)]
pub struct Connections(watch::Sender<Arc<Edition>>);

/// One reading of the file.
#[derive(Debug, Default)]
pub(super) struct Edition {
    /// Counts up with each.
    pub(super) number: u64,
    by_name: BTreeMap<String, Connection>,
}

impl Connections {
    /// These, until others are [set](Self::set).
    pub fn new(connections: Vec<Connection>) -> Self {
        Self(watch::Sender::new(Arc::new(Edition::new(0, connections))))
    }

    /// From now on these; triggers that use one are looked at anew.
    pub fn set(&self, connections: Vec<Connection>) {
        self.0.send_modify(|edition| {
            *edition = Arc::new(Edition::new(edition.number + 1, connections));
        });
    }

    pub(super) fn now(&self) -> Arc<Edition> {
        self.0.borrow().clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<Arc<Edition>> {
        self.0.subscribe()
    }
}

impl Edition {
    fn new(number: u64, connections: Vec<Connection>) -> Self {
        let by_name = connections
            .into_iter()
            .map(|connection| (connection.name.clone(), connection))
            .collect();
        Self { number, by_name }
    }

    /// The connection of that name, for callers from a namespace.
    ///
    /// # Errors
    ///
    /// [`RpcRefusal::Denied`] in the same words whether there is none or it is for others: names are nobody else's business.
    pub(super) fn get(&self, name: &str, namespace: &str) -> Result<&Connection, RpcRefusal> {
        let found = self.by_name.get(name);
        found
            .filter(|connection| connection.namespaces.iter().any(|one| one == namespace))
            .ok_or_else(|| {
                RpcRefusal::Denied(format!(
                    "metadata.connection: there is no connection {name:?} for namespace {namespace:?}: the operator lists both in --connections"
                ))
            })
    }
}
