//! Links and their tables.

use std::fmt;

use lakestage_engine::{Activity, LinkStatus, LinkTableStatus};
use prometheus_client::encoding::DescriptorEncoder;

use super::text::{Environments, Values, gauge};

impl Environments {
    pub(super) fn links(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let active = self.labelled("link", |m| {
            let links = m.links.iter();
            links
                .map(|l| {
                    (
                        l.name.clone(),
                        f64::from(u8::from(l.activity == Activity::Active)),
                    )
                })
                .collect()
        });
        let help = "Whether a link publishes: 1, or 0 while it is paused or being removed.";
        gauge(out, "lakestage_link_active", help, &active)?;
        let lag = self.labelled("link", |m| {
            let links = m.links.iter();
            links
                .map(|l| (l.name.clone(), l.lag_versions as f64))
                .collect()
        });
        let help = "Versions that a link's near-real-time files are behind.";
        gauge(out, "lakestage_link_lag_versions", help, &lag)?;
        let waiting = self.labelled("link", |m| {
            let links = m.links.iter();
            let waiting = links.filter_map(|l| Some((l.name.clone(), l.backlog.as_ref()?)));
            waiting.map(|(name, b)| (name, b.waiting as f64)).collect()
        });
        let help = "Snapshots that wait for a link's lake.";
        gauge(out, "lakestage_link_waiting_snapshots", help, &waiting)?;
        let last = self.labelled("link", |m| {
            let links = m.links.iter().filter(|l| l.last_snapshot_unix_s > 0);
            links
                .map(|l| (l.name.clone(), l.last_snapshot_unix_s as f64))
                .collect()
        });
        let help = "When a link's last snapshot was made, Unix seconds.";
        gauge(
            out,
            "lakestage_link_last_snapshot_timestamp_seconds",
            help,
            &last,
        )?;
        let failed = self.labelled("link", |m| {
            let links = m.links.iter();
            let failed = |link: &LinkStatus| f64::from(u8::from(link.last_failure.is_some()));
            links.map(|l| (l.name.clone(), failed(l))).collect()
        });
        let help = "Whether a link's last attempt to publish failed.";
        gauge(out, "lakestage_link_failing", help, &failed)?;
        self.tables(out)
    }

    fn tables(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let states = self.all(|m| {
            of_tables(&m.links, |table, labels| {
                labels.push(("state", table.state.to_owned()));
                Some(1.0)
            })
        });
        let help = "1 for the state that a linked table is in, in the words of `link status`.";
        gauge(out, "lakestage_link_table_state", help, &states)?;
        type Value = fn(&LinkTableStatus) -> Option<f64>;
        let gauges: [(&str, &str, Value); 4] = [
            (
                "lakestage_link_table_count",
                "Rows of a linked table, or of an append-only one changes, as published.",
                |table| Some(table.count as f64),
            ),
            (
                "lakestage_link_table_files",
                "Files of a linked table that model.json names.",
                |table| Some(table.files.len() as f64),
            ),
            (
                "lakestage_link_table_synced_version",
                "The version at which a linked table changed last, as published.",
                |table| Some(table.last_synced_version as f64),
            ),
            (
                "lakestage_link_table_synced_timestamp_seconds",
                "When a linked table was synced last, Unix seconds.",
                |table| (table.last_synced_unix_s > 0).then_some(table.last_synced_unix_s as f64),
            ),
        ];
        for (name, help, value) in gauges {
            let values = self.all(|m| of_tables(&m.links, |table, _| value(table)));
            gauge(out, name, help, &values)?;
        }
        Ok(())
    }
}

/// A value for each table of each link, where there is one.
fn of_tables(
    links: &[LinkStatus],
    value: impl Fn(&LinkTableStatus, &mut Vec<(&'static str, String)>) -> Option<f64>,
) -> Values<f64> {
    let mut values = Vec::new();
    for link in links {
        for table in &link.tables {
            let mut labels = vec![("link", link.name.clone()), ("table", table.name.clone())];
            if let Some(value) = value(table, &mut labels) {
                values.push((labels, value));
            }
        }
    }
    values
}
