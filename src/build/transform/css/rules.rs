//! What is changed in a bundled stylesheet: its `url()`s, and the place of what has to come first.

use std::convert::Infallible;

use lightningcss::properties::custom::{Function, Token, TokenOrValue};
use lightningcss::rules::property::PropertyRule;
use lightningcss::rules::{CssRule, Location};
use lightningcss::values::image::Image;
use lightningcss::values::string::CowArcStr;
use lightningcss::values::syntax::ParsedComponent;
use lightningcss::values::url::Url;
use lightningcss::visit_types;
use lightningcss::visitor::{Visit, VisitTypes, Visitor};

use super::imports::{Part, Parts};
use super::{Compiler, Urls};
use crate::error::Fault;
use crate::fs;

/// Visits each `url()` with the file of the rule that it stands in.
pub struct UrlRewriter<'a, 'p> {
    pub compiler: &'a Compiler,
    pub parts: &'a Parts<'p>,
    pub urls: &'a dyn Urls,
    /// The rule that is being visited.
    pub at: Option<Location>,
    /// What became of each URL, in order; none where it was left as it is.
    pub written: Vec<Option<String>>,
    pub faults: Vec<Fault>,
}

impl<'i> Visitor<'i> for UrlRewriter<'_, '_> {
    type Error = Infallible;

    fn visit_types(&self) -> VisitTypes {
        visit_types!(URLS | IMAGES | FUNCTIONS | RULES)
    }

    fn visit_rule(&mut self, rule: &mut CssRule<'i>) -> Result<(), Infallible> {
        let outer = self.at;
        self.at = location(rule).or(outer);
        // lightningcss does not visit it.
        if let CssRule::Property(PropertyRule { initial_value: Some(value), .. }) = rule {
            match value {
                ParsedComponent::Url(url) => self.visit_url(url)?,
                ParsedComponent::Image(image) => self.visit_image(image)?,
                ParsedComponent::TokenList(tokens) => tokens.visit(self)?,
                _ => {}
            }
        }
        rule.visit_children(self)?;
        self.at = outer;
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

    /// Where the value isn't parsed, in custom properties and beside `var()`, URLs may be strings.
    fn visit_function(&mut self, function: &mut Function<'i>) -> Result<(), Infallible> {
        if matches!(&*function.name.to_ascii_lowercase(), "image-set" | "-webkit-image-set" | "src") {
            for argument in &mut function.arguments.0 {
                if let TokenOrValue::Token(Token::String(url)) = argument {
                    self.rewrite(url);
                }
            }
        }
        function.visit_children(self)
    }

    fn visit_url(&mut self, url: &mut Url<'i>) -> Result<(), Infallible> {
        self.rewrite(&mut url.url);
        Ok(())
    }
}

impl UrlRewriter<'_, '_> {
    fn rewrite(&mut self, url: &mut CowArcStr<'_>) {
        let Some(at) = self.at else { return };
        let Some(part) = self.parts.get(at.source_index as usize) else { return };
        match self.resolve(part, url) {
            Ok(new) => {
                self.written.push(new.clone());
                if let Some(new) = new {
                    *url = new.into();
                }
            }
            Err(fault) => self.faults.push(self.locate(fault, part, at, url)),
        }
    }

    /// In Sass a URL is relative to the file that is compiled; packages write theirs relative to their own parts too, so those
    /// are tried next.
    fn resolve(&self, part: &Part<'_>, url: &str) -> Result<Option<String>, Fault> {
        let mut sources = self.compiler.sources(&part.path).into_iter();
        let first = self.urls.resolve(sources.next().unwrap_or(&part.path), url);
        first.or_else(|fault| sources.find_map(|source| self.urls.resolve(source, url).ok()).ok_or(fault))
    }

    /// Points at the URL. The rule's line is known, the URL's place is looked for from there; what was compiled has lines of
    /// its own, and may have been written in another file.
    fn locate(&self, fault: Fault, part: &Part<'_>, at: Location, url: &str) -> Fault {
        for source in self.compiler.sources(&part.path) {
            let written = self.compiler.read(source).unwrap_or(part.text);
            let line = if written == part.text { at.line as usize } else { 0 };
            let from: usize = written.split_inclusive('\n').take(line).map(str::len).sum();
            if let Some(at) = written.get(from..).and_then(|rest| rest.find(url)) {
                return fault.at(fs::display_name(&self.compiler.root, source), written, from + at, url.len());
            }
        }
        fault
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
