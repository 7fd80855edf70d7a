//! Join tokens and credentials.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path, Query};
use vouchsafe_model::TokenId;
use vouchsafe_store::{Page, PageLimit};
use vouchsafe_wire::v1::operate::{self, CreateToken, CreatedToken, IssueCredential, IssuedCredential, TokenView};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The page after this item.
    pub(super) after: Option<String>,
    /// How many items, at most 500.
    pub(super) limit: Option<u32>,
}

impl PageQuery {
    pub(super) fn page<C>(self) -> Result<Page<C>, HttpProblem>
    where
        C: std::str::FromStr,
        C::Err: std::fmt::Display,
    {
        let after = self.after.map(|text| text.parse());
        let after = after.transpose().map_err(|error: C::Err| super::problem::bad_query("after", &error))?;
        Ok(Page { after, limit: PageLimit::new(self.limit.unwrap_or(PageLimit::MAX)) })
    }
}

/// Makes a join token.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "operator",
    request_body = CreateToken,
    responses((status = 200, body = CreatedToken), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn create(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Json(asked): Json<CreateToken>,
) -> Result<Json<CreatedToken>, HttpProblem> {
    engine.create_token(asked).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Lists the join tokens, newest first.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "operator", params(PageQuery),
    responses((status = 200, body = operate::Page<TokenView>))
)]
pub(super) async fn list(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Query(query): Query<PageQuery>,
) -> Result<Json<operate::Page<TokenView>>, HttpProblem> {
    engine.list_tokens(query.page()?).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Withdraws a join token.
#[utoipa::path(
    post, path = "/v1/tokens/{id}/revoke", tag = "operator", params(("id" = String, Path)),
    responses((status = 200, body = TokenView), (status = 404, body = Problem))
)]
pub(super) async fn revoke(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(id): Path<TokenId>,
) -> Result<Json<TokenView>, HttpProblem> {
    engine.revoke_token(id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Issues a certificate for an operator or an enforcement point.
#[utoipa::path(
    post, path = "/v1/credentials", tag = "operator",
    request_body = IssueCredential,
    responses((status = 200, body = IssuedCredential), (status = 400, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn issue_credential(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Json(asked): Json<IssueCredential>,
) -> Result<Json<IssuedCredential>, HttpProblem> {
    engine.issue_credential(&asked).map(Json).map_err(IntoProblem::into_problem)
}
