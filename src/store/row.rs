//! Rows as a database stores them.

/// Defines a row that is read from either database by the names of its columns. It does what sqlx's derive macro does;
/// that one would compile sqlx, SQLite and all else a second time, for the compiler itself.
macro_rules! row {
    ($(#[$meta:meta])* $visibility:vis struct $row:ident { $($reach:vis $column:ident: $type:ty,)* }) => {
        $(#[$meta])*
        $visibility struct $row {
            $($reach $column: $type,)*
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $row
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($column: row.try_get(stringify!($column))?,)* })
            }
        }
    };
}
pub(super) use row;
