//! Many rows in one statement.

use std::rc::Rc;

use rusqlite::types::Value;
use rusqlite::{Connection, Statement};

/// How many rows one statement writes, greatest first: a list of any length is cut into few pieces,
/// and only a few statements are ever compiled.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// An `INSERT … VALUES (…)` of one row that is also run with many.
pub(crate) struct Insert {
    texts: [String; CHUNKS.len()],
}

impl Insert {
    /// From the statement for one row of `columns` columns, whose text ends in `{rows}` and perhaps
    /// a clause behind it.
    pub(crate) fn new(sql: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        Self { texts: CHUNKS.map(|chunk| sql.replace("{rows}", &vec![row.as_str(); chunk].join(", "))) }
    }

    /// Inserts all of `rows`, each bound by `bind` from the given parameter on. Returns the number
    /// of inserted rows.
    pub(crate) fn run<T>(
        &self,
        connection: &Connection,
        rows: &[T],
        columns: usize,
        bind: impl Fn(&mut Statement<'_>, usize, &T) -> Result<(), rusqlite::Error>,
    ) -> Result<usize, rusqlite::Error> {
        let mut inserted = 0;
        let mut rest = rows;
        for (text, chunk) in self.texts.iter().zip(CHUNKS) {
            if rest.len() < chunk {
                continue;
            }
            let mut statement = connection.prepare_cached(text)?;
            while let Some((rows, behind)) = rest.split_at_checked(chunk) {
                for (index, row) in rows.iter().enumerate() {
                    bind(&mut statement, index * columns + 1, row)?;
                }
                inserted += statement.raw_execute()?;
                rest = behind;
            }
        }
        Ok(inserted)
    }
}

/// Row numbers as the parameter of a `rarray(…)`.
pub(crate) fn array(rows: impl IntoIterator<Item = i64>) -> Rc<Vec<Value>> {
    Rc::new(rows.into_iter().map(Value::Integer).collect())
}
