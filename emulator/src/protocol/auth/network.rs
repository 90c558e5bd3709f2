//! From where requests may come.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{ErrorCode, Result};

/// Addresses that may ask, and those that may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkRules {
    /// Only these may ask, if there are any.
    pub allow: Vec<IpNet>,
    /// These may not, whatever `allow` says.
    pub deny: Vec<IpNet>,
}

impl NetworkRules {
    /// Refuses who may not ask, as the service's firewall does: before anything else is looked at.
    pub(super) fn check(&self, client: IpAddr) -> Result<()> {
        let client = client.to_canonical();
        let is_in = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&client));
        let is_allowed = self.allow.is_empty() || is_in(&self.allow);
        match is_allowed && !is_in(&self.deny) {
            true => Ok(()),
            false => Err(ErrorCode::AuthorizationFailure.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn nets(of: &[&str]) -> Vec<IpNet> {
        of.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_is_let_in_by_the_lists() {
        let may = |rules: &NetworkRules, ip: &str| rules.check(ip.parse().unwrap()).is_ok();
        let all = NetworkRules::default();
        assert!(may(&all, "203.0.113.9"));
        let rules = NetworkRules {
            allow: nets(&["10.0.0.0/8", "2001:db8::/32"]),
            deny: nets(&["10.1.0.0/16"]),
        };
        for (ip, allowed) in [
            ("10.0.0.1", true),
            ("10.1.2.3", false),
            ("11.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(may(&rules, ip), allowed, "{ip}");
        }
    }
}
