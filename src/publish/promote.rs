//! Publishing a release to one environment that was published to another: the same files, its pages bound anew, nothing built.

use std::collections::HashSet;

use super::contents::{Build, Stage};
use super::fetch::{Absent, Published};
use super::history::History;
use super::plan::Action;
use super::store::Store;
use super::{Options, Prepared, Report};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Publishes the one release in the store `from` whose name begins so. Only what `store` lacks is fetched.
pub async fn promote<F: Store, S: Store>(
    from: &F,
    release: &str,
    store: &S,
    environment: &Environment,
    options: Options,
    progress: &dyn Progress,
) -> Result<Report> {
    from.preflight().await?;
    let release = History::of(from).await?.named(release, &from.place(""))?.record.release.clone();
    let published = Published::open(from, &release).await?;
    let folder = tempfile::tempdir().map_err(Error::io("create a folder in", std::env::temp_dir()))?;
    let out = folder.path();
    // What isn't in the store `from` is made of all that is.
    let is_complete = published.is_complete()?;
    let assets: HashSet<&str> = published.assets().collect();
    published.files(from, out, None, |path| !is_complete || !assets.contains(path), progress).await?;
    let fetched = published.complete(out, Absent::Make).await?;
    let build = Build { out, manifest: &fetched.manifest, environment };
    let prepared = Prepared::new(store, build, options, progress).await?;
    if is_complete && !options.dry_run {
        let written = prepared.steps.iter().filter(|step| step.stage == Stage::Asset && step.action != Action::Keep);
        let written: HashSet<&str> = written.map(|step| step.key.as_str()).collect();
        published.files(from, out, None, |path| written.contains(path), progress).await?;
    }
    prepared.carry_out(progress).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::encoding::Encoding;
    use crate::fingerprint::Digest;
    use crate::manifest::{Kind, Manifest};
    use crate::progress::Silent;
    use crate::publish::contents::{CURRENT, record_key};
    use crate::publish::site::{Built, Site};
    use crate::publish::{Folder, publish_to, rollback};
    use crate::release::{Current, Record};

    fn site() -> Site {
        Site::new()
            .asset("css/a.css", &"a { color: red }\n".repeat(40))
            .asset("js/a.js", "alert(1)")
            .page("index.html", &format!("<img src=\"/assets/x.png\"><p>{}", "text ".repeat(200)))
            .page("about.html", "about")
            .public("robots.txt", &"User-agent: *\n".repeat(40))
    }

    struct Case {
        root: tempfile::TempDir,
        staging: Folder,
        production: Folder,
        environment: Environment,
    }

    impl Case {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = |name| Folder::new(root.path().join(name));
            let environment =
                Environment { asset_base: "https://cdn.example/".parse().unwrap(), ..Environment::new("production") };
            Case { staging: store("staging"), production: store("production"), root, environment }
        }

        async fn publish(&self, built: &Built) {
            publish_to(&self.staging, built.as_build(), Options::default(), &Silent).await.unwrap();
        }

        async fn promote(&self, release: &str, dry_run: bool) -> Result<Report> {
            let options = Options { dry_run, ..Options::default() };
            promote(&self.staging, release, &self.production, &self.environment, options, &Silent).await
        }

        fn production(&self) -> BTreeMap<String, Vec<u8>> {
            let root = self.root.path().join("production");
            let files = walkdir::WalkDir::new(&root).into_iter().map(|entry| entry.unwrap());
            let files = files.filter(|entry| entry.file_type().is_file());
            files
                .map(|file| (crate::fs::display_name(&root, file.path()), std::fs::read(file.path()).unwrap()))
                .collect()
        }

        /// What production would hold had the build been published there.
        async fn published_there(&self, built: &Built) -> BTreeMap<String, Vec<u8>> {
            let case = Case::new();
            let build = Build { environment: &case.environment, ..built.as_build() };
            publish_to(&case.production, build, Options::default(), &Silent).await.unwrap();
            case.production()
        }
    }

    #[tokio::test]
    async fn a_promoted_release_is_what_publishing_the_build_would_have_made() {
        for encoding in [None, Some(Encoding::Gzip)] {
            let case = Case::new();
            let mut built = site().build();
            built.environment.encoding = encoding;
            case.publish(&built).await;
            let release = built.release().as_str();
            let dry = case.promote(&release[..4], true).await.unwrap();
            assert!(!case.root.path().join("production").exists());
            let report = case.promote(&release[..4], false).await.unwrap();
            assert_eq!((dry.steps, dry.uploaded), (report.steps, report.uploaded));
            assert!(report.moved && report.release == *built.release());
            assert_eq!(report.environment, "production");
            let want = case.published_there(&built).await;
            assert_eq!(case.production(), want, "{encoding:?}");
        }
    }

    #[tokio::test]
    async fn what_is_there_already_is_not_fetched() {
        let case = Case::new();
        let (one, two) = (site().build(), site().asset("js/b.js", "alert(2)").build());
        case.publish(&one).await;
        case.promote(one.release().as_str(), false).await.unwrap();
        case.publish(&two).await;
        // It can't be had from there any more.
        let old = one.manifest.files.keys().find(|path| path.ends_with(".css")).unwrap();
        std::fs::write(case.root.path().join("staging").join(old), "spoilt").unwrap();
        assert!(case.promote(two.release().as_str(), false).await.unwrap().moved);
        assert_eq!(Digest::of(&case.production()[old]), one.manifest.files[old].digest);
    }

    #[tokio::test]
    async fn a_release_that_is_not_there_or_not_whole_is_refused() {
        let case = Case::new();
        let built = site().build();
        case.publish(&built).await;
        let error = case.promote("ffffffff", false).await.unwrap_err();
        assert!(error.to_string().starts_with("there is no release `ffffffff` in `"), "{error}");
        let asset = built.manifest.files.keys().find(|path| path.ends_with(".js")).unwrap();
        std::fs::write(case.root.path().join("staging").join(asset), "alert(9)").unwrap();
        let error = case.promote(built.release().as_str(), false).await.unwrap_err();
        assert!(error.to_string().ends_with("is not what the release was published with"), "{error}");
        assert_eq!(error.exit_code(), 4);
        assert!(!case.root.path().join("production").join(CURRENT).exists());
    }

    #[tokio::test]
    async fn a_promoted_release_can_be_gone_back_to() {
        let case = Case::new();
        let (one, two) = (site().build(), site().page("about.html", "two").build());
        for built in [&one, &two] {
            case.publish(built).await;
            case.promote(built.release().as_str(), false).await.unwrap();
        }
        rollback(&case.production, &case.environment, None, Options::default(), &Silent).await.unwrap();
        let files = case.production();
        let current: Current = serde_json::from_slice(&files[CURRENT]).unwrap();
        assert_eq!(current.release, *one.release());
        let record: Record = serde_json::from_slice(&files[&record_key(one.release())]).unwrap();
        for (key, object) in &record.objects {
            assert_eq!(Digest::of(&files[key]), object.digest, "{key}");
        }
    }

    #[tokio::test]
    async fn a_fetched_release_is_the_build_again() {
        let case = Case::new();
        let mut built = site().build();
        for encoding in [None, Some(Encoding::Brotli)] {
            built.environment.encoding = encoding;
            case.publish(&built).await;
            let published = Published::open(&case.staging, built.release()).await.unwrap();
            let out = tempfile::tempdir().unwrap();
            published.files(&case.staging, out.path(), None, |_| true, &Silent).await.unwrap();
            let fetched = published.complete(out.path(), Absent::LeaveOut).await.unwrap();
            let manifest = Manifest::load(out.path()).unwrap();
            assert_eq!(manifest.to_json(), fetched.manifest.to_json());
            for (path, file) in &manifest.files {
                assert_eq!(Digest::of(&std::fs::read(out.path().join(path)).unwrap()), file.digest, "{path}");
                let made = &built.manifest.files[path].variants;
                let is_alone = encoding.is_some() && file.kind != Kind::Page;
                assert_eq!(file.variants.len(), if is_alone { made.len().min(1) } else { made.len() }, "{path}");
            }
            // All that did not change is linked to.
            let again = tempfile::tempdir().unwrap();
            std::fs::remove_dir_all(case.root.path().join("staging/assets")).unwrap();
            published.files(&case.staging, again.path(), Some(&fetched), |_| true, &Silent).await.unwrap();
        }
    }
}
