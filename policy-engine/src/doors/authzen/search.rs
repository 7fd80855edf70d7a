//! `/access/v1/search/…`: who may, to what, and what.
//!
//! The policy says who and what there is (see [`crate::candidates`]); each candidate is put to it like an evaluation, as many
//! as it takes to fill a page and no more than are bounded, and each goes on record: whoever asks who may read what learns
//! something, and an operator can see who asked.

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};
use vouchsafe_wire::v1::agent::{Access, Action, Entity};
use vouchsafe_wire::v1::authzen::{PageAnswer, SearchAnswer, SearchRequest, Searched, read_search};
use vouchsafe_wire::v1::limits::ACCESS_BODY;

use super::error::{Refused, read_body};
use super::evaluate::{as_json, is_permitted};
use super::page::{Place, TokenRefused};
use super::question::check_belief;
use crate::candidates::Candidates;
use crate::doors::{Caller, Doors};

/// The most results of a page, and those of a page whose size nobody named.
pub(super) const MAX_RESULTS: u32 = 100;
/// The most candidates that are evaluated for a page.
pub(super) const MAX_EVALUATED: usize = 200;
/// How many are evaluated at once.
const AT_ONCE: usize = 32;

/// Who may do the action to the resource?
#[utoipa::path(
    post,
    path = "/access/v1/search/subject",
    operation_id = "accessSearchSubject",
    tag = "authzen",
    request_body(content = Object, description = "AuthZEN 8.4.1. The subject has a type alone."),
    responses(
        (status = 200, description = "Those whom the policy knows and permits.", body = SearchAnswer),
        (status = 400, description = "What is wrong with the request.", body = String, content_type = "text/plain"),
        (status = 401, description = "It is not known who asks.", body = String, content_type = "text/plain"),
        (status = 403, description = "The caller may not ask this.", body = String, content_type = "text/plain"),
        (status = 500, description = "There is no answer.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn subject(state: State<Doors>, request: Request) -> Result<Response, Refused> {
    search(state, Searched::Subject, request).await
}

/// To what may the subject do the action?
#[utoipa::path(
    post,
    path = "/access/v1/search/resource",
    operation_id = "accessSearchResource",
    tag = "authzen",
    request_body(content = Object, description = "AuthZEN 8.5.1. The resource has a type alone."),
    responses(
        (status = 200, description = "What the policy knows and permits.", body = SearchAnswer),
        (status = 400, description = "What is wrong with the request.", body = String, content_type = "text/plain"),
        (status = 401, description = "It is not known who asks.", body = String, content_type = "text/plain"),
        (status = 403, description = "The caller may not ask this.", body = String, content_type = "text/plain"),
        (status = 500, description = "There is no answer.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn resource(state: State<Doors>, request: Request) -> Result<Response, Refused> {
    search(state, Searched::Resource, request).await
}

/// What may the subject do to the resource?
#[utoipa::path(
    post,
    path = "/access/v1/search/action",
    operation_id = "accessSearchAction",
    tag = "authzen",
    request_body(content = Object, description = "AuthZEN 8.6.1. There is no action."),
    responses(
        (status = 200, description = "What the policy knows and permits.", body = SearchAnswer),
        (status = 400, description = "What is wrong with the request.", body = String, content_type = "text/plain"),
        (status = 401, description = "It is not known who asks.", body = String, content_type = "text/plain"),
        (status = 403, description = "The caller may not ask this.", body = String, content_type = "text/plain"),
        (status = 500, description = "There is no answer.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn action(state: State<Doors>, request: Request) -> Result<Response, Refused> {
    search(state, Searched::Action, request).await
}

async fn search(State(doors): State<Doors>, searched: Searched, request: Request) -> Result<Response, Refused> {
    let caller = doors.points.caller(request.extensions())?;
    let search = read_search(searched, &read_body(request, ACCESS_BODY).await?)?;
    check_belief(&caller, &search.access)?;
    let place = place(&doors, &caller, &search)?;
    let engine = &doors.decider.engine;
    let candidates = engine.candidates(&search, doors.decider.clock.now()).await.map_err(|error| {
        tracing::error!(%error, "the candidates of a search are not known");
        Refused::internal()
    })?;
    Ok(as_json(&answer(&doors, &caller, &search, candidates, place).await?))
}

/// Where to begin, and how many results a page has.
fn place(doors: &Doors, caller: &Caller, search: &SearchRequest) -> Result<Place, Refused> {
    let page = search.page.clone().unwrap_or_default();
    // A larger page than the largest is the largest.
    let wanted = page.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX).min(MAX_RESULTS));
    // As some write it, an empty token is none.
    let Some(token) = page.token.filter(|token| !token.is_empty()) else {
        return Ok(Place { after: String::new(), limit: wanted.unwrap_or(MAX_RESULTS) });
    };
    let place = doors.page_key.recognise(&token, caller.identity(), search, doors.decider.clock.now());
    let place = place.and_then(|place| match wanted {
        Some(wanted) if wanted != place.limit => Err(TokenRefused::OtherLimit),
        _ => Ok(place),
    });
    place.map_err(|refused| Refused::bad_request(refused.to_string()))
}

async fn answer(
    doors: &Doors,
    caller: &Caller,
    search: &SearchRequest,
    candidates: Candidates,
    place: Place,
) -> Result<SearchAnswer, Refused> {
    let limit = usize::try_from(place.limit).unwrap_or(usize::MAX);
    let mut rest = candidates.after(&place.after).peekable();
    let (mut results, mut evaluated, mut last) = (Vec::new(), 0, place.after.clone());
    while results.len() < limit && evaluated < MAX_EVALUATED && rest.peek().is_some() {
        // Never more than there is room for: whoever is evaluated is told.
        let room = (limit - results.len()).min(MAX_EVALUATED - evaluated).min(AT_ONCE);
        let batch: Vec<_> = rest.by_ref().take(room).collect();
        let evaluating = batch
            .iter()
            .map(|(name, properties)| is_permitted(&doors.decider, caller, completed(search, name, properties)));
        let permitted = try_join_all(evaluating).await?;
        evaluated += batch.len();
        if let Some((name, _)) = batch.last() {
            (*name).clone_into(&mut last);
        }
        let found = batch.iter().zip(permitted).filter_map(|((name, _), permitted)| permitted.then_some(*name));
        results.extend(found.map(|name| result(search, name)));
    }
    let has_more = rest.peek().is_some();
    let page = (has_more || search.page.is_some()).then(|| {
        let next = Place { after: last, limit: place.limit };
        let issue = || doors.page_key.issue(caller.identity(), search, &next, doors.decider.clock.now());
        PageAnswer { next_token: if has_more { issue() } else { String::new() }, count: results.len() }
    });
    Ok(SearchAnswer { page, results })
}

/// The evaluation of a candidate. What the policy's data says of it counts; what the asker says of all of its kind is added.
fn completed(search: &SearchRequest, name: &str, known: &Map<String, Value>) -> Access {
    let mut access = search.access.clone();
    let properties = match search.searched {
        Searched::Subject => named(&mut access.subject, name),
        Searched::Resource => named(&mut access.resource, name),
        Searched::Action => {
            access.action = Action { name: name.to_owned(), properties: Map::new() };
            &mut access.action.properties
        }
    };
    properties.extend(known.iter().map(|(key, value)| (key.clone(), value.clone())));
    access
}

fn named<'a>(entity: &'a mut Entity, name: &str) -> &'a mut Map<String, Value> {
    name.clone_into(&mut entity.id);
    &mut entity.properties
}

/// A result: names alone. What the policy's data says of them is not for everybody.
fn result(search: &SearchRequest, name: &str) -> Value {
    match search.searched {
        Searched::Subject => json!({"type": search.access.subject.r#type, "id": name}),
        Searched::Resource => json!({"type": search.access.resource.r#type, "id": name}),
        Searched::Action => json!({"name": name}),
    }
}
