//! `[security]`: what browsers are told to refuse, for all environments or for one.

use super::{Text, file, nearest, quoted};
use crate::environment::Security;
use crate::error::Fault;

/// Puts what is written in the place of what was there; sources are added to those that were.
pub fn apply(text: &Text, written: &file::Security, security: &mut Security) -> Result<(), Fault> {
    security.policy = written.policy.unwrap_or(security.policy);
    security.inline_styles = written.inline_styles.unwrap_or(security.inline_styles);
    for (directive, sources) in &written.allow {
        if !Security::DIRECTIVES.contains(&directive.as_str()) {
            let hint = match nearest(directive, &Security::DIRECTIVES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", quoted(&Security::DIRECTIVES)),
            };
            return Err(text
                .fault(format!("there is no directive `{directive}` to allow sources in"), directive)
                .hint(hint));
        }
        for source in sources {
            if source.is_empty() || !is_list(source) || source.contains(' ') {
                return Err(text
                    .fault(format!("`{source}` is no source"), source)
                    .hint("write one such as `https://api.example.com` or `'unsafe-eval'`"));
            }
            let all = security.allow.entry(directive.clone()).or_default();
            if !all.contains(source) {
                all.push(source.clone());
            }
        }
    }
    if let Some(ancestors) = &written.frame_ancestors {
        if !is_list(ancestors) {
            return Err(text
                .fault(format!("`{ancestors}` is no list of sources"), ancestors)
                .hint("write `'none'`, `'self'` or origins with spaces between them"));
        }
        ancestors.trim().clone_into(&mut security.frame_ancestors);
    }
    if let Some(url) = &written.report_to {
        let is_absolute = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && (!is_absolute || !is_list(url) || url.contains([' ', '"'])) {
            return Err(text
                .fault(format!("`{url}` is no absolute URL"), url)
                .hint("write where reports go, such as `https://example.com/reports`"));
        }
        security.report_to = Some(url.clone()).filter(|url| !url.is_empty());
    }
    if let Some(value) = &written.hsts {
        let says = value.split(';').any(|directive| {
            let age = directive.trim().strip_prefix("max-age=");
            age.is_some_and(|age| !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit()))
        });
        if !value.is_empty() && (!says || http::HeaderValue::from_str(value).is_err()) {
            return Err(text
                .fault(format!("`{value}` says no `max-age`"), value)
                .hint("write it as `max-age=31536000; includeSubDomains` (RFC 6797), or leave it empty for none"));
        }
        security.hsts = Some(value.clone()).filter(|value| !value.is_empty());
    }
    Ok(())
}

/// Whether it can stand in a policy as it is: no end of a directive or of a policy, and nothing beyond ASCII.
fn is_list(text: &str) -> bool {
    text.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && !b";,".contains(&byte))
}
