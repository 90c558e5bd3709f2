//! Making a certificate, with an authority that signs it and nothing else.
//!
//! The authority's key is never stored: whoever trusts the authority trusts this one certificate, and nobody who gets
//! hold of the folder can make others.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use super::named;

/// Clients refuse certificates that are valid for longer than 398 days.
const VALID_DAYS: i64 = 397;
/// A certificate that ends sooner is made anew.
const LEFT_MIN_DAYS: i64 = 30;
/// Clients' clocks may be behind.
const EARLIER_DAYS: i64 = 1;

const AUTHORITY_FILE: &str = "ca.pem";
const CERTIFICATE_FILE: &str = "server.pem";
const KEY_FILE: &str = "server.key";
const FACTS_FILE: &str = "certificate.json";

/// A certificate that was made, in PEM.
pub(super) struct Made {
    pub authority_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    facts: Facts,
}

/// What a folder's certificate is good for.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    names: Vec<String>,
    valid_until: String,
}

/// The file of the authority's certificate in a folder.
pub(super) fn authority_file(folder: &Path) -> PathBuf {
    folder.join(AUTHORITY_FILE)
}

impl Made {
    /// The folder's certificate if it is for all of `names` and does not end soon, or else a new one that it now has.
    pub(super) fn kept_in(folder: &Path, names: &[String]) -> io::Result<Self> {
        if let Some(kept) = Self::read(folder)
            && kept.facts.is_good_for(names, Timestamp::now())
        {
            return Ok(kept);
        }
        let made = Self::new(names)?;
        made.write(folder)?;
        Ok(made)
    }

    pub(super) fn new(names: &[String]) -> io::Result<Self> {
        Self::make(names, Timestamp::now())
            .map_err(|error| io::Error::other(format!("no certificate could be made: {error}")))
    }

    fn make(names: &[String], now: Timestamp) -> Result<Self, rcgen::Error> {
        let valid_until = now + SignedDuration::from_hours(24 * VALID_DAYS);
        let dated = |mut params: CertificateParams, name: &str| {
            let from = now - SignedDuration::from_hours(24 * EARLIER_DAYS);
            for (day, time) in [
                (&mut params.not_before, from),
                (&mut params.not_after, valid_until),
            ] {
                let date = Offset::UTC.to_datetime(time).date();
                // Months and days fit.
                let part = |number: i8| u8::try_from(number).unwrap_or(1);
                *day = date_time_ymd(date.year().into(), part(date.month()), part(date.day()));
            }
            params.distinguished_name.remove(DnType::CommonName);
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut authority = dated(
            CertificateParams::new(Vec::new())?,
            "lakestage on this machine",
        );
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();

        let mut server = dated(CertificateParams::new(names.to_vec())?, "lakestage");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&authority, &authority_key);
        let certificate = server.signed_by(&key, &issuer)?;
        Ok(Self {
            authority_pem,
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            facts: Facts {
                names: names.to_vec(),
                valid_until: valid_until.to_string(),
            },
        })
    }

    /// What the folder has, if it is whole.
    fn read(folder: &Path) -> Option<Self> {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        Some(Self {
            authority_pem: text(AUTHORITY_FILE)?,
            certificate_pem: text(CERTIFICATE_FILE)?,
            key_pem: text(KEY_FILE)?,
            facts: serde_json::from_str(&text(FACTS_FILE)?).ok()?,
        })
    }

    /// Writes all of it. The facts come last: without them the rest counts for nothing.
    fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        let facts_file = folder.join(FACTS_FILE);
        match fs::remove_file(&facts_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(named(&facts_file, &error));
            }
            _ => {}
        }
        let facts = serde_json::to_string_pretty(&self.facts).map_err(io::Error::other)?;
        for (name, text, mode) in [
            (AUTHORITY_FILE, &self.authority_pem, 0o644),
            (CERTIFICATE_FILE, &self.certificate_pem, 0o644),
            (KEY_FILE, &self.key_pem, 0o600),
            (FACTS_FILE, &facts, 0o644),
        ] {
            let file = folder.join(name);
            write(&file, text, mode).map_err(|error| named(&file, &error))?;
        }
        Ok(())
    }
}

impl Facts {
    fn is_good_for(&self, names: &[String], now: Timestamp) -> bool {
        let least = now + SignedDuration::from_hours(24 * LEFT_MIN_DAYS);
        let until = self.valid_until.parse::<Timestamp>();
        until.is_ok_and(|until| until >= least)
            && names.iter().all(|name| self.names.contains(name))
    }
}

fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut opened = options.open(file)?;
    // A file that was there keeps its own mode otherwise.
    opened.set_permissions(Permissions::from_mode(mode))?;
    opened.write_all(text.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_certificate_is_kept_until_it_ends_or_names_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let first = Made::kept_in(&folder, &names(&["localhost", "127.0.0.1"])).unwrap();
        let same = Made::kept_in(&folder, &names(&["localhost"])).unwrap();
        assert_eq!(first.authority_pem, same.authority_pem);
        let more = Made::kept_in(&folder, &names(&["localhost", "a.blob.localhost"])).unwrap();
        assert_ne!(first.authority_pem, more.authority_pem);
        let facts = Facts {
            names: names(&["localhost"]),
            valid_until: (Timestamp::now() + SignedDuration::from_hours(24 * 29)).to_string(),
        };
        assert!(!facts.is_good_for(&names(&["localhost"]), Timestamp::now()));
    }

    #[test]
    fn the_key_is_for_its_owner_only_and_the_authoritys_is_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        Made::kept_in(folder.path(), &names(&["localhost"])).unwrap();
        let mode = |name: &str| {
            let there = fs::metadata(folder.path().join(name)).unwrap();
            there.permissions().mode() & 0o777
        };
        assert_eq!(mode(KEY_FILE), 0o600);
        let mut there: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(
            there,
            [AUTHORITY_FILE, FACTS_FILE, KEY_FILE, CERTIFICATE_FILE]
        );
    }
}
