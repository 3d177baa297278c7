//! What is changed in a bundled stylesheet: its `url()`s, and the place of what has to come first.

use std::convert::Infallible;
use std::path::PathBuf;

use lightningcss::rules::{CssRule, Location};
use lightningcss::values::image::Image;
use lightningcss::values::url::Url;
use lightningcss::visit_types;
use lightningcss::visitor::{Visit, VisitTypes, Visitor};

use super::{Provider, Urls};
use crate::error::Fault;

/// Visits each `url()` with the file of the rule that it stands in.
pub struct UrlRewriter<'a> {
    pub provider: &'a Provider<'a>,
    pub urls: &'a dyn Urls,
    pub sources: Vec<PathBuf>,
    pub source: usize,
    pub at: Option<Location>,
    pub faults: Vec<Fault>,
}

impl<'i> Visitor<'i> for UrlRewriter<'_> {
    type Error = Infallible;

    fn visit_types(&self) -> VisitTypes {
        visit_types!(URLS | IMAGES | RULES)
    }

    fn visit_rule(&mut self, rule: &mut CssRule<'i>) -> Result<(), Infallible> {
        let outer = (self.source, self.at);
        if let Some(location) = location(rule) {
            self.source = location.source_index as usize;
            self.at = Some(location);
        }
        rule.visit_children(self)?;
        (self.source, self.at) = outer;
        Ok(())
    }

    /// The images of an `image-set()`, which are not visited by themselves.
    fn visit_image(&mut self, image: &mut Image<'i>) -> Result<(), Infallible> {
        if let Image::ImageSet(set) = image {
            for option in &mut set.options {
                self.visit_image(&mut option.image)?;
            }
            return Ok(());
        }
        image.visit_children(self)
    }

    fn visit_url(&mut self, url: &mut Url<'i>) -> Result<(), Infallible> {
        let Some(file) = self.sources.get(self.source) else { return Ok(()) };
        match self.urls.resolve(file, &url.url) {
            Ok(Some(new)) => url.url = new.into(),
            Ok(None) => {}
            Err(fault) => {
                let text = self.provider.texts.get(file).unwrap_or_default();
                // The rule's line is known, the URL's place is looked for from there.
                let from: usize =
                    text.split_inclusive('\n').take(self.at.map_or(0, |at| at.line as usize)).map(str::len).sum();
                let at = text.get(from..).and_then(|rest| rest.find(&*url.url)).map(|at| from + at);
                self.faults.push(match at {
                    Some(at) => fault.at(self.provider.name(file), text, at, url.url.len()),
                    None => fault,
                });
            }
        }
        Ok(())
    }
}

/// Moves `@import`s of other origins and `@namespace`s before all rules, since a browser ignores them elsewhere
/// (<https://www.w3.org/TR/css-cascade-5/#at-import>); bundling may have left them in the middle.
pub fn first_things_first(rules: &mut [CssRule<'_>]) {
    let layers = rules.iter().take_while(|rule| matches!(rule, CssRule::LayerStatement(_))).count();
    if let Some(rest) = rules.get_mut(layers..) {
        rest.sort_by_key(|rule| match rule {
            CssRule::Import(_) => 0,
            CssRule::Namespace(_) => 1,
            _ => 2,
        });
    }
}

fn location(rule: &CssRule<'_>) -> Option<Location> {
    Some(match rule {
        CssRule::Style(rule) => rule.loc,
        CssRule::FontFace(rule) => rule.loc,
        CssRule::Media(rule) => rule.loc,
        CssRule::Supports(rule) => rule.loc,
        CssRule::Keyframes(rule) => rule.loc,
        CssRule::LayerBlock(rule) => rule.loc,
        CssRule::Container(rule) => rule.loc,
        CssRule::Scope(rule) => rule.loc,
        CssRule::StartingStyle(rule) => rule.loc,
        CssRule::Page(rule) => rule.loc,
        CssRule::CounterStyle(rule) => rule.loc,
        CssRule::MozDocument(rule) => rule.loc,
        CssRule::Nesting(rule) => rule.loc,
        CssRule::NestedDeclarations(rule) => rule.loc,
        CssRule::Property(rule) => rule.loc,
        CssRule::PositionTry(rule) => rule.loc,
        CssRule::Unknown(rule) => rule.loc,
        _ => return None,
    })
}
