//! The verifier against known answers, attacks and the oddities of real hardware.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]
#![expect(clippy::print_stdout, reason = "a test whose data is absent says that it skips")]

mod certificates;
mod credential;
mod dbx;
mod decoders;
mod der_tree;
mod dsse;
mod ek_templates;
mod endorsement;
mod endorsement_anchors;
mod endorsement_encodings;
mod endorsement_paths;
mod endorsement_signatures;
mod endorsement_vendors;
mod engine;
mod eventlog;
mod eventlog_cel;
mod eventlog_form;
mod eventlog_shared;
mod forged_tpm;
mod grading;
mod ima;
mod ima_advance;
mod ima_decoding;
mod ima_keys;
mod ima_policy;
mod ima_shared_data;
mod image_boot;
mod image_document;
mod image_proof;
mod image_sbat;
mod image_tools;
mod keys;
mod pcr_file;
mod quote_form;
mod quote_occasion;
mod quote_selection;
mod reference;
mod shared_data;
mod vectors;
