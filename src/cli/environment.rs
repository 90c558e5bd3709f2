//! `lakestage init`

use anyhow::Result;
use clap::{Args, ValueEnum};
use lakestage_engine::{DateTimeFormat, EnvironmentSettings, LineEnd};
use serde::Serialize;

use super::output;
use super::run::Session;

/// Create an environment.
///
/// An environment has tables, their rows and its links. Its lake is called dataverse-<NAME>-<ORGANIZATION>, as the
/// service calls it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lakestage init contoso --organization org3f7a9c21")]
pub(crate) struct InitArgs {
    /// Lower-case letters and digits, up to 40
    name: String,

    /// The organization's unique name; lower-case letters and digits, up to 40
    #[arg(long, default_value = "org1")]
    organization: String,

    /// Write date-times with whole seconds instead of seven digits behind the point
    #[arg(long)]
    whole_seconds: bool,

    /// What each row of a CSV file ends with
    #[arg(long, value_enum, default_value_t = LineEndArg::Lf)]
    line_end: LineEndArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LineEndArg {
    /// A line feed
    Lf,
    /// A carriage return and a line feed
    Crlf,
}

/// Which environment a command is about.
#[derive(Debug, Args)]
pub(crate) struct EnvironmentArg {
    /// The environment; needed only where the data folder holds several
    #[arg(long, short, value_name = "NAME")]
    pub environment: Option<String>,
}

#[derive(Debug, Serialize)]
struct Created {
    environment: String,
    organization: String,
    filesystem: String,
}

pub(crate) fn run(args: &InitArgs, session: &Session<'_>) -> Result<()> {
    let settings = EnvironmentSettings {
        date_time_format: match args.whole_seconds {
            true => DateTimeFormat::Seconds,
            false => DateTimeFormat::Ticks,
        },
        line_end: match args.line_end {
            LineEndArg::Lf => LineEnd::Lf,
            LineEndArg::Crlf => LineEnd::CrLf,
        },
        ..EnvironmentSettings::new(&args.name, &args.organization)
    };
    let environment = session.data.create_environment(settings)?;
    let created = Created {
        environment: args.name.clone(),
        organization: args.organization.clone(),
        filesystem: environment.filesystem_name(),
    };
    output::print(session.console, session.json, &created, |created| {
        format!(
            "created environment {}; its lake will be {}\nnext: lakestage table add <schema.json>",
            created.environment, created.filesystem
        )
    })
}
