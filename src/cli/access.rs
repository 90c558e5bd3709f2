//! What `serve` takes about who may come in, and by what.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lakestage_emulator::{
    AccessOptions, Assignment, DEFAULT_ACCOUNT_NAME, IpNet, NetworkRules, OAuth, Roles,
    TENANT_DEFAULT, Tls,
};

/// The folder of a certificate that was made, in the data folder.
const CERTIFICATE_FOLDER: &str = "tls";

/// Who may come in.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// Speak TLS too, on the same ports, with this certificate: PEM, the server's first
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "self_signed"
    )]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Speak TLS too, with a certificate that is made here, and say how each client is told to trust it
    #[arg(long)]
    self_signed: bool,

    /// Another name or address of this machine that the certificate is for; may be given several times
    #[arg(long = "tls-name", value_name = "NAME", requires = "self_signed")]
    tls_names: Vec<String>,

    /// Refuse plain HTTP
    #[arg(long)]
    https_only: bool,

    /// Which bearer tokens are taken
    #[arg(long, value_enum, default_value_t = OAuthChoice::Verify)]
    oauth: OAuthChoice,

    /// The tenant that bearer tokens are for
    #[arg(long, value_name = "ID", default_value = TENANT_DEFAULT)]
    pub tenant: String,

    /// Roles of those who bear tokens, in JSON: emulator/roles.schema.json in lakestage's repository describes the file
    #[arg(long, value_name = "FILE")]
    roles: Option<PathBuf>,

    /// Another role, such as "alice=Storage Blob Data Reader@devstoreaccount1/raw"; may be given several times
    #[arg(long = "role", value_name = "ID=ROLE[@ACCOUNT[/FILESYSTEM]]")]
    assignments: Vec<Assignment>,

    /// Let only these addresses ask, such as 10.0.0.0/8; may be given several times
    #[arg(long = "allow-ip", value_name = "NET", value_parser = net)]
    allow: Vec<IpNet>,

    /// Let these addresses not ask; may be given several times
    #[arg(long = "deny-ip", value_name = "NET", value_parser = net)]
    deny: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OAuthChoice {
    /// Those of `lakestage token`: signed with the account's key, for storage, for the tenant, not expired
    Verify,
    /// Any that names somebody, for credentials that bring their own tokens; this protects nothing
    Accept,
}

impl From<OAuthChoice> for OAuth {
    fn from(choice: OAuthChoice) -> Self {
        match choice {
            OAuthChoice::Verify => OAuth::Verify,
            OAuthChoice::Accept => OAuth::Accept,
        }
    }
}

/// A network, or one address.
fn net(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or(one)
        .map_err(|_| "write an address, or a network such as 10.0.0.0/8".to_owned())
}

impl AccessArgs {
    /// Refuses what makes no sense together.
    pub(crate) fn check(&self) -> Result<()> {
        if self.https_only && !self.self_signed && self.tls_cert.is_none() {
            bail!(
                "--https-only: there is no certificate; add --self-signed, or --tls-cert and --tls-key"
            );
        }
        Ok(())
    }

    /// The certificate to show, if any. One that is made is kept in `folder`.
    pub(crate) fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    pub(crate) fn tls(&self, folder: &Path) -> Option<Tls> {
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            return Some(Tls::Given {
                certificate_file: certificate.clone(),
                key_file: key.clone(),
            });
        }
        self.self_signed.then(|| Tls::SelfSigned {
            folder: Some(folder.join(CERTIFICATE_FOLDER)),
            names: self.tls_names.clone(),
        })
    }

    pub(crate) fn options(&self) -> Result<AccessOptions> {
        let mut roles = match &self.roles {
            None => Roles::default(),
            Some(file) => {
                let text = fs::read_to_string(file)
                    .with_context(|| format!("--roles {}", file.display()))?;
                Roles::from_json(&text).with_context(|| format!("--roles {}", file.display()))?
            }
        };
        roles.assignments.extend(self.assignments.iter().cloned());
        Ok(AccessOptions {
            oauth: self.oauth.into(),
            tenant: self.tenant.clone(),
            roles,
            network: NetworkRules {
                allow: self.allow.clone(),
                deny: self.deny.clone(),
            },
            https_only: self.https_only,
        })
    }

    /// What whoever serves so should know.
    pub(crate) fn warnings(&self, bind: IpAddr) -> Vec<String> {
        let mut warnings = Vec::new();
        if !bind.is_loopback() {
            warnings.push(format!(
                "{bind} can be reached from other machines, and {DEFAULT_ACCOUNT_NAME} has a key that everybody knows"
            ));
        }
        if self.oauth == OAuthChoice::Accept {
            warnings.push(
                "--oauth accept: bearer tokens are believed and not verified; anybody can be anyone"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// How each client is told to trust a certificate authority.
pub(crate) fn how_to_trust(authority: &Path) -> String {
    let ca = authority.display();
    format!(
        "trust        {ca}\n  \
         curl       --cacert {ca}\n  \
         Python     REQUESTS_CA_BUNDLE={ca} SSL_CERT_FILE={ca}\n  \
         Node.js    NODE_EXTRA_CA_CERTS={ca}\n  \
         Go, .NET, Rust  SSL_CERT_FILE={ca} (instead of the system's)\n  \
         Java, Hadoop    keytool -importcert -noprompt -alias lakestage -storepass changeit -keystore lakestage.p12 -file {ca}\n                  \
         then -Djavax.net.ssl.trustStore=lakestage.p12 -Djavax.net.ssl.trustStorePassword=changeit\n"
    )
}
