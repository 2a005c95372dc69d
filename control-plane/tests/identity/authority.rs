//! A certificate authority of the test's own, and what it signs.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};

/// Seconds.
pub const HOUR: i64 = 3_600;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Signed {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(HOUR);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// As the authorities of `emac.yaml`.
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("ca.pem"), &self.pem).unwrap();
    }

    /// For the control plane; ends `ends` seconds from now.
    pub fn server(&self, ends: i64) -> Signed {
        let mut params = params(ends);
        let names = ["emac.test", "localhost"].map(|name| SanType::DnsName(name.try_into().unwrap()));
        let loopback = SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        params.subject_alt_names = names.into_iter().chain([loopback]).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a peer with this URI, as istiod makes them: one URI, no other name.
    pub fn client(&self, uri: &str, ends: i64) -> Signed {
        let mut params = params(ends);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Signed {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }
}

impl Signed {
    /// Each file whole, as a mounted secret is replaced.
    pub fn write(&self, folder: &Path, name: &str) {
        for (end, text) in [("pem", &self.certificate), ("key", &self.key)] {
            let (new, file) = (folder.join("new"), folder.join(format!("{name}.{end}")));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, &file).unwrap();
        }
    }
}

fn params(ends: i64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(now - 86_400);
    params.not_after = at(now.checked_add_signed(ends).unwrap());
    params
}
