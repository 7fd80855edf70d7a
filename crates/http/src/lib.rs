//! The listening side that both engines share: TLS 1.3, who the peer is, problem details, bounds and health.
//!
//! A door is a listener, a [`tls::ServerTls`] and a router in [`api::api`]; [`serve::serve`] keeps it open. What is here
//! knows nothing of devices' trust or of policies, and never decides more than who may knock.

pub mod api;
pub mod clock;
mod connection;
pub mod entropy;
pub mod extract;
pub mod health;
pub mod keys;
pub mod limits;
pub mod observe;
pub mod peer;
pub mod problem;
pub mod rates;
pub mod serve;
pub mod tls;

pub use api::{ApiSettings, api, api_by_key};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, OsEntropy};
pub use extract::{Json, Path, Query};
pub use health::Health;
pub use keys::{ApiKeys, KeyDoor, KeyHolder};
pub use limits::RequestLimits;
pub use peer::{DecisionPeer, DevicePeer, OperatorPeer, Peer, RemoteAddress};
pub use problem::HttpProblem;
pub use rates::{Rate, RateLimits};
pub use serve::{ConnectionLimits, ServeError, serve};
pub use tls::{ServerIdentity, ServerTls, TlsError};
