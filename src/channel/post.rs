//! A message posted as JSON to an address that is the whole of a channel: Slack's way and Teams'.

use jiff::Timestamp;
use reqwest::{Method, header};

use super::{Common, Envelope, Payload, Tools, address::Address};
use crate::{
    domain::{Outcome, Refusal},
    http::{ANSWER_BYTES, Reply},
};

/// Posts a message within the channel's timeout; `outcome` says what an answer means to this kind of channel.
pub async fn post(
    tools: &Tools,
    common: &Common,
    address: &Address,
    payload: &Payload,
    envelope: Envelope<'_>,
    outcome: fn(&Reply, Timestamp) -> Outcome,
) -> Outcome {
    let Payload::Json(body) = payload else {
        return Outcome::Refused { what: Refusal::Message, why: "the channel takes JSON, not mail".into() };
    };
    let request = tools
        .http
        .request(Method::POST, address.url().clone())
        // Without the charset, Teams has been seen to spoil what is not ASCII.
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        // The service passes over it; whoever stands in between may tell a repeat by it.
        .header("webhook-id", envelope.key)
        .body(body.clone())
        .build();
    let Ok(request) = request else {
        return Outcome::Refused { what: Refusal::Message, why: "the request can't be made".into() };
    };
    match tools.http.tell(request, common.timeout, ANSWER_BYTES).await {
        Ok(reply) => outcome(&address.kept_out_of(reply, []), envelope.now),
        Err(error) => error.into(),
    }
}
