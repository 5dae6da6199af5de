//! Tables in step: rows that belong together stand together, so no table is ever held whole.

use std::fmt::Display;

use crate::runner::StageError;

/// Groups neighbouring rows by a key.
pub(super) fn groups<T, E, K>(
    rows: impl Iterator<Item = Result<T, E>>,
    key: fn(&T) -> K,
) -> impl Iterator<Item = Result<(K, Vec<T>), StageError>>
where
    E: Into<StageError>,
    K: PartialEq,
{
    let mut rows = rows.peekable();
    std::iter::from_fn(move || {
        let first = match rows.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error.into())),
        };
        let key_of = key;
        let key = key_of(&first);
        let mut group = vec![first];
        while let Some(row) = rows.next_if(|row| row.as_ref().is_ok_and(|row| key_of(row) == key)) {
            group.extend(row.ok());
        }
        Some(Ok((key, group)))
    })
}

/// A table that should stand in step with another does not.
#[derive(Debug, thiserror::Error)]
#[error("`{table}` is not in step with the tables beside it at {at}")]
pub(super) struct OutOfStep {
    pub(super) table: &'static str,
    pub(super) at: String,
}

/// Groups that are asked for in the order in which they come, some of them left out.
pub(super) struct InStep<G, K, T> {
    table: &'static str,
    groups: G,
    next: Option<(K, Vec<T>)>,
}

impl<G, K, T> InStep<G, K, T>
where
    G: Iterator<Item = Result<(K, Vec<T>), StageError>>,
    K: PartialEq,
{
    pub(super) const fn new(table: &'static str, groups: G) -> Self {
        Self { table, groups, next: None }
    }

    /// Moves on to the group of `key`, which has to be there.
    pub(super) fn take<Q>(&mut self, key: &Q) -> Result<Vec<T>, StageError>
    where
        K: PartialEq<Q>,
        Q: Display + ?Sized,
    {
        loop {
            match self.advance()? {
                Some((found, rows)) if found == *key => return Ok(rows),
                Some(_) => {}
                None => return Err(OutOfStep { table: self.table, at: key.to_string() }.into()),
            }
        }
    }

    /// Takes the next group if it is that of `key`, else none: for tables that leave keys out.
    pub(super) fn take_if<Q>(&mut self, key: &Q) -> Result<Vec<T>, StageError>
    where
        K: PartialEq<Q>,
        Q: ?Sized,
    {
        match self.advance()? {
            Some((found, rows)) if found == *key => Ok(rows),
            other => {
                self.next = other;
                Ok(Vec::new())
            }
        }
    }

    fn advance(&mut self) -> Result<Option<(K, Vec<T>)>, StageError> {
        self.next.take().map(Ok).or_else(|| self.groups.next()).transpose()
    }
}

/// Joins two tables row by row: row i of `readings` belongs to row i of `texts`.
pub(super) fn zip_rows<A, B, E>(
    table: &'static str,
    texts: impl Iterator<Item = Result<A, E>>,
    readings: impl Iterator<Item = Result<B, E>>,
    belongs: fn(&A, &B) -> bool,
) -> impl Iterator<Item = Result<(A, B), StageError>>
where
    E: Into<StageError>,
{
    let mut readings = readings;
    texts.enumerate().map(move |(at, text)| {
        let text = text.map_err(Into::into)?;
        match readings.next() {
            Some(reading) => {
                let reading = reading.map_err(Into::into)?;
                if belongs(&text, &reading) {
                    Ok((text, reading))
                } else {
                    Err(OutOfStep { table, at: format!("row {at}") }.into())
                }
            }
            None => Err(OutOfStep { table, at: format!("row {at}") }.into()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[(&str, i32)]) -> impl Iterator<Item = Result<(String, i32), StageError>> {
        values
            .iter()
            .map(|(key, value)| Ok(((*key).to_owned(), *value)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn neighbours_are_grouped_and_groups_are_found_in_order() {
        let table = rows(&[("a", 1), ("a", 2), ("b", 3), ("c", 4)]);
        let mut step = InStep::new("t", groups(table, |row| row.0.clone()));
        assert_eq!(step.take("a").unwrap().len(), 2);
        assert_eq!(step.take("c").unwrap()[0].1, 4);
        assert!(step.take("b").is_err(), "b has passed");
        let table = rows(&[("a", 1), ("c", 2)]);
        let mut step = InStep::new("t", groups(table, |row| row.0.clone()));
        let found = ["a", "b", "c", "d"].map(|key| step.take_if(key).unwrap().len());
        assert_eq!(found, [1, 0, 1, 0], "b and d are left out");
    }

    #[test]
    fn a_reading_of_another_row_is_refused() {
        let same = |a: &(String, i32), b: &(String, i32)| a.0 == b.0;
        let good = zip_rows("t", rows(&[("a", 1)]), rows(&[("a", 9)]), same);
        assert_eq!(good.collect::<Result<Vec<_>, _>>().unwrap().len(), 1);
        let bad = zip_rows("t", rows(&[("a", 1)]), rows(&[("b", 9)]), same);
        assert!(bad.collect::<Result<Vec<_>, _>>().is_err());
        let short = zip_rows("t", rows(&[("a", 1)]), rows(&[]), same);
        assert!(short.collect::<Result<Vec<_>, _>>().is_err());
    }
}
