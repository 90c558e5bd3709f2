//! Options about faults on purpose, and about recording requests.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lakestage_emulator::faults::{FaultPlan, Faults};

/// What shall go wrong in a served lake.
#[derive(Debug, Args)]
pub(crate) struct FaultArgs {
    /// Let requests fail as the plan in this file says, so that clients can show how they retry;
    /// fixtures/faults.schema.json in lakestage's repository describes it
    #[arg(long = "faults", value_name = "FILE")]
    plan: Option<PathBuf>,

    /// The port of 127.0.0.1 on which the plan can be changed (PUT /faults) and requests looked at (GET /requests);
    /// 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    pub faults_port: Option<u16>,

    /// Record every request, its answer and its fault in this file, as JSON lines; what is in it is replaced
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl FaultArgs {
    /// The plan and the record, if one of them is wanted.
    pub(crate) fn faults(&self) -> Result<Option<Arc<Faults>>> {
        if self.plan.is_none() && self.record.is_none() {
            return Ok(None);
        }
        let plan = match &self.plan {
            None => FaultPlan::default(),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                FaultPlan::from_json(&text).with_context(|| file.display().to_string())?
            }
        };
        let faults = Faults::new(plan)?;
        if let Some(file) = &self.record {
            faults
                .record_to(file)
                .with_context(|| format!("requests cannot be recorded in {}", file.display()))?;
        }
        Ok(Some(Arc::new(faults)))
    }
}
