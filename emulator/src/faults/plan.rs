//! What shall go wrong, and when: the JSON that `fixtures/faults.schema.json` describes.

use serde::{Deserialize, Serialize};

use crate::faults::operation::OPERATIONS;

/// How long a filesystem is being deleted, as the service documents it.
const DELETING_MS: u64 = 30_000;

/// Faults, in the order in which they are tried. A request gets the first whose time has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultPlan {
    /// What the probabilities are drawn from; the same seed and requests give the same faults.
    #[serde(default)]
    pub seed: u64,
    /// The faults.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    #[serde(default, rename = "match")]
    pub matches: RequestMatch,
    /// How many of them go well first.
    #[serde(default)]
    pub skip: u64,
    /// How many of them it happens to; `None` is no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How likely it happens to one of them.
    #[serde(default = "always")]
    pub probability: f64,
    /// What happens.
    #[serde(rename = "do")]
    pub effect: Effect,
}

fn always() -> f64 {
    1.0
}

/// Requests; what is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMatch {
    /// An operation, by a name of [`OPERATIONS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// An HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// An account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A filesystem and path such as `raw/2024/**`: `*` is anything within a name, `**` anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Which limit a throttled request ran into; each has its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// "Egress is over the account limit."
    Egress,
    /// "Ingress is over the account limit."
    Ingress,
    /// "Operations per second is over the account limit."
    Operations,
    /// "The server is currently unable to receive requests. Please retry your request."
    Server,
}

impl Limit {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Egress => "Egress is over the account limit.",
            Self::Ingress => "Ingress is over the account limit.",
            Self::Operations => "Operations per second is over the account limit.",
            Self::Server => {
                "The server is currently unable to receive requests. Please retry your request."
            }
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "fault",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Effect {
    /// 503 `ServerBusy` before any work.
    Throttle {
        /// Which limit.
        limit: Limit,
        /// `Retry-After`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
    },
    /// Another refusal before any work.
    Error {
        /// 400 to 599.
        status: u16,
        /// `x-ms-error-code`.
        code: String,
        /// What the answer says.
        #[serde(default)]
        message: String,
        /// `Retry-After`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
    },
    /// 401 with the `WWW-Authenticate` of the service.
    Challenge {},
    /// The connection is reset before any work.
    ResetBefore {},
    /// The work is done, and the connection is reset instead of an answer.
    ResetAfter {},
    /// The work is done, nothing is answered, and the connection ends after a while.
    LoseAnswer {
        /// How long nothing is heard.
        #[serde(default)]
        silence_ms: u64,
    },
    /// The answer's body ends early, and the connection with it.
    Truncate {
        /// Bytes that arrive.
        bytes: u64,
    },
    /// The answer begins late.
    SlowFirstByte {
        /// How late.
        delay_ms: u64,
    },
    /// The answer's body comes slowly.
    SlowStream {
        /// How slowly.
        bytes_per_second: u32,
    },
    /// A bit of the answer's body is flipped, and its checksums stay; where there is no body, the checksums are wrong.
    WrongChecksum {},
    /// The secondary does not have it yet: 404 to a read there. Other requests do not match.
    StaleSecondary {},
    /// A page of a list has no more entries than this.
    SmallPages {
        /// At least one.
        entries: u32,
    },
    /// A recursive change of access control lists ends early with 503 `ServerBusy`, and what it has done stays.
    PartialAcl {
        /// Paths that are changed.
        entries: u32,
    },
    /// The lease of the path has run out.
    ExpireLease {},
    /// From a deletion on, requests for the filesystem are answered with 409 `FilesystemBeingDeleted`, or
    /// `ContainerBeingDeleted`, for a while. Other requests do not match.
    DeletingFilesystem {
        /// How long.
        #[serde(default = "deleting_ms")]
        for_ms: u64,
    },
}

fn deleting_ms() -> u64 {
    DELETING_MS
}

/// What is wrong with a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is not the JSON of a plan.
    #[error("the fault plan cannot be read: {0}; fixtures/faults.schema.json describes it")]
    Json(#[from] serde_json::Error),
    /// A value is out of its range.
    #[error("fault {number} of the plan: {reason}")]
    Value {
        /// From 1.
        number: usize,
        /// What is wrong, and what it may be.
        reason: String,
    },
}

impl FaultPlan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// Names the fault and the rule.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let plan: Self = serde_json::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// Names the fault and the rule.
    pub fn check(&self) -> Result<(), PlanError> {
        for (place, fault) in self.faults.iter().enumerate() {
            fault.check().map_err(|reason| PlanError::Value {
                number: place + 1,
                reason,
            })?;
        }
        Ok(())
    }
}

impl Fault {
    /// This for every request, without end.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self {
            matches: RequestMatch::default(),
            skip: 0,
            count: None,
            probability: 1.0,
            effect,
        }
    }

    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!(
                "the probability {} is not between 0 and 1",
                self.probability
            ));
        }
        if let Some(operation) = &self.matches.operation
            && !OPERATIONS.contains(&operation.as_str())
        {
            return Err(format!(
                "there is no operation {operation:?}; there are {}",
                OPERATIONS.join(", ")
            ));
        }
        match &self.effect {
            Effect::Error { status, .. } if !(400..600).contains(status) => {
                Err(format!("the status {status} is not between 400 and 599"))
            }
            Effect::Error { code, .. } if !is_code(code) => {
                Err(format!("the code {code:?} is not of letters and digits"))
            }
            Effect::SmallPages { entries: 0 } => Err("a page of 0 entries has no end".to_owned()),
            Effect::PartialAcl { entries: 0 } => {
                Err("a change must come to at least one path".to_owned())
            }
            Effect::SlowStream {
                bytes_per_second: 0,
            } => Err("0 bytes a second never arrive".to_owned()),
            _ => Ok(()),
        }
    }
}

fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
