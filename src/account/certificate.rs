//! An application of Entra ID that proves who it is by a certificate.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use azure_core::base64;
use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How long an assertion can be used; one is made for each token.
const LIFETIME_S: i64 = 600;

/// Makes assertions that are signed with a certificate's key, as Entra ID wants them.
pub(super) struct Certificate {
    file: PathBuf,
    client_id: String,
    /// The address that the assertion is for.
    audience: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate in {}", self.file.display())
    }
}

impl Certificate {
    /// The certificate and its key in a file, in PEM; read anew for each token, so that they can be replaced.
    pub(super) fn new(
        file: &Path,
        authority: &str,
        tenant_id: &str,
        client_id: &str,
    ) -> Result<Self> {
        read(file)?;
        let authority = authority.trim_end_matches('/');
        Ok(Certificate {
            file: file.to_owned(),
            client_id: client_id.to_owned(),
            audience: format!("{authority}/{tenant_id}/oauth2/v2.0/token"),
        })
    }

    fn assertion(&self, now_unix_s: i64) -> Result<String> {
        let (certificate, key) = read(&self.file)?;
        let thumbprint = base64::encode_url_safe(Sha256::digest(&certificate));
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
        let claims = json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": Uuid::new_v4().to_string(),
            "iat": now_unix_s,
            "nbf": now_unix_s,
            "exp": now_unix_s + LIFETIME_S,
        });
        let part = |value: serde_json::Value| base64::encode_url_safe(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PSS_SHA256,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        )
        .map_err(|_| anyhow!("the key in {} does not sign", self.file.display()))?;
        Ok(format!("{text}.{}", base64::encode_url_safe(signature)))
    }
}

#[async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let assertion = self.assertion(Timestamp::now().as_second());
        assertion.map_err(|error| {
            azure_core::Error::with_message(ErrorKind::Credential, format!("{error:#}"))
        })
    }
}

/// The first certificate of a file in PEM, and its key.
fn read(file: &Path) -> Result<(Vec<u8>, RsaKeyPair)> {
    let pem = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let how = "it must hold, in PEM, the application's certificate and its RSA key without a password; \
        `openssl pkcs12 -in app.pfx -out app.pem -nodes` makes one of a PFX";
    let shown = file.display();
    let certificate = CertificateDer::from_pem_slice(&pem)
        .map_err(|error| anyhow!("{shown} has no certificate ({error}): {how}"))?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| anyhow!("{shown} has no key ({error}): {how}"))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => bail!("{shown} has a key that is not RSA: {how}"),
    };
    let pair =
        pair.map_err(|error| anyhow!("the key in {shown} cannot be used ({error}): {how}"))?;
    Ok((certificate.to_vec(), pair))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const CLIENT: &str = "66666666-7777-8888-9999-000000000000";

    fn file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/semantics/application.pem")
    }

    #[test]
    fn an_assertion_is_signed_for_the_tenant_by_the_certificates_key() {
        let authority = "https://login.microsoftonline.com/";
        let certificate = Certificate::new(&file(), authority, TENANT, CLIENT).unwrap();
        let assertion = certificate.assertion(1_000).unwrap();
        let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else {
            panic!("{assertion}");
        };
        let decoded = |text: &str| base64::decode_url_safe(text).unwrap();
        let parsed = |text: &str| serde_json::from_slice::<Value>(&decoded(text)).unwrap();
        let (der, key) = read(&file()).unwrap();
        let thumbprint = base64::encode_url_safe(Sha256::digest(&der));
        assert_eq!(parsed(header)["alg"], "PS256");
        assert_eq!(parsed(header)["x5t#S256"], thumbprint);
        let claims_read = parsed(claims);
        assert_eq!(
            claims_read["aud"],
            format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
        );
        assert_eq!(
            (&claims_read["iss"], &claims_read["sub"]),
            (&CLIENT.into(), &CLIENT.into())
        );
        assert_eq!(claims_read["exp"], 1_600);
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.public().as_ref());
        let signed = format!("{header}.{claims}");
        public
            .verify(signed.as_bytes(), &decoded(signature))
            .unwrap();
    }

    #[test]
    fn a_file_without_certificate_or_key_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.pem");
        let whole = fs::read_to_string(file()).unwrap();
        let (certificate, key) = whole.split_at(whole.find("-----BEGIN PRIVATE").unwrap());
        for wrong in ["", certificate, key] {
            fs::write(&path, wrong).unwrap();
            let refused = Certificate::new(&path, "https://a", TENANT, CLIENT).unwrap_err();
            assert!(refused.to_string().contains("openssl pkcs12"), "{refused}");
        }
    }
}
