//! Why words of other programs are not carried over: a table of sentences for each program, as text.

use super::ledger::Kind;

/// The sentences for one program: lines of `words = sentence`; one that begins with `!` needs the operator's hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reasons(&'static str);

impl Reasons {
    pub(super) const fn new(text: &'static str) -> Self {
        Self(text)
    }

    /// The sentence for the first of some keys that has one.
    pub(super) fn of<'a>(
        self,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Option<(Kind, &'static str)> {
        keys.into_iter().find_map(|key| self.get(key))
    }

    fn get(self, wanted: &str) -> Option<(Kind, &'static str)> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(" = "));
        let (_, sentence) = lines.find(|(keys, _)| keys.split(" | ").any(|key| key == wanted))?;
        Some(match sentence.strip_prefix('!') {
            Some(sentence) => (Kind::Hand, sentence.trim_start()),
            None => (Kind::Lost, sentence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_found_by_any_of_its_words() {
        let reasons = Reasons::new("a | b c = plain\nd = ! grave\n");
        assert_eq!(reasons.of(["x", "b c"]), Some((Kind::Lost, "plain")));
        assert_eq!(reasons.of(["d"]), Some((Kind::Hand, "grave")));
        assert_eq!(reasons.of(["b"]), None);
    }
}
