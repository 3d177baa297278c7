//! Repair: what a plan would keep is fetched and compared, and written again where it is not what it has to be. A listing tells of
//! lengths alone, and a record of what was written once.

use std::collections::BTreeMap;

use super::contents::{Item, Stage};
use super::drift::{Found, compare};
use super::plan::{Action, Reason, Step};
use super::store::Store;
use crate::error::Result;
use crate::progress::Progress;

/// Makes those of the steps write something that would keep what is damaged.
pub async fn repair<S: Store>(store: &S, items: &[Item], steps: &mut [Step], progress: &dyn Progress) -> Result<()> {
    let is_kept = |step: &Step| step.action == Action::Keep && step.stage != Stage::Pointer;
    let kept = items.iter().zip(&*steps).filter(|(_, step)| is_kept(step));
    let kept: Vec<_> = kept.map(|(item, _)| (item.key.as_str(), &item.object)).collect();
    let (_, differences) = compare(store, &kept, progress).await?;
    let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for difference in differences {
        found.entry(difference.place).or_default().push(difference.found);
    }
    for step in steps {
        if let Some(found) = found.get(&step.key) {
            (step.action, step.reason) = decide(found);
        }
    }
    Ok(())
}

/// In the words of a plan.
fn decide(found: &[Found]) -> (Action, Reason) {
    let header = |found: &Found| match found {
        Found::Header { name, .. } => Some(name.clone()),
        _ => None,
    };
    match found {
        [Found::Missing, ..] => (Action::Upload, "not in the store".into()),
        [Found::Header { .. }, ..] => {
            let names: Vec<String> = found.iter().filter_map(header).collect();
            (Action::Replace, format!("differs: other headers ({})", names.join(", ")).into())
        }
        _ => (Action::Replace, "damaged: other content than its record says".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::preview::bucket::Bucket;
    use crate::progress::Silent;
    use crate::publish::s3::{Credentials, S3};
    use crate::publish::site::{Built, Site};
    use crate::publish::store::{Body, Condition};
    use crate::publish::{Folder, Options, Report, drift, publish_to};
    use crate::release::Object;

    fn built() -> Built {
        Site::new()
            .asset("css/a.css", &"a { color: red }\n".repeat(40))
            .asset("js/a.js", "alert(1)")
            .page("about.html", "about")
            .page("index.html", "<h1>one</h1>")
            .build()
    }

    async fn publish(store: &impl Store, built: &Built, repair: bool, dry_run: bool) -> Report {
        let options = Options { repair, dry_run, ..Options::default() };
        publish_to(store, built.as_build(), options, &Silent).await.unwrap()
    }

    async fn differences(store: &impl Store) -> usize {
        drift(store, &Environment::new("production"), false, &Silent).await.unwrap().differences.len()
    }

    fn written(report: &Report, built: &Built) -> Vec<String> {
        let steps = report.steps.iter().filter(|step| step.action != Action::Keep);
        let line = |step: &Step| format!("{} {}: {}", step.action, step.key, step.reason);
        steps.map(|step| line(step).replace(built.release().as_str(), "ID")).collect()
    }

    #[tokio::test]
    async fn what_is_damaged_in_a_folder_is_written_again_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let (store, built) = (Folder::new(root.path()), built());
        publish(&store, &built, false, false).await;
        assert_eq!(publish(&store, &built, true, false).await.uploaded, 0, "it is whole");
        let js = built.manifest.files.keys().find(|path| path.ends_with(".js")).unwrap().clone();
        let page = format!("releases/{}/index.html", built.release());
        let archive = format!("releases/{}.tar.zst", built.release());
        for key in [&js, &page, &archive, "about.html"] {
            let path = root.path().join(key);
            let bytes: Vec<u8> = std::fs::read(&path).unwrap().iter().map(|byte| byte ^ 1).collect();
            std::fs::write(&path, bytes).unwrap();
        }
        let before = differences(&store).await;
        assert_eq!(before, 4);
        assert_eq!(publish(&store, &built, false, false).await.uploaded, 0, "lengths alone don't tell");
        let plan = publish(&store, &built, true, true).await;
        assert_eq!(differences(&store).await, before, "nothing was changed");
        let report = publish(&store, &built, true, false).await;
        assert_eq!((&plan.steps, report.uploaded, report.moved), (&report.steps, 4, false));
        let damaged = |key: &str| format!("replace {key}: damaged: other content than its record says");
        assert_eq!(
            written(&report, &built),
            [js.as_str(), "releases/ID.tar.zst", "releases/ID/index.html", "about.html"].map(damaged)
        );
        assert_eq!(differences(&store).await, 0);
    }

    #[tokio::test]
    async fn what_is_damaged_in_a_bucket_is_written_again_with_its_headers() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path()).await.unwrap();
        let given = Credentials { access_key: bucket.access_key.clone(), secret_key: bucket.secret_key.clone() };
        let store = S3::connect(&bucket.name, "", Some(&bucket.endpoint), None, Some(given)).await;
        let built = built();
        publish(&store, &built, false, false).await;
        let asset = |end: &str| built.manifest.files.keys().find(|path| path.ends_with(end)).unwrap().clone();
        let (css, js) = (asset(".css"), asset(".js"));
        for (key, is_damaged) in [(&css, false), (&js, true)] {
            let mut body = store.get(key).await.unwrap().unwrap().body.to_vec();
            if is_damaged {
                body.reverse();
            }
            let headers = match is_damaged {
                true => built.manifest.files[key].headers.clone(),
                false => [("content-type".to_owned(), "text/css; charset=utf-8".to_owned())].into(),
            };
            let object = Object { length: body.len() as u64, digest: crate::fingerprint::Digest::of(&body), headers };
            store.put(key, &Body::Bytes(body.into()), &object, &Condition::Always).await.unwrap();
        }
        assert!(differences(&store).await >= 2);
        let report = publish(&store, &built, true, false).await;
        assert_eq!(
            written(&report, &built),
            [
                format!("replace {css}: differs: other headers (cache-control)"),
                format!("replace {js}: damaged: other content than its record says"),
            ]
        );
        assert_eq!(differences(&store).await, 0);
    }
}
