//! What a script refers to besides its imports: `import.meta.glob(…)`, `new URL('./x', import.meta.url)` and workers.

use std::ops::Range;

use oxc::allocator::Allocator;
use oxc::ast::ast::{Argument, CallExpression, Expression, NewExpression, ObjectExpression, ObjectPropertyKind};
use oxc::ast_visit::{Visit, walk};
use oxc::parser::Parser;
use oxc::span::{GetSpan, SourceType, Span};

use crate::error::Fault;

/// Bytes of the script.
pub type Place = Range<usize>;

#[derive(Debug, PartialEq, Eq)]
pub enum Reference {
    /// `import.meta.glob('./pages/*.ts', { … })`
    Glob { call: Place, glob: Glob },
    /// `new URL('./x.png', import.meta.url)`
    Url { new: Place, specifier: String },
    /// ``new URL(`./img/${name}.png`, import.meta.url)``: what is between the placeholders, in order.
    UrlTemplate { argument: Place, parts: Vec<String> },
    /// `new Worker(new URL('./w.ts', import.meta.url), { … })`
    Worker { url: Place, specifier: String, options: Options, shared: bool },
}

/// See <https://vite.dev/guide/features#glob-import>, which made this form common.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glob {
    pub patterns: Vec<String>,
    pub eager: bool,
    /// The export that is wanted, instead of the whole module.
    pub import: Option<String>,
    /// `?raw`, or nothing.
    pub query: String,
}

/// A worker's second argument.
#[derive(Debug, PartialEq, Eq)]
pub enum Options {
    /// There is none; it would begin here.
    None(usize),
    /// `{ … }`, whose first property would begin here. `is_module` is none if it doesn't say `type`.
    Literal {
        inner: usize,
        is_module: Option<bool>,
    },
    Expression(Place),
}

/// Whether there can be any in a script.
pub fn may_have(code: &str) -> bool {
    code.contains("import.meta.glob") || (code.contains("import.meta.url") && code.contains("URL("))
}

/// Finds them in a script. What doesn't parse has none: the bundler says what is wrong with it.
pub fn find(name: &str, code: &str, source_type: SourceType) -> Result<Vec<Reference>, Fault> {
    if !may_have(code) {
        return Ok(Vec::new());
    }
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, source_type).parse();
    let mut finder = Finder { name, code, found: Vec::new(), fault: None };
    finder.visit_program(&parsed.program);
    match finder.fault {
        Some(fault) => Err(fault),
        None => Ok(finder.found),
    }
}

/// The places of `import('…')` with a plain string, and that string.
pub fn dynamic_imports(code: &str) -> Vec<(Place, String)> {
    struct Imports(Vec<(Place, String)>);
    impl<'a> Visit<'a> for Imports {
        fn visit_import_expression(&mut self, import: &oxc::ast::ast::ImportExpression<'a>) {
            if let Some(specifier) = string(&import.source) {
                self.0.push((place(import.span), specifier));
            }
            walk::walk_import_expression(self, import);
        }
    }
    let allocator = Allocator::default();
    let mut imports = Imports(Vec::new());
    imports.visit_program(&Parser::new(&allocator, code, SourceType::mjs()).parse().program);
    imports.0
}

struct Finder<'c> {
    name: &'c str,
    code: &'c str,
    found: Vec<Reference>,
    fault: Option<Fault>,
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_new_expression(&mut self, new: &NewExpression<'a>) {
        if let Some(worker) = worker(new) {
            self.found.push(worker);
            new.arguments.iter().skip(1).for_each(|argument| self.visit_argument(argument));
            return;
        }
        if is_name(&new.callee, "URL") && is_relative_url(new) {
            match new.arguments.first().and_then(Argument::as_expression).map(Expression::without_parentheses) {
                Some(Expression::TemplateLiteral(template)) if !template.expressions.is_empty() => {
                    let parts = template.quasis.iter().map(|part| part.value.raw.to_string()).collect();
                    self.found.push(Reference::UrlTemplate { argument: place(template.span), parts });
                    return;
                }
                Some(first) => {
                    if let Some(specifier) = string(first) {
                        self.found.push(Reference::Url { new: place(new.span), specifier });
                        return;
                    }
                }
                None => {}
            }
        }
        walk::walk_new_expression(self, new);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if is_meta(&call.callee, "glob") {
            match glob(call) {
                Ok(glob) => self.found.push(Reference::Glob { call: place(call.span), glob }),
                Err((span, message)) => {
                    let fault = Fault::new(format!("`{}`: {message}", self.name));
                    let fault =
                        fault.hint("the files are found when the site is built: write strings and plain options");
                    let (start, length) = (span.start as usize, span.size() as usize);
                    self.fault.get_or_insert(fault.at(self.name, self.code, start, length));
                }
            }
            return;
        }
        walk::walk_call_expression(self, call);
    }
}

fn place(span: Span) -> Place {
    span.start as usize..span.end as usize
}

fn is_name(expression: &Expression<'_>, name: &str) -> bool {
    matches!(expression, Expression::Identifier(identifier) if identifier.name == name)
}

/// `import.meta.NAME`
fn is_meta(expression: &Expression<'_>, name: &str) -> bool {
    let Expression::StaticMemberExpression(member) = expression else { return false };
    member.property.name == name && matches!(&member.object, Expression::ImportMeta(_))
}

/// `'…'`, or a template without placeholders.
fn string(expression: &Expression<'_>) -> Option<String> {
    match expression.get_inner_expression() {
        Expression::StringLiteral(literal) => Some(literal.value.to_string()),
        Expression::TemplateLiteral(template) if template.expressions.is_empty() => {
            template.quasis.first()?.value.cooked.map(|text| text.to_string())
        }
        _ => None,
    }
}

/// `new URL(…, import.meta.url)`
fn is_relative_url(new: &NewExpression<'_>) -> bool {
    new.arguments.len() == 2
        && new.arguments.get(1).and_then(Argument::as_expression).is_some_and(|base| is_meta(base, "url"))
}

fn worker(new: &NewExpression<'_>) -> Option<Reference> {
    let shared = is_name(&new.callee, "SharedWorker");
    if !shared && !is_name(&new.callee, "Worker") {
        return None;
    }
    let Expression::NewExpression(url) = new.arguments.first()?.as_expression()?.without_parentheses() else {
        return None;
    };
    if !is_name(&url.callee, "URL") || !is_relative_url(url) {
        return None;
    }
    let specifier = string(url.arguments.first()?.as_expression()?)?;
    let options = match new.arguments.get(1) {
        None => Options::None(url.span.end as usize),
        Some(argument) => match argument.as_expression()?.get_inner_expression() {
            Expression::ObjectExpression(object) => {
                let kind = property(object, "type");
                let is_module = kind.map(|kind| string(kind).as_deref() == Some("module"));
                Options::Literal { inner: object.span.start as usize + 1, is_module }
            }
            expression => Options::Expression(place(expression.span())),
        },
    };
    Some(Reference::Worker { url: place(url.span), specifier, options, shared })
}

fn property<'e, 'a>(object: &'e ObjectExpression<'a>, name: &str) -> Option<&'e Expression<'a>> {
    object.properties.iter().find_map(|property| match property {
        ObjectPropertyKind::ObjectProperty(property) if property.key.static_name().as_deref() == Some(name) => {
            Some(&property.value)
        }
        _ => None,
    })
}

fn glob(call: &CallExpression<'_>) -> Result<Glob, (Span, &'static str)> {
    let wrong = |span| (span, "`import.meta.glob` takes patterns written as strings");
    let patterns = call.arguments.first().and_then(Argument::as_expression).ok_or(wrong(call.span))?;
    let patterns = match patterns.get_inner_expression() {
        Expression::ArrayExpression(array) => array
            .elements
            .iter()
            .map(|element| element.as_expression().and_then(string).ok_or(wrong(element.span())))
            .collect::<Result<_, _>>()?,
        one => vec![string(one).ok_or(wrong(one.span()))?],
    };
    let mut glob = Glob { patterns, ..Glob::default() };
    let Some(options) = call.arguments.get(1).and_then(Argument::as_expression) else { return Ok(glob) };
    let Expression::ObjectExpression(options) = options.get_inner_expression() else {
        return Err((options.span(), "the options of `import.meta.glob` have to stand in the call"));
    };
    for option in &options.properties {
        let ObjectPropertyKind::ObjectProperty(option) = option else {
            return Err((option.span(), "the options of `import.meta.glob` have to stand in the call"));
        };
        let wrong = (option.span, "`import.meta.glob` can't tell this option's value before the script runs");
        let text = string(&option.value);
        match option.key.static_name().as_deref() {
            Some("eager") => match &option.value {
                Expression::BooleanLiteral(value) => glob.eager = value.value,
                _ => return Err(wrong),
            },
            Some("import") => glob.import = Some(text.ok_or(wrong)?),
            Some("query") => glob.query = query(&option.value).ok_or(wrong)?,
            // What it was called before there was `query`.
            Some("as") => {
                glob.query = format!("?{}", text.ok_or(wrong)?);
                glob.import.get_or_insert_with(|| "default".to_owned());
            }
            _ => return Err((option.span, "`import.meta.glob` knows `eager`, `import` and `query`")),
        }
    }
    Ok(glob)
}

/// `'?raw'`, `'raw'` or `{ raw: true }`.
fn query(value: &Expression<'_>) -> Option<String> {
    if let Some(text) = string(value) {
        return Some(format!("?{}", text.trim_start_matches('?')));
    }
    let Expression::ObjectExpression(object) = value else { return None };
    let pair = |property: &ObjectPropertyKind<'_>| {
        let ObjectPropertyKind::ObjectProperty(property) = property else { return None };
        let key = property.key.static_name()?;
        Some(match &property.value {
            Expression::BooleanLiteral(value) if value.value => key.to_string(),
            value => format!("{key}={}", string(value)?),
        })
    };
    let pairs = object.properties.iter().map(pair).collect::<Option<Vec<_>>>()?;
    Some(format!("?{}", pairs.join("&")))
}
