//! What is inserted in the head of a page of the build: at its beginning, and at its end.

use std::sync::{Arc, Mutex, PoisonError};

use lol_html::html_content::ContentType;
use lol_html::send::Element;

use super::Editor;

/// What is still to be inserted at the end of the head.
type Pending = Arc<Mutex<Option<String>>>;

fn take(pending: &Pending) -> Option<String> {
    pending.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[derive(Debug, Default)]
pub struct Head {
    has_begun: bool,
    /// Once it was asked for.
    end: Option<Pending>,
}

impl Head {
    /// Called for each element, before what is in it is changed.
    pub fn element(&mut self, element: &mut Element<'_, '_>, editor: &mut dyn Editor) {
        let tag = element.tag_name();
        self.first(element, &tag, editor);
        self.last(element, &tag, editor);
    }

    /// The import map has to stand before anything that may load a module.
    fn first(&mut self, element: &mut Element<'_, '_>, tag: &str, editor: &mut dyn Editor) {
        if self.has_begun || matches!(tag, "html" | "head") {
            return;
        }
        self.has_begun = true;
        if let Some(html) = editor.head() {
            match tag == "meta" && element.has_attribute("charset") {
                true => element.after(&html, ContentType::Html),
                false => element.before(&html, ContentType::Html),
            }
        }
    }

    /// At the head's end tag, or, where that is left out, before the first element that can't be in the head.
    fn last(&mut self, element: &mut Element<'_, '_>, tag: &str, editor: &mut dyn Editor) {
        let pending = self.end.get_or_insert_with(|| Arc::new(Mutex::new(editor.head_end())));
        match tag {
            "html" | "title" | "meta" | "link" | "style" | "script" | "base" | "noscript" | "template" => {}
            "head" => {
                let pending = Arc::clone(pending);
                if let Some(handlers) = element.end_tag_handlers() {
                    handlers.push(Box::new(move |end| {
                        if let Some(html) = take(&pending) {
                            end.before(&html, ContentType::Html);
                        }
                        Ok(())
                    }));
                }
            }
            _ => {
                if let Some(html) = take(pending) {
                    element.before(&html, ContentType::Html);
                }
            }
        }
    }

    /// What is still to be inserted, in a document that is nothing but a head.
    pub fn rest(&mut self) -> Option<String> {
        self.end.take().and_then(|pending| take(&pending))
    }
}
