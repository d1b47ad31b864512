//! An answer that is a compaction: what the model says is the summary, and leaves sealed, as one item.

use super::builder::ResponseBuilder;
use super::items::ItemContent;
use crate::dialect::chat::text::Text;
use crate::dialect::responses::AnswerForm;
use crate::dialect::seal::Purpose;
use crate::wire::json::string;

impl ResponseBuilder {
    /// Whether the answer is a compaction, so that nothing of it is shown as it comes.
    pub(super) fn is_compaction(&self) -> bool {
        self.options.context.form.is_compaction()
    }

    /// Takes a piece of the summary (what stands between the quotes of a JSON string), held twice: as it
    /// came, and sealed.
    pub(super) fn summarize(&mut self, inner: &[u8]) {
        if self.spend(inner.len().saturating_mul(7) / 3) {
            self.summary.get_or_insert_with(Text::default).push(inner);
        }
    }

    /// The summary is complete: it becomes the one item.
    pub(super) fn add_compaction(&mut self) {
        let mut summary = self.summary.take().unwrap_or_default();
        summary.finish();
        let text = string::decode(summary.raw()).unwrap_or_default();
        if text.trim().is_empty() {
            return self.invalid("The model gave no summary of the conversation.");
        }
        // The object has no place to say that it is not complete.
        if self.reason.is_some() && self.options.context.form == AnswerForm::CompactionObject {
            return self.invalid("The model's summary of the conversation was cut.");
        }
        let sealer = self.options.sealer.as_ref();
        match sealer.and_then(|sealer| sealer.seal(Purpose::Compaction, &text)) {
            Some(sealed) => {
                self.open(ItemContent::Compaction(sealed));
            }
            None => self.invalid("The summary of the conversation could not be sealed."),
        }
    }
}
