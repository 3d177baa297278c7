//! Publishing to S3 servers that others have written: a Ceph cluster, whose conditional writes are those of a distributed store,
//! and moto, which answers as AWS does.

mod bucket;
mod gate;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use fingerpost::environment::Keep;
use fingerpost::error::Error;
use fingerpost::fingerprint::Digest;
use fingerpost::progress::Silent;
use fingerpost::publish::store::{Body, Condition, Entries, Put, Stored};
use fingerpost::publish::{S3, Store, prune};
use fingerpost::release::{Object, ReleaseId};
use libtest_mimic::Trial;

use self::bucket::{Bucket, Place};
use self::gate::Gate;
use crate::setup::Need;
use crate::site::{Run, Site, long_stylesheet, noise};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let ceph = trials![
        [Need::Ceph];
        a_release_goes_live_and_back_on_ceph,
        an_old_release_is_pruned_from_ceph,
        of_eight_publishers_on_ceph_one_wins_at_a_time,
        of_those_who_move_a_pointer_on_ceph_one_does,
        thousands_of_objects_arrive_on_ceph,
        a_publisher_that_is_killed_on_ceph_leaves_what_is_live,
    ];
    let moto = trials![
        [Need::Moto];
        a_release_goes_live_and_back_on_moto,
        an_old_release_is_pruned_from_moto,
        a_publisher_on_moto_that_comes_second_is_told,
    ];
    ceph.into_iter().chain(moto).collect()
}

/// A site of a few files that says its title.
fn titled(place: &Place, title: &str) -> Site {
    let site = place.site().asset("css/a.css", long_stylesheet()).asset("public/robots.txt", "User-agent: *\n");
    let script = format!("console.log({title:?})\n");
    let page = format!("<!doctype html><title>{title}</title>{{{{ asset_tags('css/a.css') }}}}");
    site.asset("js/a.js", script).template("index.html", page)
}

fn release(report: &serde_json::Value) -> ReleaseId {
    report["release"].as_str().expect("a release").parse().expect("a release")
}

/// Builds the site, and publishes it.
fn publish(place: &Place, site: &Site) -> ReleaseId {
    site.build(&["--no-compress"]);
    let report = place.json(site, &["publish"]);
    assert_eq!(report["warnings"], serde_json::json!([]), "the store honours conditions");
    release(&report)
}

fn a_release_goes_live_and_back(place: &Place) -> (ReleaseId, Site) {
    let one = titled(place, "one");
    let first = publish(place, &one);
    assert_eq!(place.live().as_ref(), Some(&first));
    place.assert_whole(&first);

    let two = titled(place, "two");
    let second = publish(place, &two);
    assert_eq!(place.live().as_ref(), Some(&second));
    place.assert_whole(&second);
    place.assert_whole(&first);
    assert_eq!(place.record(&second).parent.as_ref(), Some(&first));

    let listed = place.json(&two, &["releases"]);
    let listed: Vec<(&str, bool, u64)> = listed["releases"]
        .as_array()
        .expect("releases")
        .iter()
        .map(|told| {
            let release = told["release"].as_str().expect("a release");
            (release, told["live"] == true, told["missing"].as_u64().expect("a number"))
        })
        .collect();
    assert!(
        listed.len() == 2
            && listed.contains(&(second.as_str(), true, 0))
            && listed.contains(&(first.as_str(), false, 0)),
        "{listed:?}"
    );

    assert_eq!(place.json(&two, &["rollback"])["to"], first.as_str());
    assert_eq!(place.live().as_ref(), Some(&first));
    let pruned = place.json(&two, &["prune", "--keep-releases", "0", "--keep-days", "0"]);
    assert_eq!((&pruned["dropped"], &pruned["deleted"]), (&serde_json::json!([]), &serde_json::json!([])), "too new");
    place.assert_whole(&second);
    assert_eq!(publish(place, &two), second);
    assert_eq!(place.live().as_ref(), Some(&second));
    (second, two)
}

fn a_release_goes_live_and_back_on_ceph() {
    let place = Bucket::ceph().place("life");
    let (live, site) = a_release_goes_live_and_back(&place);
    let before = place.requests();
    let report = place.json(&site, &["publish"]);
    assert_eq!((&report["uploaded"], &report["moved"]), (&0.into(), &false.into()), "{report:#}");
    let asked = place.requests() - before;
    assert!((1..=10).contains(&asked), "{asked} requests");
    deleting_what_is_there_and_what_is_not(&place);
    place.assert_whole(&live);
}

/// As a prune does it, which only deletes what is old.
fn deleting_what_is_there_and_what_is_not(place: &Place) {
    block_on(async {
        let store = place.store().await;
        put(&store, "assets/old", b"old", &Condition::IfAbsent).await.expect("it is written");
        for _ in 0..2 {
            store.delete("assets/old").await.expect("it is deleted");
            assert_eq!(store.get("assets/old").await.expect("an answer"), None);
        }
    });
}

fn a_release_goes_live_and_back_on_moto() {
    let place = Bucket::moto().place("life");
    let (live, _) = a_release_goes_live_and_back(&place);
    deleting_what_is_there_and_what_is_not(&place);
    place.assert_whole(&live);
}

/// A bucket as it is in two days: what was published an hour ago or less is never pruned, and nobody can tell such a store another time.
struct Aged(S3);

impl Store for Aged {
    fn is_website(&self) -> bool {
        self.0.is_website()
    }

    fn place(&self, key: &str) -> String {
        self.0.place(key)
    }

    async fn entries(&self) -> Result<Entries, Error> {
        let mut entries = self.0.entries().await?;
        entries.values_mut().for_each(|entry| entry.modified -= Duration::from_secs(2 * 24 * 60 * 60));
        Ok(entries)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        self.0.get(key).await
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        self.0.kept_headers()
    }

    async fn download(&self, key: &str, file: &Path) -> Result<bool, Error> {
        self.0.download(key, file).await
    }

    async fn put(&self, key: &str, body: &Body, object: &Object, condition: &Condition) -> Result<Put, Error> {
        self.0.put(key, body, object, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.delete(key).await
    }
}

/// What belonged to it alone is gone, and the releases that stay are whole.
fn an_old_release_is_pruned_from(place: &Place) {
    let sites = ["one", "two", "three"].map(|title| titled(place, title));
    let releases = sites.each_ref().map(|site| publish(place, site));
    let [first, second, third] = &releases;
    let records = releases.each_ref().map(|release| place.record(release));
    let stays = |key: &String| records[1..].iter().any(|record| record.objects.contains_key(key));
    let (shared, own): (Vec<String>, Vec<String>) = records[0].objects.keys().cloned().partition(|key| stays(key));
    assert!(shared.iter().any(|key| key.ends_with(".css")) && own.iter().any(|key| key.ends_with(".js")));
    let mut own: BTreeSet<String> = own.into_iter().collect();
    own.insert(format!("releases/{first}.json"));

    let pruned = block_on(async {
        let store = Aged(place.store().await);
        prune(&store, "production", Keep { releases: 0, days: 0 }, false, &Silent).await.expect("it is pruned")
    });
    assert_eq!(pruned.dropped, std::slice::from_ref(first));
    assert_eq!(pruned.deleted.iter().map(|deleted| deleted.key.clone()).collect::<BTreeSet<_>>(), own);
    for key in &own {
        assert!(matches!(place.get(key).status, 403 | 404), "{key}: who may not list is told no more");
    }
    for release in [second, third] {
        place.assert_whole(release);
    }
    let checked = place.json(&sites[2], &["check", "--env", "production"]);
    assert_eq!((&checked["release"], &checked["differences"]), (&third.as_str().into(), &serde_json::json!([])));
    assert_eq!(place.json(&sites[2], &["rollback"])["to"], second.as_str());
}

fn an_old_release_is_pruned_from_ceph() {
    an_old_release_is_pruned_from(&Bucket::ceph().place("prune"));
}

fn an_old_release_is_pruned_from_moto() {
    an_old_release_is_pruned_from(&Bucket::moto().place("prune"));
}

/// Starts all of them before it waits for any.
fn at_once<'a>(place: &Place, sites: impl Iterator<Item = &'a Site>) -> Vec<Run> {
    let start = |site| place.command(site, &["publish", "--json"]).spawn().expect("it starts");
    let running: Vec<Child> = sites.map(start).collect();
    running.into_iter().map(|child| Run::from(child.wait_with_output().expect("its end"))).collect()
}

/// Who has moved the pointer has seen the one before as its record's parent. So the chain of parents leads from what is live back
/// to what was live, through all who won and nobody else: two who won over the same release could not both be in it.
fn of_eight_publishers_on_ceph_one_wins_at_a_time() {
    let place = Bucket::ceph().place("race");
    let mut lost = 0;
    let mut all: Vec<(ReleaseId, Site)> = Vec::new();
    for round in 0..4 {
        let before = place.live();
        let sites: Vec<Site> = (0..8).map(|n| titled(&place, &format!("round {round} site {n}"))).collect();
        sites.iter().for_each(|site| drop(site.build(&["--no-compress"])));
        let runs = at_once(&place, sites.iter());
        let mut winners = Vec::new();
        for run in &runs {
            match run.code {
                Some(0) => {
                    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON document");
                    assert_eq!(report["moved"], true, "{report:#}");
                    winners.push(release(&report));
                }
                Some(4) => {
                    let told = ["another publish went first: ", "was written by another publish at the same time"];
                    assert!(told.iter().any(|told| run.stderr.contains(told)), "{}", run.stderr);
                    lost += 1;
                }
                code => panic!("exit code {code:?}: {}", run.stderr),
            }
        }
        let mut chain = Vec::new();
        let mut at = place.live();
        while at != before {
            let release = at.expect("the chain of parents leads to what was live");
            assert!(!chain.contains(&release), "{chain:?} leads back to {release}");
            at = place.record(&release).parent;
            chain.push(release);
        }
        winners.sort();
        chain.sort();
        assert_eq!(chain, winners, "round {round}");

        let releases = sites.iter().map(|site| release(&manifest(site)));
        all.extend(releases.collect::<Vec<_>>().into_iter().zip(sites));
    }
    assert!(lost > 0, "32 publishers, by eight at once, and none met another");
    // Who lost has lost nothing but the pointer: the release is there, and goes live when it is published again.
    for (release, _) in &all {
        place.assert_whole(release);
    }
    let (release, site) =
        all.iter().find(|(release, _)| place.live().as_ref() != Some(release)).expect("one that is not live");
    let again = place.json(site, &["publish"]);
    assert_eq!((&again["moved"], place.live().as_ref()), (&true.into(), Some(release)));
}

fn manifest(site: &Site) -> serde_json::Value {
    let text = std::fs::read(site.root().join("dist/.fingerpost/manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

async fn put(store: &impl Store, key: &str, body: &[u8], condition: &Condition) -> Result<Put, Error> {
    let object = Object { length: body.len() as u64, digest: Digest::of(body), headers: Default::default() };
    store.put(key, &Body::Bytes(body.to_vec().into()), &object, condition).await
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

fn of_those_who_move_a_pointer_on_ceph_one_does() {
    const ROUNDS: usize = 40;
    const RACERS: usize = 8;
    let place = Bucket::ceph().place("pointer");
    block_on(async {
        let mut stores = Vec::new();
        for _ in 0..RACERS {
            stores.push(place.store().await);
        }
        let stores: &[_] = &stores;
        for round in 0..ROUNDS {
            // Every tenth time they make it, else they replace it.
            let key = format!("pointer-{}", round / 10);
            let before = stores[0].get(&key).await.expect("an answer");
            assert_eq!(before.is_none(), round % 10 == 0);
            let condition = before.map_or(Condition::IfAbsent, |stored| Condition::IfVersion(stored.version));
            let bodies: Vec<String> = (0..RACERS).map(|racer| format!("{racer} in round {round}")).collect();
            let races = stores.iter().zip(&bodies).map(|(store, body)| put(store, &key, body.as_bytes(), &condition));
            let outcomes = futures_util::future::join_all(races).await;
            let won: Vec<usize> = (0..RACERS).filter(|&racer| matches!(outcomes[racer], Ok(Put::Written))).collect();
            assert_eq!(won.len(), 1, "round {round}: {outcomes:?}");
            // Ceph answers some who lose with an error.
            assert!(!outcomes.iter().any(|outcome| matches!(outcome, Ok(Put::Unsupported))), "{outcomes:?}");
            let now = stores[0].get(&key).await.expect("an answer").expect("an object");
            assert_eq!(now.body, bodies[won[0]], "round {round}");
        }
    });
}

fn thousands_of_objects_arrive_on_ceph() {
    let place = Bucket::ceph().place("bulk");
    let site = place.site().template("index.html", "<!doctype html><title>t</title>");
    for n in 0..2000 {
        site.write(&format!("assets/data/{n}.bin"), noise(n as u64, 1000 + n * 19_000 / 2000));
    }
    // The last is sent from its file, not from memory.
    for (n, length) in [5 << 20, 5 << 20, 5 << 20, 5 << 20, 17 << 20].into_iter().enumerate() {
        site.write(&format!("assets/large/{n}.bin"), noise(5000 + n as u64, length));
    }
    let dist = site.build(&["--no-compress"]);
    publish(&place, &site);
    let assets: Vec<(&String, &Vec<u8>)> = dist.tree().iter().filter(|(name, _)| name.starts_with("assets/")).collect();
    assert_eq!(assets.len(), 2005);
    for (name, bytes) in assets {
        assert!(place.get(name).body == *bytes, "{name}");
    }
}

fn a_publisher_that_is_killed_on_ceph_leaves_what_is_live() {
    const KILLS: usize = 6;
    // So many objects more are let pass before each than before the last; a whole publish writes about 160.
    const STEP: usize = 25;
    let place = Bucket::ceph().place("kill");
    let site = |title: &str| {
        let site = titled(&place, title);
        for n in 0..150 {
            site.write(&format!("assets/data/{n}.txt"), format!("{n} of {title}\n"));
        }
        site
    };
    let first = site("first");
    first.build(&["--no-compress"]);
    let mut live = publish(&place, &first);
    let mut resumed = 0;
    for kill in 0..KILLS {
        let site = site(&format!("kill {kill}"));
        site.build(&["--no-compress"]);
        let gate = Gate::new(place.address(), kill * STEP);
        site.write("fingerpost.toml", place.config(&gate.address()));
        let mut child = place.command(&site, &["publish"]).spawn().expect("it starts");
        let begun = Instant::now();
        while !gate.is_shut() {
            assert!(begun.elapsed().as_secs() < 60, "it goes on");
            assert_eq!(child.try_wait().expect("a child"), None, "it ended before it was stopped");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().expect("it is killed");
        child.wait().expect("its end");
        gate.drain();
        site.write("fingerpost.toml", place.config(place.address()));

        let next = release(&manifest(&site));
        let now = place.live().expect("a pointer");
        assert_eq!(now, live);
        place.assert_whole(&now);
        let there = block_on(async { place.store().await.list().await.expect("a listing") });
        let report = place.json(&site, &["publish"]);
        assert_eq!(place.live().as_ref(), Some(&next));
        place.assert_whole(&next);
        let steps = report["steps"].as_array().expect("steps");
        let key = |step: &serde_json::Value| step["key"].as_str().expect("a key").to_owned();
        let own: Vec<bool> = steps
            .iter()
            .filter(|step| key(step).starts_with("assets/data/"))
            .map(|step| {
                let kept = step["action"] == "keep";
                assert_eq!(kept, there.contains_key(&key(step)), "{step} is sent if it is not there");
                kept
            })
            .collect();
        assert_eq!(own.len(), 150);
        resumed += usize::from(own.contains(&true) && own.contains(&false));
        live = next;
    }
    assert_eq!(resumed, KILLS - 1, "all but the first had sent some");
}

/// moto looks whether a condition holds, and then writes, which is no lock; so these come one after another.
fn a_publisher_on_moto_that_comes_second_is_told() {
    let place = Bucket::moto().place("second");
    block_on(async {
        let store = place.store().await;
        let put = async |body: &str, condition| put(&store, "a", body.as_bytes(), &condition).await.expect("an answer");
        assert_eq!(put("one", Condition::IfAbsent).await, Put::Written);
        assert_eq!(put("two", Condition::IfAbsent).await, Put::Refused);
        let version = store.get("a").await.expect("an answer").expect("an object").version;
        assert_eq!(put("two", Condition::IfVersion(version.clone())).await, Put::Written);
        assert_eq!(put("three", Condition::IfVersion(version)).await, Put::Refused);
    });
    assert_eq!(place.get("a").body, b"two");
}
