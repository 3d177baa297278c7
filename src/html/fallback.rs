//! What a page loads where the origin that it should load from does not answer, or answers with other bytes.
//!
//! The element says by its data what takes its place. Two scripts in the page, the same in every page and so of one hash each for a
//! policy, see to it: the first is told of elements that fail, the second stands directly after a script that the page waits for, and
//! lets the page wait for the copy.

use super::walk::Element;
use crate::fingerprint::Digest;

/// The copy that takes an element's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub url: String,
    pub integrity: String,
    /// The property of `window` that is there once a script has run.
    pub global: Option<String>,
}

/// Stands before the first element that has a copy. A stylesheet's copy, and that of a script that the page does not wait for, is
/// put in the page here.
const LISTEN: &str = r#"addEventListener("error",function(e){var f=e.target,d=f.dataset,c;if(!d||!d.fallback||"failed"in d)return;d.failed="";if(f.localName=="script"&&!f.async&&!f.defer)return;c=document.createElement(f.localName);c.integrity=d.fallbackIntegrity;c.crossOrigin="anonymous";if(f.localName=="link"){c.rel=f.rel;c.media=f.media;c.href=d.fallback}else{c.async=false;c.src=d.fallback}f.after(c)},true)"#;

/// Stands after each script that the page waits for: only while the parser is here can it be made to wait.
const REPAIR: &str = r#"(function(s){var d=s.previousElementSibling.dataset;function q(v){return v.replace(/&/g,"&amp;").replace(/"/g,"&quot;")}if("failed"in d||d.global&&!(d.global in window))document.write('<script src="'+q(d.fallback)+'" integrity="'+d.fallbackIntegrity+'" crossorigin="anonymous"><\/script>')})(document.currentScript)"#;

/// Hashes of the scripts, as a policy has them (with quotes).
pub fn hashes() -> [String; 2] {
    [LISTEN, REPAIR].map(|code| format!("'{}'", Digest::of(code.as_bytes()).integrity().as_str()))
}

/// Gives an element its copy. `is_first` where no other of the page has had one.
pub fn attach<'p>(element: &mut impl Element<'p>, copy: &Fallback, is_first: bool) {
    element.set("data-fallback", copy.url.replace('&', "&amp;"));
    element.set("data-fallback-integrity", copy.integrity.clone());
    if is_first {
        element.before(&format!("<script>{LISTEN}</script>"));
    }
    let waits = element.name() == "script" && !element.has("async") && !element.has("defer");
    if waits {
        if let Some(global) = &copy.global {
            element.set("data-global", global.clone());
        }
        element.after(&format!("<script>{REPAIR}</script>"));
    }
}
