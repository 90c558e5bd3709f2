//! `lakestage publish`

mod attempt;
mod forecast;
mod outlook;
mod verify;

pub(crate) use outlook::Outlook;

use anyhow::{Result, bail};
use clap::Args;
use lakestage::{AccountLake, IgnoredSchedule, LakeAddress};
use lakestage_engine::{Activity, Environment, Lake, LinkStatus};

use super::environment::EnvironmentArg;
use super::run::Session;

/// Publish links to their storage accounts, see what that would send, and compare what is there.
///
/// What is committed is published as a snapshot, behind those that wait already. What fails is tried again, later each
/// time, until everything is there. `lakestage run` does the same at its intervals.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage publish\n  \
lakestage publish --dry-run\n  \
lakestage publish site --once --ignore-schedule\n  \
lakestage publish --verify --read-back")]
pub(crate) struct PublishArgs {
    /// The link; every link to a storage account where it is left out
    link: Option<String>,

    /// Try once, instead of until everything is published
    #[arg(long)]
    once: bool,

    /// Show what would be sent and how long that would take, and publish nothing
    #[arg(long, conflicts_with_all = ["once", "verify", "ignore_schedule"])]
    dry_run: bool,

    /// Compare the lake with what was published to it, and publish nothing
    #[arg(long, conflicts_with_all = ["once", "ignore_schedule"])]
    verify: bool,

    /// With --verify: read every byte back, instead of trusting ETags and checksums that the account has checked
    #[arg(long, requires = "verify")]
    read_back: bool,

    /// Publish also while the account's schedule has the way closed, and as fast as it goes
    #[arg(long)]
    ignore_schedule: bool,

    #[command(flatten)]
    environment: EnvironmentArg,
}

/// A link with its lake.
struct Target {
    environment: Environment,
    link: LinkStatus,
    lake: Box<dyn Lake>,
    /// The same, where it is an account.
    account: Option<AccountLake>,
}

impl Target {
    fn of(session: &Session<'_>, environment: &Environment, link: LinkStatus) -> Result<Self> {
        let address: LakeAddress = link.lake.parse().map_err(anyhow::Error::msg)?;
        let account = match &address {
            LakeAddress::Account(name) => Some(session.data.account_lake(name, &link.filesystem)?),
            _ => None,
        };
        Ok(Target {
            environment: environment.clone(),
            lake: session.data.lake(&address, &link.filesystem)?,
            link,
            account,
        })
    }

    fn ignore_schedule(&self) -> Option<IgnoredSchedule> {
        self.account.as_ref().map(AccountLake::ignore_schedule)
    }
}

pub(crate) fn run(args: &PublishArgs, session: &Session<'_>) -> Result<()> {
    let name = args.environment.environment.as_deref();
    let environment = session.data.environment(name)?;
    let links = match &args.link {
        Some(name) => vec![environment.link(name)?],
        None => environment.links(),
    };
    let chosen = |link: &LinkStatus| {
        let is_account = matches!(link.lake.parse(), Ok(LakeAddress::Account(_)));
        args.link.is_some() || (is_account && link.activity == Activity::Active)
    };
    let links: Vec<LinkStatus> = links.into_iter().filter(chosen).collect();
    if links.is_empty() {
        bail!(
            "no link publishes to a storage account; create one with `lakestage link new --all --to account:<name>`, or name a link"
        );
    }
    let mut findings = 0;
    for link in links {
        let target = Target::of(session, &environment, link)?;
        if args.dry_run {
            forecast::run(&target, session)?;
        } else if args.verify {
            findings += verify::run(&target, args.read_back, session)?;
        } else {
            let _way = args.ignore_schedule.then(|| target.ignore_schedule());
            attempt::run(&target, args.once, session)?;
        }
    }
    match findings {
        0 => Ok(()),
        1 => bail!("1 thing is not as it was published"),
        several => bail!("{several} things are not as they were published"),
    }
}
