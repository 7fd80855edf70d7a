//! The decision log.

use std::sync::LazyLock;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, Transaction};
use vouchsafe_model::{DecisionId, Outcome};

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use crate::decisions::{DecisionFilter, DecisionLog, LoggedDecision};
use crate::error::{Entity, StoreError};
use crate::limits::{MAX_DECISION_BATCH, MAX_DECISION_BYTES, MAX_REQUEST_BYTES};
use crate::page::Page;

#[async_trait]
impl DecisionLog for SqliteStore {
    async fn append_decisions(&self, decisions: &[LoggedDecision]) -> Result<(), StoreError> {
        let operation = Operation::new("append_decisions", Entity::Decision);
        operation.at_most(MAX_DECISION_BATCH, "the batch", decisions.len())?;
        if decisions.is_empty() {
            return Ok(());
        }
        let rows = decisions.iter().map(|logged| Row::new(operation, logged)).collect::<Result<Vec<_>, _>>()?;

        let mut rows = rows.into_iter();
        let mut tx = self.write(operation).await?;
        for run in runs(decisions) {
            if insert(&mut tx, operation, rows.by_ref().take(run.len())).await? != run.len() {
                refuse_others(&mut tx, operation, run).await?;
            }
        }
        tx.commit().await.map_err(operation.failed())
    }

    async fn decision(&self, id: DecisionId) -> Result<Option<LoggedDecision>, StoreError> {
        let operation = Operation::new("decision", Entity::Decision);
        let row = sqlx::query("SELECT decision, request FROM decisions WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| read(&row, operation)).transpose()
    }

    async fn list_decisions(
        &self,
        filter: &DecisionFilter,
        page: Page<DecisionId>,
    ) -> Result<Vec<LoggedDecision>, StoreError> {
        let operation = Operation::new("list_decisions", Entity::Decision);
        let mut query = QueryBuilder::<Sqlite>::new("SELECT decision, request FROM decisions WHERE true");
        if let Some(device) = filter.device {
            query.push(" AND device = ").push_bind(device.to_string());
        }
        match filter.outcome {
            // Spelled out, so that the index of denials serves.
            Some(Outcome::Deny) => query.push(" AND outcome = 'deny'"),
            Some(Outcome::Allow) => query.push(" AND outcome = 'allow'"),
            None => &mut query,
        };
        if let Some(since) = filter.since {
            query.push(" AND decided_at_ms >= ").push_bind(since.unix_millis());
        }
        if let Some(until) = filter.until {
            query.push(" AND decided_at_ms < ").push_bind(until.unix_millis());
        }
        if let Some(after) = page.after {
            query
                .push(" AND (decided_at_ms, number) < (SELECT decided_at_ms, number FROM decisions WHERE id = ")
                .push_bind(after.to_string())
                .push(")");
        }
        query.push(" ORDER BY decided_at_ms DESC, number DESC LIMIT ").push_bind(page.limit.get());
        let rows = query.build().fetch_all(&self.readers).await.map_err(operation.failed())?;
        rows.iter().map(|row| read(row, operation)).collect()
    }
}

/// The most rows that one statement inserts. `SQLite` takes 32 766 parameters at most.
const WIDEST: usize = 256;

/// The statements that insert 1, 2, 4 … [`WIDEST`] rows: to write such a text anew takes longer than to find its prepared
/// form.
///
/// `OR FAIL`: what the schema refuses ends the statement and keeps the rows before it, which the transaction then undoes
/// with all others. `SQLite` would otherwise write all pages that the statement changes to a temporary file first, so that
/// it could undo the statement alone: a quarter of all writes.
static STATEMENTS: LazyLock<[String; WIDEST.ilog2() as usize + 1]> = LazyLock::new(|| {
    std::array::from_fn(|exponent| {
        let values = vec!["(?, ?, ?, ?, ?, ?)"; 1 << exponent].join(", ");
        format!(
            "INSERT OR FAIL INTO decisions (id, decided_at_ms, outcome, device, decision, request) VALUES {values} \
             ON CONFLICT (id) DO NOTHING"
        )
    })
});

/// A row on its way in.
struct Row<'a> {
    id: String,
    decided_at_ms: i64,
    outcome: Outcome,
    device: Option<String>,
    decision: String,
    request: &'a str,
}

impl<'a> Row<'a> {
    fn new(operation: Operation, logged: &'a LoggedDecision) -> Result<Self, StoreError> {
        let LoggedDecision { decision, request } = logged;
        operation.at_most(MAX_REQUEST_BYTES, "the request", request.len())?;
        Ok(Self {
            id: decision.id().to_string(),
            decided_at_ms: decision.decided_at().unix_millis(),
            outcome: decision.outcome(),
            device: decision.device().map(|device| device.to_string()),
            decision: operation.json(MAX_DECISION_BYTES, "the decision", decision)?,
            request,
        })
    }
}

/// Cuts a batch into runs of [`WIDEST`] and then of ever smaller powers of two, so that nine prepared statements serve
/// batches of every size.
fn runs<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let width = 1 << rows.len().min(WIDEST).checked_ilog2()?;
        let (run, rest) = rows.split_at_checked(width)?;
        rows = rest;
        Some(run)
    })
}

/// Inserts a run and returns how many of its rows are new.
///
/// One statement with a row of parameters for each: half the time of `json_each` over one parameter, and less than half
/// of that of a statement for each row. The texts are given away: a parameter that is borrowed is copied.
async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    run: impl ExactSizeIterator<Item = Row<'_>>,
) -> Result<usize, StoreError> {
    let statement = run.len().checked_ilog2().and_then(|exponent| STATEMENTS.get(usize::try_from(exponent).ok()?));
    let mut query = sqlx::query(statement.map_or("", String::as_str));
    for row in run {
        query = query
            .bind(row.id)
            .bind(row.decided_at_ms)
            .bind(row.outcome.name())
            .bind(row.device)
            .bind(row.decision)
            .bind(row.request);
    }
    let inserted = query.execute(&mut **tx).await.map_err(operation.failed())?;
    Ok(usize::try_from(inserted.rows_affected()).unwrap_or(usize::MAX))
}

/// Fails when a decision of the run is not the one that is stored under its id.
async fn refuse_others(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    run: &[LoggedDecision],
) -> Result<(), StoreError> {
    for logged in run {
        let row = Row::new(operation, logged)?;
        let same: bool = sqlx::query_scalar("SELECT decision = ? AND request = ? FROM decisions WHERE id = ?")
            .bind(&row.decision)
            .bind(row.request)
            .bind(&row.id)
            .fetch_one(&mut **tx)
            .await
            .map_err(operation.failed())?;
        if !same {
            return Err(operation.conflict(&row.id));
        }
    }
    Ok(())
}

fn read(row: &SqliteRow, operation: Operation) -> Result<LoggedDecision, StoreError> {
    let fields = Fields::new(row, operation);
    Ok(LoggedDecision { decision: fields.json("decision")?, request: fields.get("request")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_powers_of_two_and_leave_no_row_out() {
        let widths = |count: usize| -> Vec<usize> { runs(&vec![0_u8; count]).map(<[_]>::len).collect() };
        assert!(widths(0).is_empty());
        assert_eq!(widths(1), [1]);
        assert_eq!(widths(WIDEST), [WIDEST]);
        assert_eq!(widths(2 * WIDEST + 7), [WIDEST, WIDEST, 4, 2, 1]);
    }

    #[test]
    fn there_is_a_statement_for_every_width_of_a_run() {
        let rows = STATEMENTS.each_ref().map(|statement| statement.matches("(?, ?, ?, ?, ?, ?)").count());
        assert_eq!(rows, [1, 2, 4, 8, 16, 32, 64, 128, WIDEST]);
    }
}
