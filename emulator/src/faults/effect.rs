//! What happens to a request for which there is a plan, from its head to its answer.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;

use crate::faults::connection::Reset;
use crate::faults::plan::{Effect, Limit};
use crate::faults::record::{Record, without_signature};
use crate::faults::{Chosen, Faults, operation, shape};
use crate::protocol::reply::{Reply, refusal};
use crate::protocol::request::{Face, Request};
use crate::serve::{self, AnswerBody};
use crate::store::Store;

/// What is read of a body whose request is refused, so that the client gets to see the answer.
const DRAINED_BYTES_MAX: u64 = 64 << 20;
const CHALLENGE: &str = "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize resource_id=https://storage.azure.com";

/// A refusal that is no operation's own.
struct Refusal<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    retry_after_s: Option<u32>,
}

impl Refusal<'_> {
    fn busy(limit: Limit, retry_after_s: Option<u32>) -> Self {
        Self {
            status: 503,
            code: "ServerBusy",
            message: limit.message(),
            retry_after_s,
        }
    }

    fn answer(&self, request: &Request) -> Response<AnswerBody> {
        let mut reply = Reply::new(self.status);
        if let Some(seconds) = self.retry_after_s {
            reply.set("retry-after", seconds.to_string());
        }
        if self.status == 401 {
            reply.set("www-authenticate", CHALLENGE);
        }
        let reply = refusal(reply, request, self.code, self.message, &[]);
        serve::respond(reply.finish(request), request)
    }
}

/// Answers a request as the plan has it, and records it. An error ends the connection without an answer.
pub(crate) async fn answer(
    faults: &Arc<Faults>,
    store: Store,
    mut request: Request,
    body: Incoming,
    reset: &Reset,
) -> io::Result<Response<AnswerBody>> {
    let began = Instant::now();
    let operation = operation::name(&request);
    let chosen = faults.choose(operation, &request);
    let mut record = begin_record(&request, operation, chosen.as_ref());
    let is_gone = faults.is_being_deleted(&request.account, &request.filesystem);
    let answered = match chosen.map(|chosen| chosen.effect) {
        effect if is_gone => {
            record.fault = record
                .fault
                .or_else(|| Some("deletingFilesystem".to_owned()));
            drop(effect);
            drain(body).await;
            Ok(being_deleted(&request))
        }
        None => Ok(serve::carry_out_request(store, request, body).await),
        Some(Effect::ResetBefore {}) => {
            reset.ask();
            Err(io::Error::other("reset on purpose"))
        }
        Some(effect) => match refuse(&effect, &request) {
            Some(refused) => {
                drain(body).await;
                Ok(refused)
            }
            None => {
                prepare(&effect, &store, &mut request);
                let about = request.clone();
                let response = serve::carry_out_request(store, request, body).await;
                finish(effect, faults, &about, response, reset).await
            }
        },
    };
    if let Ok(response) = &answered {
        record.status = Some(response.status().as_u16());
        let code = response.headers().get("x-ms-error-code");
        record.error_code = code.and_then(|code| code.to_str().ok().map(str::to_owned));
    }
    record.duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    faults.note(record);
    answered
}

fn begin_record(request: &Request, operation: &str, chosen: Option<&Chosen>) -> Record {
    let query = without_signature(&request.raw_query);
    let mark = if query.is_empty() { "" } else { "?" };
    let path = format!("{}/{}", request.filesystem, request.path);
    Record {
        time: format!("{:.6}", jiff::Timestamp::now()),
        request_id: request.request_id.clone(),
        client_request_id: request.client_request_id.clone(),
        operation: operation.to_owned(),
        method: request.sent_method.to_string(),
        target: format!("{}{mark}{query}", request.raw_path),
        account: request.account.clone(),
        path: path.trim_matches('/').to_owned(),
        secondary: request.is_secondary,
        status: None,
        error_code: None,
        fault: chosen.map(|chosen| name_of(&chosen.effect)),
        fault_number: chosen.map(|chosen| chosen.number),
        duration_us: 0,
    }
}

/// What an effect is called in a plan.
fn name_of(effect: &Effect) -> String {
    let json = serde_json::to_value(effect).unwrap_or_default();
    json["fault"].as_str().unwrap_or_default().to_owned()
}

async fn drain(mut body: Incoming) {
    let mut left = DRAINED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}

/// The answer of an effect that refuses.
fn refuse(effect: &Effect, request: &Request) -> Option<Response<AnswerBody>> {
    let refusal = match effect {
        Effect::Throttle {
            limit,
            retry_after_s,
        } => Refusal::busy(*limit, *retry_after_s),
        Effect::Error {
            status,
            code,
            message,
            retry_after_s,
        } => Refusal {
            status: *status,
            code,
            message,
            retry_after_s: *retry_after_s,
        },
        Effect::Challenge {} => Refusal {
            status: 401,
            code: "InvalidAuthenticationInfo",
            message: "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
            retry_after_s: None,
        },
        Effect::StaleSecondary {} => Refusal {
            status: 404,
            code: match request.face {
                Face::Dfs => "PathNotFound",
                Face::Blob => "BlobNotFound",
            },
            message: "The secondary does not have it yet.",
            retry_after_s: None,
        },
        _ => return None,
    };
    Some(refusal.answer(request))
}

fn being_deleted(request: &Request) -> Response<AnswerBody> {
    let (code, message) = match request.face {
        Face::Dfs => (
            "FilesystemBeingDeleted",
            "The specified filesystem is being deleted.",
        ),
        Face::Blob => (
            "ContainerBeingDeleted",
            "The specified container is being deleted. Try operation later.",
        ),
    };
    let refusal = Refusal {
        status: 409,
        code,
        message,
        retry_after_s: None,
    };
    refusal.answer(request)
}

/// What changes before the work.
fn prepare(effect: &Effect, store: &Store, request: &mut Request) {
    match effect {
        Effect::SmallPages { entries } => request.page_entries_max = Some(*entries as usize),
        Effect::PartialAcl { entries } => request.acl_records_max = Some(u64::from(*entries)),
        Effect::ExpireLease {} => {
            let ended = request
                .store_path()
                .and_then(|path| store.end_lease(&request.account, &request.filesystem, &path));
            if let Err(error) = ended {
                tracing::debug!(%error, "there is no lease to run out");
            }
        }
        _ => {}
    }
}

/// What changes after the work.
async fn finish(
    effect: Effect,
    faults: &Faults,
    request: &Request,
    response: Response<AnswerBody>,
    reset: &Reset,
) -> io::Result<Response<AnswerBody>> {
    match effect {
        Effect::ResetAfter {} => {
            reset.ask();
            Err(io::Error::other("reset on purpose"))
        }
        Effect::LoseAnswer { silence_ms } => {
            tokio::time::sleep(Duration::from_millis(silence_ms)).await;
            Err(io::Error::other("the answer was lost on purpose"))
        }
        Effect::Truncate { bytes } => Ok(shape::truncate(response, bytes)),
        Effect::SlowFirstByte { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Ok(response)
        }
        Effect::SlowStream { bytes_per_second } => Ok(shape::slow_down(response, bytes_per_second)),
        Effect::WrongChecksum {} => Ok(shape::damage(response)),
        Effect::PartialAcl { .. } if response.headers().contains_key("x-ms-continuation") => {
            Ok(Refusal::busy(Limit::Server, None).answer(request))
        }
        Effect::DeletingFilesystem { for_ms } => {
            if response.status().is_success() {
                faults.begin_deleting(&request.account, &request.filesystem, for_ms);
            }
            Ok(response)
        }
        _ => Ok(response),
    }
}
