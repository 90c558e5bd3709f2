//! The metrics of all environments in Prometheus' text form.

use std::fmt;

use crate::cli::publish::Outlook;
use anyhow::Result;
use lakestage::DataFolder;
use lakestage_engine::{COMMIT_LATENCY_BOUNDS_S, EnvironmentMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// A metric with the labels of each of its values.
pub(super) type Values<T> = Vec<(Vec<(&'static str, String)>, T)>;

#[derive(Debug)]
pub(super) struct Environments(Vec<(String, EnvironmentMetrics)>);

/// Links to storage accounts, with the labels of each.
#[derive(Debug)]
struct Uplinks(Values<Outlook>);

pub(super) fn of(data: &DataFolder) -> Result<String> {
    let mut environments = Vec::new();
    let mut uplinks = Vec::new();
    for name in data.environment_names()? {
        let environment = data.environment(Some(&name))?;
        let metrics = environment.metrics()?;
        for link in &metrics.links {
            // An account that is not set up as it should be is not to take the other metrics away.
            if let Ok(Some(outlook)) = Outlook::of(data, &environment, link) {
                let labels = vec![("environment", name.clone()), ("link", link.name.clone())];
                uplinks.push((labels, outlook));
            }
        }
        environments.push((name, metrics));
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Environments(environments)));
    registry.register_collector(Box::new(Uplinks(uplinks)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Uplinks {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        type Value = fn(&Outlook) -> Option<f64>;
        let gauges: [(&str, &str, Value); 5] = [
            (
                "lakestage_link_backlog_bytes",
                "Bytes of blocks that are to be sent to an account.",
                |o| Some(o.backlog_bytes as f64),
            ),
            (
                "lakestage_link_unpublished_since_timestamp_seconds",
                "When the oldest snapshot was taken that is not there, or else the newest that is, Unix seconds.",
                |o| o.unpublished_since_unix_s.map(|since| since as f64),
            ),
            (
                "lakestage_link_rate_bytes_per_second",
                "How fast it is sent, while it is.",
                |o| o.rate_bytes_s,
            ),
            (
                "lakestage_link_eta_seconds",
                "When everything will be sent at that rate.",
                |o| o.eta_s.map(|eta| eta as f64),
            ),
            (
                "lakestage_link_closed_until_timestamp_seconds",
                "Until when the schedule has the way closed, Unix seconds.",
                |o| o.closed_until_unix_s.map(|until| until as f64),
            ),
        ];
        for (name, help, value) in gauges {
            let values = self.0.iter();
            let values = values.filter_map(|(labels, o)| Some((labels.clone(), value(o)?)));
            gauge(&mut out, name, help, &values.collect())?;
        }
        let wire = self.0.iter();
        let wire = wire.map(|(labels, outlook)| (labels.clone(), outlook.wire_bytes));
        let help = "Bytes that were handed to the network, those of broken tries as well.";
        counter(&mut out, "lakestage_link_wire_bytes", help, &wire.collect())
    }
}

impl Environments {
    /// One value an environment.
    fn each<T>(&self, value: impl Fn(&EnvironmentMetrics) -> T) -> Values<T> {
        let environments = self.0.iter();
        environments
            .map(|(name, metrics)| (vec![("environment", name.clone())], value(metrics)))
            .collect()
    }

    /// Any number of values an environment, each with more labels.
    pub(super) fn all<T>(&self, values: impl Fn(&EnvironmentMetrics) -> Values<T>) -> Values<T> {
        let environments = self.0.iter();
        environments
            .flat_map(|(name, metrics)| {
                let values = values(metrics).into_iter();
                values.map(|(labels, value)| {
                    let environment = ("environment", name.clone());
                    ([environment].into_iter().chain(labels).collect(), value)
                })
            })
            .collect()
    }

    /// Any number of values an environment, each with one more label.
    pub(super) fn labelled<T>(
        &self,
        label: &'static str,
        values: impl Fn(&EnvironmentMetrics) -> Vec<(String, T)>,
    ) -> Values<T> {
        let environments = self.0.iter();
        environments
            .flat_map(|(name, metrics)| {
                let values = values(metrics).into_iter();
                values.map(|(of, value)| (vec![("environment", name.clone()), (label, of)], value))
            })
            .collect()
    }
}

fn counter(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &Values<u64>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.iter().try_for_each(|(labels, value)| {
        metric
            .encode_family(labels)?
            .encode_counter::<NoLabelSet, _, f64>(value, None)
    })
}

pub(super) fn gauge(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &Values<f64>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values
        .iter()
        .try_for_each(|(labels, value)| metric.encode_family(labels)?.encode_gauge(value))
}

impl Collector for Environments {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut out;
        self.commits(out)?;
        self.journal(out)?;
        self.retention(out)?;
        self.links(out)
    }
}

impl Environments {
    fn commits(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut count = |name: &str, help: &str, value: fn(&EnvironmentMetrics) -> u64| {
            counter(out, name, help, &self.each(value))
        };
        count("lakestage_commits", "Commits that became durable.", |m| {
            m.commits
        })?;
        count("lakestage_row_changes", "Row changes in them.", |m| {
            m.row_changes
        })?;
        count("lakestage_commit_bytes", "Bytes of them.", |m| {
            m.commit_bytes
        })?;
        count(
            "lakestage_commit_batches",
            "Batches with one sync each.",
            |m| m.batches,
        )?;
        let refused = self.labelled("reason", |m| {
            vec![
                ("busy".to_owned(), m.refused_busy),
                ("quota".to_owned(), m.refused_over_quota),
                ("failed".to_owned(), m.failed),
            ]
        });
        let help = "Commits of which nothing was kept.";
        counter(out, "lakestage_commits_refused", help, &refused)?;
        let mut latency = out.encode_descriptor(
            "lakestage_commit_latency_seconds",
            "From sending a commit to its being durable.",
            None,
            MetricType::Histogram,
        )?;
        let bounds = COMMIT_LATENCY_BOUNDS_S.into_iter().chain([f64::MAX]);
        let bounds: Vec<f64> = bounds.collect();
        for (labels, metrics) in self.each(Clone::clone) {
            let buckets = bounds.iter().copied().zip(metrics.latency.iter().copied());
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let count = metrics.latency.iter().sum();
            latency
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(metrics.latency_sum_s, count, &buckets, None)?;
        }
        Ok(())
    }

    fn journal(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Value = fn(&EnvironmentMetrics) -> f64;
        let gauges: [(&str, &str, Value); 10] = [
            (
                "lakestage_commits_waiting",
                "Commits in the queue before the disk.",
                |m| m.status.waiting_commits as f64,
            ),
            (
                "lakestage_last_version",
                "The version of the last commit.",
                |m| m.status.last_version as f64,
            ),
            (
                "lakestage_compacted_version",
                "The version up to which all is in blocks.",
                |m| m.status.compacted_version as f64,
            ),
            (
                "lakestage_journal_bytes",
                "Bytes of the journal's files.",
                |m| m.status.journal_bytes as f64,
            ),
            (
                "lakestage_unsealed_bytes",
                "Bytes of commits in no segment.",
                |m| m.status.tail_bytes as f64,
            ),
            (
                "lakestage_unsealed_age_seconds",
                "Age of the oldest of them.",
                |m| m.unsealed_age_s,
            ),
            ("lakestage_segments", "Sealed segments.", |m| {
                m.status.segments as f64
            }),
            ("lakestage_segment_bytes", "Bytes of them.", |m| {
                m.status.segment_bytes as f64
            }),
            (
                "lakestage_quota_used_bytes",
                "Bytes that count towards the quota.",
                |m| m.status.quota.used_bytes as f64,
            ),
            (
                "lakestage_quota_used_rows",
                "Rows that count towards the quota.",
                |m| m.status.quota.used_rows as f64,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(out, name, help, &self.each(value))?;
        }
        let limits = self.labelled("of", |m| {
            let quota = m.status.quota.quota;
            let limits = [("bytes", quota.bytes), ("rows", quota.rows)];
            let set = limits
                .into_iter()
                .filter_map(|(of, limit)| Some((of, limit?)));
            set.map(|(of, limit)| (of.to_owned(), limit as f64))
                .collect()
        });
        gauge(
            out,
            "lakestage_quota_limit",
            "The limits that are set.",
            &limits,
        )
    }

    fn retention(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let holders = self.labelled("kind", |m| {
            let active = m.consumers.iter().filter(|c| !c.is_expired).count();
            vec![
                ("reader".to_owned(), m.readers as f64),
                ("consumer".to_owned(), active as f64),
                ("link".to_owned(), m.links.len() as f64),
            ]
        });
        let help = "Who keeps changes from being removed.";
        gauge(out, "lakestage_retention_holders", help, &holders)?;
        let lag = self.labelled("consumer", |m| {
            let consumers = m.consumers.iter();
            consumers
                .map(|c| {
                    let lag = m.status.last_version.saturating_sub(c.version);
                    (c.name.clone(), lag as f64)
                })
                .collect()
        });
        let help = "Versions that a consumer has not read, those of other tables among them.";
        gauge(out, "lakestage_consumer_lag_versions", help, &lag)
    }
}
