//! A ledger asked about one occurrence, for `create`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::super::super::create::Memory;
use super::{Ledgers, Namespace, server_seconds, too_slow};
use crate::cluster::{Guard, boot};
use crate::launch::Error;
use crate::launch::ledger::Key;
use crate::launch::once::Saw;

/// A ledger asked about one occurrence.
pub(in super::super) struct Remembered<'a> {
    pub(super) ledgers: &'a Ledgers,
    pub(super) namespace: Arc<Namespace>,
    pub(super) key: Key,
}

impl Remembered<'_> {
    /// Our copy alone, without what waits to be written.
    pub(super) fn look_into_copy(&self) -> Saw {
        let ledger = self.namespace.ledger();
        match self.ledgers.server_seconds() {
            Some(now) => ledger.look(self.key, boot::now(), now),
            None => Saw::LedgerStale,
        }
    }

    /// Lets a create out only while our copy is fresh and does not have the key.
    pub(in super::super) fn guard(&self) -> Guard {
        let (namespace, key) = (Arc::clone(&self.namespace), self.key);
        let cluster = self.ledgers.cluster.clone();
        Guard::new(move || {
            let saw =
                server_seconds(&cluster).map(|now| namespace.ledger().look(key, boot::now(), now));
            saw == Some(Saw::LedgerHasNot)
        })
    }

    /// Whether the ledger has the key, by a fresh copy.
    pub(in super::super) async fn remembers(&self, within: Duration) -> Result<bool, Error> {
        match self.look() {
            Saw::LedgerStale => {}
            saw => return Ok(saw == Saw::LedgerHasKey),
        }
        let object = format!("the ledger of {}", self.namespace.name);
        let saw = timeout(within, self.read())
            .await
            .unwrap_or_else(|_| Err(too_slow(&object)))?;
        Ok(saw == Saw::LedgerHasKey)
    }
}

impl Memory for Remembered<'_> {
    fn look(&self) -> Saw {
        // A key that waits to be written has had its Job, whoever has removed it since.
        if self.namespace.waiting().entries.contains_key(&self.key) {
            return Saw::LedgerHasKey;
        }
        self.look_into_copy()
    }

    fn read(&self) -> BoxFuture<'_, Result<Saw, Error>> {
        async move {
            self.ledgers.read(&self.namespace).await?;
            Ok(self.look())
        }
        .boxed()
    }
}
