//! What becomes of each kind of source.

pub mod css;
pub mod html;
pub mod image;
pub mod module;
pub mod sass;
pub mod script;
