//! A page that is edited while it comes, piece by piece.

use std::sync::{Arc, Mutex, PoisonError};

use lol_html::errors::RewritingError;
use lol_html::html_content::{BailOut, ContentType};
use lol_html::send::{HtmlRewriter, Settings};
use lol_html::{AsciiCompatibleEncoding, MemorySettings};

use super::Editor;
use super::walk::{Shared, WITH_URLS};

/// Bytes of a page that are held at most, as of a tag that does not end.
const MEMORY: usize = 8 << 20;

/// A page on its way through an editor. What can not be parsed passes as it is.
pub struct Stream {
    /// None once parsing has failed.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    out: Arc<Mutex<Vec<u8>>>,
}

type Sink = Box<dyn FnMut(&[u8]) + Send>;

impl Stream {
    /// `charset` is what the page's media type says, or else its `<meta>` may. None if it is an encoding in which a tag is not what it is
    /// in ASCII, or none that browsers know (<https://encoding.spec.whatwg.org/#names-and-labels>).
    pub fn new(charset: Option<&str>, editor: Box<dyn Editor>) -> Option<Self> {
        let encoding = match charset {
            Some(label) => AsciiCompatibleEncoding::new(encoding_rs::Encoding::for_label(label.trim().as_bytes())?)?,
            // What browsers take it for, and the only one in which every byte is something, and so comes out as it was.
            None => AsciiCompatibleEncoding::new(encoding_rs::WINDOWS_1252)?,
        };
        let walk = Shared::new(editor);
        let memory = MemorySettings::new()
            .with_max_allowed_memory_usage(MEMORY)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let mut settings = Settings::new_for_handler_types()
            .with_encoding(encoding)
            .with_adjust_charset_on_meta_tag(charset.is_none())
            .with_memory_settings(memory)
            .with_graceful_bail_out_on_content_handler_error(true)
            .with_strict(false);
        for handlers in walk.element_handlers(&WITH_URLS) {
            settings = settings.append_element_content_handler(handlers);
        }
        let settings = settings.append_document_content_handler(walk.end_handler()).append_bail_out_handler(Box::new(
            move |_: &RewritingError, bail_out: &mut BailOut<'_>| {
                if let Some(held) = walk.held() {
                    bail_out.append(&held, ContentType::Html);
                }
            },
        ));
        let out = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&out);
        let sink: Sink = Box::new(move |bytes| into.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes));
        Some(Stream { rewriter: Some(HtmlRewriter::new(settings, sink)), out })
    }

    /// What can be passed on once these bytes have come.
    pub fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.rewriter {
            Some(rewriter) => {
                if rewriter.write(bytes).is_err() {
                    self.rewriter = None;
                }
            }
            None => return bytes.to_vec(),
        }
        self.take()
    }

    /// What is left when nothing more comes.
    pub fn end(&mut self) -> Vec<u8> {
        // What a failure leaves out was passed on before.
        let _ = self.rewriter.take().map(HtmlRewriter::end);
        self.take()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
