//! Numbered migrations of the database, each with its reason.

use rusqlite::Connection;

/// The steps, in order; a database knows how many it has behind it (`user_version`). Steps are appended, never changed.
const MIGRATIONS: [&str; 1] = [
    // 1: one table of JSON documents. Services load theirs at start and write through.
    "CREATE TABLE document (
         kind TEXT NOT NULL,
         key  TEXT NOT NULL,
         body TEXT NOT NULL,
         PRIMARY KEY (kind, key)
     ) WITHOUT ROWID",
];

/// Brings the database up to date. Write-ahead logging, and a sync at each commit: a wish that was acknowledged survives a
/// power cut.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let done: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let steps = (1u32..).zip(MIGRATIONS);
    if done > steps.clone().map(|(number, _)| number).max().unwrap_or_default() {
        return Err(rusqlite::Error::InvalidQuery);
    }
    for (number, step) in steps.filter(|(number, _)| *number > done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing_and_a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(migrate(&mut connection).is_err());
    }
}
