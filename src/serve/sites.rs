//! The tables of several environments behind one address: which of them a request gets is chosen by its host.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::dist::Release;
use super::storage::Policy;
use super::table::Table;
use crate::environment::Environment;
use crate::error::Result;

/// Every table, by its hosts. They are of one release, and replaced together.
#[derive(Debug)]
pub struct Sites {
    named: HashMap<String, Arc<Table>>,
    /// By the end of the host (`.example.com`), the longest first.
    below: Vec<(String, Arc<Table>)>,
    /// For all other hosts; without it, they are refused.
    other: Option<Arc<Table>>,
}

impl From<Table> for Sites {
    /// One table for every host.
    fn from(table: Table) -> Self {
        Sites { named: HashMap::new(), below: Vec::new(), other: Some(Arc::new(table)) }
    }
}

impl Sites {
    /// The tables of several environments. The one named `other` is for hosts that none of them names.
    ///
    /// A CDN that fetches from here may ask for its own host, so an environment also has that of its assets.
    pub fn new<'e>(tables: impl IntoIterator<Item = (&'e Environment, Arc<Table>)>, other: Option<&str>) -> Self {
        let mut sites = Sites { named: HashMap::new(), below: Vec::new(), other: None };
        let mut of_assets = Vec::new();
        for (environment, table) in tables {
            if let Some(host) = environment.asset_base.origin().and_then(|origin| origin.split("//").nth(1)) {
                of_assets.push((name(host).into_owned(), Arc::clone(&table)));
            }
            if other == Some(environment.name.as_str()) {
                sites.other = Some(Arc::clone(&table));
            }
            for host in &environment.hosts {
                match host.strip_prefix('*') {
                    Some(end) => sites.below.push((end.to_owned(), Arc::clone(&table))),
                    None => drop(sites.named.insert(host.clone(), Arc::clone(&table))),
                }
            }
        }
        sites.below.sort_by_key(|(end, _)| std::cmp::Reverse(end.len()));
        if !(sites.named.is_empty() && sites.below.is_empty()) {
            for (host, table) in of_assets {
                sites.named.entry(host).or_insert(table);
            }
        }
        sites
    }

    /// Loads the build in `out` for each of the environments, which share what is the same in them. Blocks meanwhile.
    pub fn load(out: &Path, environments: &[Environment], other: Option<&str>) -> Result<Sites> {
        Sites::load_with(out, environments, other, &Policy::default())
    }

    /// As [`Sites::load`], with as much in memory as a policy says.
    pub fn load_with(out: &Path, environments: &[Environment], other: Option<&str>, policy: &Policy) -> Result<Sites> {
        let release = Release::load(out, environments, policy, &[])?;
        let tables = release.tables.into_iter().map(Arc::new);
        Ok(Sites::new(environments.iter().zip(tables), other))
    }

    /// The table for a request, whose host is only asked for if it makes a difference. What is no host gets any of them.
    pub fn choose<'h>(&self, host: impl FnOnce() -> Option<&'h str>) -> Option<&Arc<Table>> {
        match self.named.is_empty() && self.below.is_empty() {
            true => self.other(),
            false => self.get(host().unwrap_or_default()),
        }
    }

    /// The table for hosts that no environment names.
    pub fn other(&self) -> Option<&Arc<Table>> {
        self.other.as_ref()
    }

    /// The table for a host, with or without a port.
    pub fn get(&self, host: &str) -> Option<&Arc<Table>> {
        let name = name(host);
        let below = || {
            // `*.example.com` is for what is below it, and not for a label of no length.
            let is_below = |end: &str| name.len() > end.len() && name.ends_with(end);
            self.below.iter().find(|(end, _)| is_below(end)).map(|(_, table)| table)
        };
        self.named.get(name.as_ref()).or_else(below).or(self.other())
    }
}

/// A host as it is compared: without its port and the dot that a full name may end in, in lower case.
pub fn name(host: &str) -> Cow<'_, str> {
    let end = match host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(bracket) => bracket + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Route;
    use crate::serve::fixture::Site;
    use proptest::prelude::*;

    fn environment(name: &str, base: &str, hosts: &[&str]) -> Environment {
        let mut environment = Environment::new(name);
        environment.asset_base = base.parse().unwrap();
        environment.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        environment
    }

    fn site() -> Site {
        let page = "<meta name=fingerpost:environment content=development><img src=/static/a.png>";
        let site = Site::new().page("index.html", page).asset("a.png", &"x".repeat(2000));
        site.write_manifest();
        site
    }

    fn resource<'t>(table: &'t Table, path: &str) -> &'t crate::serve::Resource {
        match table.get(path) {
            Some(Route::Resource(resource)) => resource,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn a_host_leads_to_its_environment() {
        let site = site();
        let environments = [
            environment("development", "/", &[]),
            environment("production", "https://cdn.example.com/", &["www.example.com", "[::1]"]),
            environment("preview", "https://p.example.com/", &["*.example.com", "*.deep.example.com"]),
            environment("deep", "https://d.example.com/", &["*.very.deep.example.com"]),
        ];
        let sites = Sites::load(&site.out(), &environments, Some("development")).unwrap();
        let of = |host: &str| {
            let page = match resource(sites.get(host).unwrap(), "/").identity().body.clone() {
                crate::serve::Content::Memory(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                other => panic!("{other:?}"),
            };
            page.split("content=\"").nth(1).map_or("development", |rest| rest.split('"').next().unwrap()).to_owned()
        };
        for (host, want) in [
            ("www.example.com", "production"),
            ("WWW.Example.COM:8443", "production"),
            ("www.example.com.", "production"),
            ("[::1]:8080", "production"),
            ("a.example.com", "preview"),
            ("a.b.example.com", "preview"),
            ("x.very.deep.example.com", "deep"),
            ("very.deep.example.com", "preview"),
            ("CDN.example.com:443", "production"),
            ("p.example.com", "preview"),
            ("example.com", "development"),
            (".example.com", "development"),
            ("www.example.com.evil", "development"),
            ("evilexample.com", "development"),
            ("127.0.0.1", "development"),
            ("", "development"),
        ] {
            assert_eq!(of(host), want, "{host}");
        }
        let strict = Sites::load(&site.out(), &environments, None).unwrap();
        assert!(strict.get("example.com").is_none() && strict.get("www.example.com").is_some());
        assert!(strict.choose(|| Some("www.example.com")).is_some());
        assert!(strict.choose(|| Some("example.com")).is_none() && strict.choose(|| None).is_none());
        let one = Sites::from(Table::default());
        assert!(one.choose(|| unreachable!("the host makes no difference")).is_some());
    }

    #[test]
    fn environments_share_what_is_the_same_in_them() {
        let site = site();
        let plain =
            [environment("a", "/", &["a"]), environment("b", "/", &["b"]), environment("c", "https://c/", &["c"])];
        let sites = Sites::load(&site.out(), &plain, None).unwrap();
        let path = format!("/{}", site.file_of("a.png"));
        let [a, b, c] = ["a", "b", "c"].map(|host| resource(sites.get(host).unwrap(), &path));
        for other in [b, c] {
            let is_shared = Arc::ptr_eq(a.fields(), other.fields()) && Arc::ptr_eq(a.bodies(), other.bodies());
            assert!(is_shared, "the same headers and bodies");
        }
        let lets_in = |resource: &crate::serve::Resource| {
            resource.identity().headers().contains_key("access-control-allow-origin")
        };
        assert!(lets_in(a), "a CDN may have it from any of them");
        let alone = Sites::load(&site.out(), &plain[..2], None).unwrap();
        assert!(!lets_in(resource(alone.get("a").unwrap(), &path)));
        let address = |resource: &crate::serve::Resource| match &resource.identity().body {
            crate::serve::Content::Memory(bytes) => bytes.as_ptr(),
            other => panic!("{other:?}"),
        };
        assert_eq!(address(a), address(c), "one body for all");
    }

    proptest! {
        #[test]
        fn any_host_has_a_name(host in any::<String>()) {
            prop_assert!(name(&host).len() <= host.len());
        }

        #[test]
        fn case_and_port_make_no_difference(host in "[a-zA-Z0-9-]{1,8}(\\.[a-zA-Z]{1,4}){0,3}", port in any::<u16>()) {
            let (upper, lower) = (format!("{}:{port}", host.to_uppercase()), host.to_lowercase());
            prop_assert_eq!(name(&upper), name(&lower));
        }
    }
}
