//! `POST /api/v1/deliveries/{id}/retry`: sends a delivery again, as `deliveries retry ID` does.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};

use super::{
    Server,
    endpoints::RETRY,
    lists::within,
    problem::{Problem, quoted},
    query::Query,
};
use crate::{
    domain::{Delivery, Name},
    store::{DeliveryFilter, Retry},
};

/// Sends a delivery again; answers with how it stands then.
pub async fn retry(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    Query::read(raw.as_deref(), &RETRY)?;
    server.is_serving()?;
    let missing = || {
        let error = format!("there is no delivery {}; `GET /api/v1/deliveries` lists them, each with its `id`", quoted(&id));
        Problem::new(StatusCode::NOT_FOUND, error)
    };
    let number: i64 = id.parse().map_err(|_| missing())?;
    let delivery = find(&server, number).await?.ok_or_else(missing)?;
    let refused = |why: String| Err(Problem::new(StatusCode::CONFLICT, format!("delivery {number} can't be sent again: {why}")));
    let in_use = server.in_use();
    if in_use.channel(&delivery.channel).is_none() {
        return refused(format!("its channel `{}` is not in the config any more", delivery.channel));
    }
    if within(server.store.retry(Retry::One(number), server.clock.now())).await? == 0 {
        return refused(match (delivery.outcome.as_str(), delivery.rolled_into) {
            ("pending", _) => "it waits for others of its rule, and goes out with them".into(),
            (outcome, Some(into)) => format!("it is {outcome}, in delivery {into}"),
            (outcome, None) => format!("it is {outcome}; only a dead letter, or one that waits for its next attempt, is"),
        });
    }
    in_use.wake.channel(&Name::from(&delivery.channel));
    tracing::info!(delivery = number, channel = %delivery.channel, "sent again: asked for by the API");
    let now = find(&server, number).await?.unwrap_or(delivery);
    Ok((StatusCode::ACCEPTED, Json(now)))
}

async fn find(server: &Server, id: i64) -> Result<Option<Delivery>, Problem> {
    let filter = DeliveryFilter { id: Some(id), limit: 1, ..DeliveryFilter::default() };
    Ok(within(server.store.deliveries(filter)).await?.into_iter().next())
}
