//! CloudFront Functions, JavaScript runtime 2.0:
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-functions.html>. One function for both events of a viewer: its request
//! is sent to the key that holds the answer, and the answer gets its headers. What it has to know is in it, or in a key value store.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{FINGERPRINTED, Found, Rules, preamble, regex};
use crate::asset::url_path;
use crate::encoding::Encoding;
use crate::error::{Error, Result};

/// The most bytes of a function:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions>.
const LIMIT: usize = 10 * 1024;

/// The most bytes of a key, of a key with its value, and of a store:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-keyvaluestores>.
const KEY: usize = 512;
const PAIR: usize = 1024;
const STORE: usize = 5 << 20;

/// Bytes of a piece of a header's value, with room for its name and for what JSON escapes.
const PIECE: usize = 400;

const CODE: &str = include_str!("cloudfront_function.js");

const CANNOT: [&str; 5] = [
    "sidecars of fingerprinted files: let the distribution compress them (`Compress objects automatically`)",
    "406, and 421 for hosts that are nobody's",
    "validators of its own: the bucket's go with the answers",
    "headers of 304, 412 and 416 other than those of the file; none of ours if the bucket answers 400 or more",
    "links from what is below a logical name's folder, but to fingerprinted files",
];

/// A function, and what has to be in the key value store that it is associated with.
#[derive(Debug)]
pub struct Function {
    pub code: String,
    /// As the store imports it; none if all is in the function.
    pub key_values: Option<String>,
}

impl Function {
    /// With a key value store, or with all that it knows in the function itself.
    pub fn of(rules: &Rules, with_store: bool) -> Result<Function> {
        let data = data(rules);
        let key_values = if with_store { Some(key_values(&data)?) } else { None };
        let data = (!with_store).then_some(&data);
        let page = rules.not_found_text.as_deref().map(|page| code(rules, data, Some(page)));
        // A page of one's own gives way to a plain line if there is no room for it.
        let code = page.filter(|text| text.len() <= LIMIT).unwrap_or_else(|| code(rules, data, None));
        if code.len() <= LIMIT {
            return Ok(Function { code, key_values });
        }
        let paths = rules.files.len() + rules.redirects.len();
        Err(Error::Usage {
            message: format!(
                "the function would have {} bytes, and CloudFront takes {LIMIT}: {paths} paths, {} sets of headers",
                code.len(),
                rules.looks.len()
            ),
            help: "say with `--key-values FILE` where to write what goes into a key value store instead".to_owned(),
        })
    }
}

fn code(rules: &Rules, data: Option<&Map<String, Value>>, page: Option<&str>) -> String {
    let mut cannot = CANNOT.to_vec();
    if rules.not_found.is_some() && page.is_none() {
        cannot.push("the site's page for 404, for which there is no room");
    }
    let head = preamble(rules, "A CloudFront function (for viewer requests and for viewer responses)", &cannot);
    let head = head.replace("reload the server", "publish the function");
    let head: String = head.lines().map(|line| format!("//{}\n", line.trim_start_matches('#'))).collect();
    let mounts: Vec<String> = rules.mounts.iter().map(|mount| regex(mount)).collect();
    let patterns = rules.fingerprinted.iter().map(|rule| {
        let pattern = format!("^(?:{})({FINGERPRINTED}{})$", mounts.join("|"), regex(&rule.extension));
        format!("[/{}/,{}]", pattern.replace('/', "\\/"), rule.look)
    });
    let extensions: Map<String, Value> =
        Encoding::ALL.iter().map(|coding| (coding.token().to_owned(), json!(coding.extension()))).collect();
    let lost = match (page, &rules.not_found) {
        (Some(page), Some(found)) => json!([found.look, page]),
        _ => json!([null, "404 Not Found\n"]),
    };
    let source = match data {
        Some(data) => format!(
            "const data = {};\nasync function get(key) {{\nif (Object.prototype.hasOwnProperty.call(data, key)) return data[key];\n}}\n",
            Value::Object(data.clone())
        ),
        None => "import cf from 'cloudfront';\nconst store = cf.kvs();\nasync function get(key) {\ntry {\nreturn JSON.parse(await \
                 store.get(key));\n} catch (_) {\nreturn undefined;\n}\n}\n"
            .to_owned(),
    };
    let constants = [
        ("patterns", format!("[{}]", patterns.collect::<Vec<_>>().join(","))),
        ("assets", json!(rules.assets).to_string()),
        ("extensions", Value::Object(extensions).to_string()),
        ("lost", lost.to_string()),
        ("hsts", json!(rules.hsts).to_string()),
    ];
    let constants: String = constants.iter().map(|(name, value)| format!("const {name} = {value};\n")).collect();
    let lines = CODE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    format!("{head}\n{source}{constants}{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// All that differs from site to site: what is at each path, which fields a look has, and each field once.
fn data(rules: &Rules) -> Map<String, Value> {
    let files = rules.files.iter().map(|(url, found)| (url.clone(), entry(found)));
    let moved = rules.redirects.iter().map(|(url, to)| (url.clone(), json!([to])));
    let mut data: Map<String, Value> = moved.chain(files).collect();
    let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
    for (look, headers) in rules.looks.iter().enumerate() {
        let mut own = Vec::new();
        for (name, value) in headers.iter() {
            let count = numbers.len();
            let number = *numbers.entry((name, value)).or_insert(count);
            own.push(number);
            if number < count {
                continue;
            }
            let mut pieces = pieces(value);
            let first = pieces.next().unwrap_or_default();
            let rest: Vec<&str> = pieces.collect();
            let field = if rest.is_empty() { json!([name, first]) } else { json!([name, first, rest.len() + 1]) };
            data.insert(format!("field {number}"), field);
            for (index, piece) in rest.into_iter().enumerate() {
                data.insert(format!("field {number} {}", index + 1), json!(piece));
            }
        }
        data.insert(format!("look {look}"), json!(own));
    }
    data
}

fn entry(found: &Found) -> Value {
    let codings: Vec<&str> = found.codings.iter().map(|coding| coding.token()).collect();
    json!([url_path(&found.file), found.look, codings.join(" ")])
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions-create-s3-kvp.html>
fn key_values(data: &Map<String, Value>) -> Result<String> {
    let pairs: Vec<(&String, String)> = data.iter().map(|(key, value)| (key, value.to_string())).collect();
    let long = pairs.iter().find(|(key, value)| key.len() > KEY || key.len() + value.len() > PAIR);
    if let Some((key, _)) = long {
        return Err(Error::Usage {
            message: format!("`{key}` is too long for a key value store: {KEY} bytes a key, {PAIR} with its value"),
            help: "give the file a shorter name, or put `fingerpost serve --store` behind the distribution".to_owned(),
        });
    }
    let size: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > STORE {
        return Err(Error::Usage {
            message: format!("{size} bytes are too many for a key value store, which takes {STORE}"),
            help: "put `fingerpost serve --store` behind the distribution, which knows them all".to_owned(),
        });
    }
    let pairs: Vec<Value> = pairs.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    Ok(format!("{}\n", json!({ "data": pairs })))
}
