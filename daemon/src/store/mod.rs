//! STORE (rank 5): the record of wishes, in SQLite.
//!
//! One thread owns the connection; everybody else sends it closures through [`Store`]'s typed functions. Rows are JSON documents
//! under their key: the shapes change with the daemon, the queries do not. What is really there (datasets, jails, mounts) is the
//! helpers' to say; the supervisor compares both at start.

mod schema;

use crate::kernel::limits::STORE_QUEUE_CALLS_MAX;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed: the disk is full or the file is damaged.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A stored document is not what this version writes.
    #[error("stored document: {0}")]
    Document(#[from] serde_json::Error),
    /// The thread is gone; the daemon is ending.
    #[error("the store is closed")]
    Closed,
}

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

/// Which kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Containers, by id.
    Container,
    /// Images, by id.
    Image,
    /// Layers, by chain id.
    Layer,
    /// Bytes of layers, by the digest of their uncompressed tar.
    Blob,
    /// Networks, by id.
    Network,
    /// Volumes, by `tenant/name`.
    Volume,
    /// Single facts of this installation, by name.
    Fact,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Image => "image",
            Kind::Layer => "layer",
            Kind::Blob => "blob",
            Kind::Network => "network",
            Kind::Volume => "volume",
            Kind::Fact => "fact",
        }
    }
}

/// The handle that services hold.
#[derive(Debug, Clone)]
pub struct Store {
    calls: mpsc::Sender<Call>,
}

impl Store {
    /// Opens (or makes) the database and brings its schema up to date.
    ///
    /// # Errors
    /// Where the file cannot be opened or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        schema::migrate(&mut connection)?;
        let (calls, mut queue) = mpsc::channel::<Call>(STORE_QUEUE_CALLS_MAX);
        let work = move || {
            while let Some(call) = queue.blocking_recv() {
                call(&mut connection);
            }
        };
        let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(work);
        spawned.map(|_| Store { calls }).map_err(|_| StoreError::Closed)
    }

    /// Writes a document, whole.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put<T: Serialize>(&self, kind: Kind, key: &str, document: &T) -> Result<(), StoreError> {
        let text = serde_json::to_string(document)?;
        let key = key.to_owned();
        self.call(move |connection| {
            let sql = "INSERT INTO document (kind, key, body) VALUES (?1, ?2, ?3)
                       ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body";
            connection
                .execute(sql, params![kind.name(), key, text])
                .map(|_| ())
        })
        .await
    }

    /// Removes a document; one that is not there counts as removed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete(&self, kind: Kind, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.call(move |connection| {
            let sql = "DELETE FROM document WHERE kind = ?1 AND key = ?2";
            connection.execute(sql, params![kind.name(), key]).map(|_| ())
        })
        .await
    }

    /// One document.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get<T: DeserializeOwned>(&self, kind: Kind, key: &str) -> Result<Option<T>, StoreError> {
        let key = key.to_owned();
        let text: Option<String> = self
            .call(move |connection| {
                let sql = "SELECT body FROM document WHERE kind = ?1 AND key = ?2";
                connection
                    .query_row(sql, params![kind.name(), key], |row| row.get(0))
                    .optional()
            })
            .await?;
        Ok(text.as_deref().map(serde_json::from_str).transpose()?)
    }

    /// All documents of a kind, in key order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn all<T: DeserializeOwned>(&self, kind: Kind) -> Result<Vec<(String, T)>, StoreError> {
        let rows: Vec<(String, String)> = self
            .call(move |connection| {
                let mut query =
                    connection.prepare("SELECT key, body FROM document WHERE kind = ?1 ORDER BY key")?;
                let rows = query.query_map(params![kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
            .await?;
        rows.into_iter()
            .map(|(key, text)| Ok((key, serde_json::from_str(&text)?)))
            .collect()
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call: Call = Box::new(move |connection| {
            let _ = reply.send(work(connection));
        });
        self.calls.send(call).await.map_err(|_| StoreError::Closed)?;
        Ok(answer.await.map_err(|_| StoreError::Closed)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn documents_are_replaced_listed_and_removed() {
        let path = std::env::temp_dir().join(format!("cb-store-{}", std::process::id()));
        let store = Store::open(&path).unwrap();
        store.put(Kind::Fact, "b", &1).await.unwrap();
        store.put(Kind::Fact, "a", &2).await.unwrap();
        store.put(Kind::Fact, "b", &3).await.unwrap();
        assert_eq!(
            store.all::<i32>(Kind::Fact).await.unwrap(),
            [("a".to_owned(), 2), ("b".to_owned(), 3)]
        );
        store.delete(Kind::Fact, "a").await.unwrap();
        assert_eq!(store.get::<i32>(Kind::Fact, "a").await.unwrap(), None);
        let again = Store::open(&path).unwrap();
        assert_eq!(again.get::<i32>(Kind::Fact, "b").await.unwrap(), Some(3));
        std::fs::remove_file(&path).unwrap();
    }
}
