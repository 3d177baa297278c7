//! `width` and `height` of images that have neither, so that a page does not jump when they arrive.

use std::borrow::Cow;

use super::srcset;

/// The size in CSS pixels at which a browser shows the image at a URL, if that is known.
pub type Sizes<'a> = dyn FnMut(&str) -> Option<(u32, u32)> + 'a;

/// The size to write into an `<img>`, or a `<source>` of a `<picture>`: the one at which it is shown anyway, whichever of its
/// candidates a browser takes. `attribute` gives the element's. None if that is not known, or if the page says something about it.
pub fn of<'p>(attribute: impl Fn(&str) -> Option<Cow<'p, str>>, sizes: &mut Sizes<'_>) -> Option<(u32, u32)> {
    let given = ["width", "height", "sizes"].iter().any(|name| attribute(name).is_some());
    let styled = attribute("style").is_some_and(|style| style.contains("width") || style.contains("height"));
    if given || styled {
        return None;
    }
    let mut shown = Vec::new();
    if let Some(src) = attribute("src") {
        shown.push(sizes(&super::references::decode(src.trim())));
    }
    if let Some(value) = attribute("srcset") {
        let value = super::references::decode(&value);
        for (url, descriptor) in srcset::candidates(&value) {
            shown.push(sizes(&value[url]).and_then(|size| at_density(size, descriptor)));
        }
    }
    let first = (*shown.first()?)?;
    shown.iter().all(|size| *size == Some(first)).then_some(first)
}

/// `2x` halves it. With `480w` the size depends on the page's layout.
fn at_density((width, height): (u32, u32), descriptor: &str) -> Option<(u32, u32)> {
    let density: f64 = match descriptor {
        "" => 1.0,
        descriptor => descriptor.strip_suffix('x')?.parse().ok()?,
    };
    let scale = |length: u32| (f64::from(length) / density).round() as u32;
    (density > 0.0).then(|| (scale(width), scale(height)))
}
