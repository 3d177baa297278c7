//! The headers of a document that follow from what is in it, computed once when it is bound.

use super::surroundings::Surroundings;
use super::survey::{Survey, survey};
use super::{csp, links};
use crate::environment::{Enforcement, Environment};
use crate::error::Result;

/// Powerful features that a page and the frames it gives them to may use, and no frame that is put into it by others.
/// <https://www.w3.org/TR/permissions-policy/>
const FEATURES: [&str; 9] =
    ["camera", "display-capture", "geolocation", "hid", "microphone", "midi", "payment", "serial", "usb"];

/// The headers, in lower case, that the HTML document at `path` has in an environment; `html` is what is sent.
pub fn headers(
    environment: &Environment,
    surroundings: &Surroundings,
    path: &str,
    html: &str,
) -> Result<Vec<(&'static str, String)>> {
    let survey = survey(path, html, &environment.asset_base)?;
    let security = &environment.security;
    let mut headers = vec![
        ("referrer-policy", "strict-origin-when-cross-origin".to_owned()),
        // A page keeps its hold on what it opens, as sign-in by another site needs it.
        ("cross-origin-opener-policy", "same-origin-allow-popups".to_owned()),
        ("origin-agent-cluster", "?1".to_owned()),
        ("permissions-policy", permissions(&survey)),
    ];
    match security.frame_ancestors.as_str() {
        "'none'" => headers.push(("x-frame-options", "DENY".to_owned())),
        "'self'" => headers.push(("x-frame-options", "SAMEORIGIN".to_owned())),
        // It can't name an origin (RFC 7034 as browsers have it), and where both are given, only the policy counts.
        _ => {}
    }
    let name = match security.policy {
        Enforcement::Enforce => Some("content-security-policy"),
        Enforcement::ReportOnly => Some("content-security-policy-report-only"),
        Enforcement::Off => None,
    };
    let policy = name.map(|name| (name, csp::policy(&survey, surroundings, environment)));
    headers.extend(policy.filter(|(_, value)| !value.is_empty()));
    if security.policy == Enforcement::Enforce
        && survey.has_scripts
        && survey.has_integrity
        && surroundings.vouches_for_scripts()
    {
        let endpoint = security.report_to.as_ref().map(|_| format!(", endpoints=({})", csp::ENDPOINT));
        headers.push(("integrity-policy", format!("blocked-destinations=(script){}", endpoint.unwrap_or_default())));
    }
    if let Some(url) = &security.report_to {
        headers.push(("reporting-endpoints", format!("{}=\"{url}\"", csp::ENDPOINT)));
    }
    if environment.preload_headers
        && let Some(value) = links::links(&survey, environment)
    {
        headers.push(("link", value));
    }
    Ok(headers)
}

fn permissions(survey: &Survey) -> String {
    let feature = |name: &str| {
        let frames = survey.delegated.get(name).into_iter().flatten();
        let origins: String =
            frames.filter(|origin| origin.contains("://")).map(|origin| format!(" \"{origin}\"")).collect();
        format!("{name}=(self{origins})")
    };
    FEATURES.map(feature).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Mode};

    fn made(environment: &Environment, html: &str) -> std::collections::BTreeMap<&'static str, String> {
        let surroundings = Surroundings::of(&Manifest::new(Mode::Production, "assets"), []);
        headers(environment, &surroundings, "index.html", html).unwrap().into_iter().collect()
    }

    #[test]
    fn a_page_has_the_safe_defaults() {
        let headers = made(&Environment::new("x"), "<p>");
        assert_eq!(
            headers.keys().copied().collect::<Vec<_>>(),
            [
                "content-security-policy",
                "cross-origin-opener-policy",
                "origin-agent-cluster",
                "permissions-policy",
                "referrer-policy",
                "x-frame-options",
            ]
        );
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
    }

    #[test]
    fn a_policy_may_only_report_or_be_off() {
        let mut environment = Environment::new("x");
        environment.security.policy = Enforcement::ReportOnly;
        environment.security.report_to = Some("https://r.example/".to_owned());
        let headers = made(&environment, "<p>");
        assert!(!headers.contains_key("content-security-policy"));
        assert!(headers["content-security-policy-report-only"].contains("report-to fingerpost"));
        assert_eq!(headers["reporting-endpoints"], "fingerpost=\"https://r.example/\"");
        environment.security.policy = Enforcement::Off;
        assert!(!made(&environment, "<p>").keys().any(|name| name.starts_with("content-security")));
    }

    #[test]
    fn who_may_frame_is_said_in_both_ways_where_both_can_say_it() {
        let mut environment = Environment::new("x");
        for (ancestors, option) in [("'none'", Some("DENY")), ("https://a.example", None), ("", None)] {
            ancestors.clone_into(&mut environment.security.frame_ancestors);
            let headers = made(&environment, "<p>");
            assert_eq!(headers.get("x-frame-options").map(String::as_str), option);
            let says = headers["content-security-policy"].contains(&format!("frame-ancestors {ancestors}"));
            assert_eq!(says, !ancestors.is_empty());
        }
    }

    #[test]
    fn integrity_is_demanded_where_every_script_has_it() {
        let environment = Environment::new("x");
        let checked = "<script type=module src=/a.js integrity=sha256-x></script>";
        assert_eq!(made(&environment, checked)["integrity-policy"], "blocked-destinations=(script)");
        for html in ["<p>", "<script src=/a.js></script>", &format!("{checked}<script src=/b.js></script>")] {
            assert!(!made(&environment, html).contains_key("integrity-policy"), "{html}");
        }
    }

    #[test]
    fn features_go_to_the_pages_own_frames() {
        let headers =
            made(&Environment::new("x"), "<iframe src=https://meet.example/1 allow='camera; fullscreen'></iframe>");
        let permissions = &headers["permissions-policy"];
        assert!(
            permissions.starts_with("camera=(self \"https://meet.example\"), display-capture=(self)"),
            "{permissions}"
        );
    }
}
