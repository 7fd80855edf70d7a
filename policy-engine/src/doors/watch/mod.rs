//! `/v1/watch`: a stream that tells whenever the answer to a question changes, so that connections can be cut that were
//! allowed to begin.
//!
//! It decides at once, whenever the record of the device or the policy changes, and at the instant when time alone changes the
//! answer: a score falls, evidence gets too old, a certificate ends. Each answer that is told is a decision on record.

mod bounds;
mod question;
mod watcher;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Extensions;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Serialize;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{HttpProblem, Json, Peer, Query};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::{DECISION_BODY, WATCHES, WATCHES_PER_CALLER};
use vouchsafe_wire::v1::problem::Problem;
use vouchsafe_wire::v1::watch::{Alive, WatchEnd, Watched, events};

pub use bounds::{TooManyWatches, Watches};
pub use question::WatchQuery;

use question::WatchOptions;
use watcher::{Told, Watcher};

use super::native::{not_decided, unacceptable};
use super::{Caller, Doors};
use crate::decider::Decider;

/// How watches are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// The most that are open at once.
    pub max_open: usize,
    /// The most that one caller has open at once.
    pub max_per_caller: usize,
    /// How often a watch says that it is alive.
    pub alive_interval: Duration,
    /// How far it looks ahead for the instant at which time alone changes the answer, and how often it looks at the least. An
    /// answer that changes and changes back within that may go untold.
    pub look_ahead: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            max_open: WATCHES,
            max_per_caller: WATCHES_PER_CALLER,
            alive_interval: Duration::from_secs(10),
            look_ahead: Duration::from_secs(5),
        }
    }
}

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(doors: &Doors) -> Router {
    let routes = Router::new().route("/v1/watch", get(watch).post(watch_question)).with_state(doors.clone());
    with_body_limit(routes, DECISION_BODY)
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(watch, watch_question), components(schemas(AskDecision, Watched, Alive, WatchEnd, Problem)))]
pub struct WatchApi;

/// Tells the answer to a question, and tells it again whenever it changes: server-sent events `allow` and `deny` (with
/// `Watched`), `alive` (with `Alive`, every ten seconds) and `end` (with `WatchEnd`). Whoever watches takes everything but an
/// allow for a deny: the end of the stream too, and a silence of more than two of those intervals.
#[utoipa::path(
    get,
    path = "/v1/watch",
    operation_id = "watch",
    tag = "decisions",
    params(WatchQuery),
    responses(
        (status = 200, description = "The stream.", body = Watched, content_type = "text/event-stream"),
        (status = 400, description = "The query is not acceptable.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "It is not known who asks.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Neither an enforcement point nor an operator asks, or one who is not registered to \
            pass on what the question says of others.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The question is not acceptable.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "The caller has too many watches open.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "The decision could not be put on record, or too many watches are open.",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn watch(
    State(doors): State<Doors>,
    caller: Caller,
    extensions: Extensions,
    Query(query): Query<WatchQuery>,
) -> Result<Response, HttpProblem> {
    let (ask, options) = query.into_question();
    begin(&doors, &caller, &extensions, ask, options).await
}

/// The same for a question that a query cannot hold.
#[utoipa::path(
    post,
    path = "/v1/watch",
    operation_id = "watchQuestion",
    tag = "decisions",
    params(WatchOptions),
    request_body(content = AskDecision, description = "What is watched."),
    responses(
        (status = 200, description = "The stream, as by GET.", body = Watched, content_type = "text/event-stream"),
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "It is not known who asks.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "As by GET.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The question is not acceptable.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "As by GET.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "As by GET.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn watch_question(
    State(doors): State<Doors>,
    caller: Caller,
    extensions: Extensions,
    Query(options): Query<WatchOptions>,
    Json(ask): Json<AskDecision>,
) -> Result<Response, HttpProblem> {
    begin(&doors, &caller, &extensions, ask, options).await
}

async fn begin(
    doors: &Doors,
    caller: &Caller,
    proven: &Extensions,
    ask: AskDecision,
    options: WatchOptions,
) -> Result<Response, HttpProblem> {
    caller.may_ask_natively(&ask)?;
    let question = caller.question(ask).map_err(|error| unacceptable("", &error))?;
    let place = doors.watches.enter(caller.identity())?;
    let decider: Arc<Decider> = doors.decider.clone();
    let until = proven.get::<Peer>().map(|peer| peer.not_after);
    let mut watcher = Watcher::new(decider, question, caller.identity().clone(), place, options.minimum_score(), until);
    // What cannot be answered at all is told as everywhere, and not by a stream that ends.
    let first = watcher.decide().await.map_err(not_decided)?;
    let later = stream::unfold(Some(watcher), |watcher| async {
        let mut watcher = watcher?;
        let told = watcher.next().await;
        let rest = if matches!(told, Told::End(_)) { None } else { Some(watcher) };
        Some((told, rest))
    });
    let all = futures_util::StreamExt::chain(stream::once(std::future::ready(first)), later);
    let all = futures_util::StreamExt::map(all, |told| Ok::<_, Infallible>(event_of(&told)));
    Ok(Sse::new(all).into_response())
}

fn event_of(told: &Told) -> Event {
    let event = |name: &str, data: String| Event::default().event(name).data(data);
    match told {
        Told::Answer(watched) => {
            let decision = &watched.decision;
            let name = match decision.outcome() {
                vouchsafe_model::Outcome::Allow => events::ALLOW,
                vouchsafe_model::Outcome::Deny => events::DENY,
            };
            event(name, json(watched)).id(decision.id().to_string())
        }
        Told::Alive(alive) => event(events::ALIVE, json(alive)),
        Told::End(end) => event(events::END, json(end)),
    }
}

/// Texts and numbers always have a JSON form.
fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}
