//! What every store has to do. The contracts know nothing but the traits; the next implementation adds a module to
//! [`on_every_store`] and is done when all of them pass.

mod attestations;
mod devices;
mod enrolment;
mod ima_lists;
mod images;
mod logs;
mod maintenance;
mod nonces;
mod revocations;
mod tokens;
mod trust;

use std::sync::Arc;

use vouchsafe_store::{Entity, SqliteOptions, SqliteStore, Store, StoreError};

/// Makes one test of each contract for each store. A contract that is not named is dead code, and the compiler says so.
macro_rules! on_every_store {
    ($($contract:ident,)+) => {
        mod in_memory {
            $(#[tokio::test] async fn $contract() { $crate::contract::in_memory(super::$contract).await; })+
        }
        mod on_file {
            $(#[tokio::test] async fn $contract() { $crate::contract::on_file(super::$contract).await; })+
        }
    };
}
use on_every_store;

async fn in_memory<F: Future<Output = ()>>(contract: impl FnOnce(Arc<dyn Store>) -> F) {
    contract(Arc::new(SqliteStore::in_memory().await.unwrap())).await;
}

async fn on_file<F: Future<Output = ()>>(contract: impl FnOnce(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db"), SqliteOptions::default()).await.unwrap();
    contract(Arc::new(store)).await;
}

fn is_conflict<T>(result: &Result<T, StoreError>, about: Entity) -> bool {
    matches!(result, Err(StoreError::Conflict { entity, .. }) if *entity == about)
}

fn is_missing<T>(result: &Result<T, StoreError>, about: Entity) -> bool {
    matches!(result, Err(StoreError::Missing { entity, .. }) if *entity == about)
}

fn is_too_large<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::TooLarge { .. }))
}
