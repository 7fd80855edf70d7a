//! What operators do: hand out tokens, look at devices, revoke them, keep golden images.

pub mod credentials;
pub mod dbx;
pub mod devices;
pub mod documents;
pub mod dry_run;
pub mod images;
pub mod tokens;
pub mod trust;

use vouchsafe_model::ImageId;
use vouchsafe_store::{ImaListLost, StoreError};

use crate::appraise::not_judged;
use crate::engine::EngineError;

/// Why an operator's request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperateRejected {
    /// What it is about does not exist.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// Something else has the name already.
    #[error("there is a {what} {id} already")]
    Exists {
        /// What.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// A field has a value that it may not have.
    #[error("{field}: {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The device has no authentic quote to take an image from.
    #[error("the device has no accepted evidence yet, so there is nothing to capture; let it attest first")]
    NothingQuoted,
    /// The device never sent an IMA list that a quote vouched for.
    #[error("the device has vouched for no IMA list since it booted; its kernel measures none unless it is told to")]
    NoList,
    /// The device's IMA list is not kept.
    #[error("{}", not_judged(*lost).why_not().unwrap_or_default())]
    ListNotKept {
        /// Why.
        lost: ImaListLost,
    },
    /// The image is retired.
    #[error("the image {image} is retired; no device is assigned it any more")]
    ImageRetired {
        /// Which.
        image: ImageId,
    },
    /// The certificate request is refused.
    #[error("the certificate request is refused: {0}")]
    Csr(#[from] vouchsafe_pki::CsrRejected),
    /// No certificate could be issued.
    #[error("no certificate could be issued: {0}")]
    Issue(#[from] vouchsafe_pki::IssueError),
    /// Something else went wrong.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<EngineError> for OperateRejected {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(StoreError::Missing { entity, id, .. }) => Self::NotFound { what: entity.name(), id },
            EngineError::Store(StoreError::Conflict { entity, id, .. }) => Self::Exists { what: entity.name(), id },
            other => Self::Engine(other),
        }
    }
}

impl From<StoreError> for OperateRejected {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

fn field(field: &'static str, problem: impl Into<String>) -> OperateRejected {
    OperateRejected::Field { field, problem: problem.into() }
}
