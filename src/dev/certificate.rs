//! A certificate for this machine's own names, made once and kept.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::date::Date;
use crate::error::{Error, Result};
use crate::fs;
use crate::serve::TlsFiles;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long one is used; browsers trust none that is valid for longer than about a year.
const LONGEST: Duration = DAY.saturating_mul(300);

/// The certificate in that folder, for those names and addresses; a new one if there is none, or if it is too old or for others.
pub fn provide(folder: &Path, names: &[String], addresses: &[IpAddr]) -> Result<TlsFiles> {
    let files = TlsFiles { cert: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let mut subjects: Vec<String> = ["localhost".to_owned(), "*.localhost".to_owned()].into();
    subjects.extend(names.iter().cloned());
    subjects.extend(addresses.iter().map(ToString::to_string));
    subjects.sort();
    subjects.dedup();
    let list = subjects.join("\n");
    let noted = folder.join("subjects.txt");
    if is_young(&files.cert) && files.key.is_file() && std::fs::read_to_string(&noted).is_ok_and(|text| text == list) {
        return Ok(files);
    }
    let (certificate, key) = make(subjects).map_err(|error| Error::Usage {
        message: format!("could not make a certificate: {error}"),
        help: "leave out `--https`, or pass `--tls-cert` and `--tls-key` to `serve`".to_owned(),
    })?;
    fs::write(&files.key, key.as_bytes())?;
    keep_private(&files.key);
    fs::write(&files.cert, certificate.as_bytes())?;
    fs::write(&noted, list.as_bytes())?;
    Ok(files)
}

fn is_young(path: &Path) -> bool {
    let modified = path.metadata().and_then(|data| data.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < LONGEST))
}

fn make(subjects: Vec<String>) -> std::result::Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(subjects)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "fingerpost, for this machine alone");
    let now = SystemTime::now();
    let day = |time| {
        let Date { year, month, day, .. } = Date::of(time);
        rcgen::date_time_ymd(i32::try_from(year).unwrap_or(i32::MAX), month, day)
    };
    params.not_before = day(now - DAY);
    params.not_after = day(now + 365 * DAY);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // Where a file system knows no permissions, nothing is lost by it.
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Tls;

    #[test]
    fn a_certificate_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let files = provide(folder.path(), &[], &[address]).unwrap();
        Tls::load(files.clone()).unwrap();
        let first = std::fs::read(&files.cert).unwrap();
        provide(folder.path(), &[], &[address]).unwrap();
        assert_eq!(std::fs::read(&files.cert).unwrap(), first);
        provide(folder.path(), &["dev.example".to_owned()], &[address]).unwrap();
        assert_ne!(std::fs::read(&files.cert).unwrap(), first, "it is for another name too");
    }
}
