//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::desk::Desk;
use super::options::{Answers, Quirk};
use super::wire::{Kind, json_reply};

const MOST_BYTES: usize = 64 << 20;

type Shared = State<Arc<Desk>>;

/// Leads every path to where it is answered.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/v1/models", get(models))
        .route(Kind::Completion.path(), post(completions))
        .route(Kind::Chat.path(), post(chats))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(desk)
}

async fn health(State(desk): Shared) -> StatusCode {
    if desk.has(&Quirk::Unhealthy) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn version(State(desk): Shared) -> Response {
    match &desk.options.version {
        Some(version) => json_reply(json!({ "version": version }).to_string().into()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn models(State(desk): Shared, headers: HeaderMap) -> Response {
    if let Err(problem) = desk.check_key(&headers) {
        return problem.into_response();
    }
    let name = &desk.options.name;
    let folder = match &desk.options.answers {
        Answers::Model(files) => files.values().next().and_then(|path| path.parent()),
        Answers::Instant(_) => None,
    };
    let root = folder.map_or_else(|| name.clone(), |folder| folder.to_string_lossy().into_owned());
    let model = json!({
        "id": name, "object": "model", "created": 0, "owned_by": "vllm", "root": root,
        "parent": null, "max_model_len": desk.context, "permission": [],
    });
    json_reply(json!({ "object": "list", "data": [model] }).to_string().into())
}

async fn completions(State(desk): Shared, headers: HeaderMap, body: Bytes) -> Response {
    desk.reply(Kind::Completion, &headers, &body).await
}

async fn chats(State(desk): Shared, headers: HeaderMap, body: Bytes) -> Response {
    desk.reply(Kind::Chat, &headers, &body).await
}
