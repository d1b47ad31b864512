//! Names that a careless parser takes for others: one rule for JSON members, form fields and query parameters.
//!
//! Go's `encoding/json` and some .NET readers ignore case, C parsers end a name at NUL, readers of forms decode percent
//! escapes, trim, and read `model[]` as an array, mappers drop what is no letter (`max-tokens`, `maxTokens`), and whoever
//! normalises text reads full-width, mathematical and accented letters as plain ones (NFKD). A name
//! that one of them may take for a name that decides something is not to be passed on as if it were another.

use unicode_normalization::UnicodeNormalization;

use crate::error::{Code, GatewayError};
use crate::wire::percent;

/// Longest name that is read closely, in bytes: one with signs that are more than ASCII, `%`, `[` or NUL. Longer ones may be
/// any name. It costs a few microseconds to fold as much, and a body may have thousands of names.
const MAX_DRESSED: usize = 512;
/// The same of all others.
const MAX_PLAIN: usize = 4_096;

/// How parsers may read a name. Made once for each, and held against many.
pub struct Readings<'a>(Forms<'a>);

enum Forms<'a> {
    /// ASCII without signs that change what is read: no more than its letters and digits matter.
    Plain(&'a [u8]),
    /// Its letters and digits, in the ways that there are to fold it. All of it, signs and all, comes first.
    Dressed(Vec<String>),
    /// Too long to be looked at.
    Any,
}

impl<'a> Readings<'a> {
    /// Of a name as it is written, any bytes.
    #[must_use]
    pub fn of(written: &'a [u8]) -> Self {
        let is_dressed = |byte: &u8| matches!(byte, b'%' | b'[' | 0) || !byte.is_ascii();
        let dressed = written.len() > MAX_DRESSED && written.iter().any(is_dressed);
        Self(if dressed || written.len() > MAX_PLAIN {
            Forms::Any
        } else if written.iter().any(is_dressed) {
            Forms::Dressed(dressed_forms(written))
        } else {
            Forms::Plain(written)
        })
    }

    /// Whether some parser may take it for `name`: the same once percent escapes are decoded, letters are folded to one case,
    /// and everything that is no letter and no digit is taken out (NUL, U+FEFF, white space, bytes that are no UTF-8); so is
    /// what precedes a NUL or `[`. True for `name` itself.
    #[must_use]
    pub fn may_be(&self, name: &str) -> bool {
        match &self.0 {
            // Most names end here, and at their first letter.
            Forms::Plain(written) => is_same_ascii(written, name.as_bytes()),
            Forms::Dressed(forms) if name.is_ascii() => {
                forms.iter().any(|form| is_same_ascii(form.as_bytes(), name.as_bytes()))
            }
            Forms::Dressed(forms) => forms.contains(&plain(name.as_bytes())),
            Forms::Any => true,
        }
    }

    /// Which name of a table by which some server chooses a model some parser may take it for: of a query's parameter that
    /// is not `model`.
    #[must_use]
    pub fn known_further_model(&self) -> Option<&'static str> {
        if let Some(written) = self.as_meant() {
            let first = written.iter().copied().find(|byte| *byte != b'_').unwrap_or_default();
            return further(first)
                .iter()
                .copied()
                .find(|known| is_same_ascii(written, known.as_bytes()));
        }
        (b'a'..=b'z').flat_map(further).copied().find(|known| self.may_be(known))
    }

    /// The same of a member or a form's field, and, as a pattern, names that are known by a word.
    #[must_use]
    pub fn further_model(&self) -> Option<&'static str> {
        self.known_further_model().or_else(|| {
            if let Some(written) = self.as_meant() {
                return written.split(|byte| *byte == b'_').find_map(about_models);
            }
            // Where words end is not told by all that write names like this.
            let letters = match &self.0 {
                Forms::Plain(written) => &folded(signs(written)).collect(),
                Forms::Dressed(forms) => forms.first()?,
                Forms::Any => return None,
            };
            let is_about = |(word, _): &&(&str, &str)| match *word {
                "lora" => {
                    letters.starts_with("lora") || letters.trim_end_matches('s').ends_with("lora")
                }
                word => letters.contains(word),
            };
            ABOUT_MODELS.iter().find(is_about).map(|(_, pattern)| *pattern)
        })
    }

    /// Names are as a rule written as they are meant.
    fn as_meant(&self) -> Option<&'a [u8]> {
        let Forms::Plain(written) = self.0 else { return None };
        written.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_').then_some(written)
    }
}

fn dressed_forms(written: &[u8]) -> Vec<String> {
    let decoded = percent::decode_leniently(written);
    let head = decoded.split(|byte| matches!(byte, b'[' | 0)).next().unwrap_or_default();
    let mut forms = Vec::with_capacity(4);
    let texts = if head.len() == decoded.len() { &[&*decoded][..] } else { &[&*decoded, head] };
    for text in texts {
        forms.push(folded(signs(text)).collect());
        let plain = plain(text);
        if !forms.contains(&plain) {
            forms.push(plain);
        }
    }
    forms
}

/// Whether some parser may take `written` for `name` (see [`Readings::may_be`]).
#[must_use]
pub fn is_nearly(written: &[u8], name: &str) -> bool {
    Readings::of(written).may_be(name)
}

/// Which of `names` some parser may take `written` for without it being one of them.
#[must_use]
pub fn variant_of<'n>(written: &[u8], names: &[&'n str]) -> Option<&'n str> {
    if names.iter().any(|name| name.as_bytes() == written) {
        return None;
    }
    let readings = Readings::of(written);
    names.iter().copied().find(|name| readings.may_be(name))
}

/// The one of [`Readings::further_model`]'s names that chooses models only by what it holds.
pub const EXTRA_BODY: &str = "extra_body";

/// Names beside `model` by which some server chooses a model, or more than one: OpenRouter's `models` and `preset`, LiteLLM's
/// `fallbacks`, Azure's engines and deployments, faster-whisper-server's `model_name`, LM Studio's
/// `draft_model`; and by which LiteLLM takes another server, another configuration, or members that replace those of the body, LocalAI
/// another backend. By their first letter, so that hardly any name is compared with one.
fn further(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["adapter_id", "api_base"],
        b'b' => &["backend", "base_url"],
        b'c' => &["context_window_fallbacks", "content_policy_fallbacks", "custom_llm_provider"],
        b'd' => &["deployment", "deployment_id", "deployment_name", "draft_model"],
        b'e' => &["engine", "engine_id", EXTRA_BODY],
        b'f' => &["fallbacks", "fallback_model", "fallback_models"],
        b'l' => &["litellm_params", "lora_path"],
        b'm' => &["models", "model_id", "model_list", "model_name", "model_fallbacks"],
        b'p' => &["preset"],
        b'r' => &["router_settings", "router_settings_override"],
        b'u' => &["user_config"],
        _ => &[],
    }
}

/// Names that are about models, or about what changes one (the adapters of SGLang, TGI and mlx-lm), by one of their words: whoever
/// reads `judge_model` or `image_loras` runs another one than `model` names.
const ABOUT_MODELS: [(&str, &str); 3] =
    [("model", "*model*"), ("adapter", "*adapter*"), ("lora", "*lora*")];

fn about_models(word: &[u8]) -> Option<&'static str> {
    let word = word.strip_suffix(b"s").unwrap_or(word);
    ABOUT_MODELS.iter().find(|(known, _)| known.as_bytes() == word).map(|(_, pattern)| *pattern)
}

/// Refuses a top-level member of a request that is converted, where some server may take it for one of `own`: the names
/// that the conversion reads or writes. Beside ours, it would count as a second one of the same name. `written`: the
/// decoded name, any bytes.
///
/// # Errors
/// `duplicate_parameter`.
pub fn refuse_variant(written: &[u8], own: &[&str]) -> Result<(), GatewayError> {
    let Some(name) = variant_of(written, own) else { return Ok(()) };
    Err(GatewayError::new(
        Code::DuplicateParameter,
        format!(
            "A parameter's name is nearly \"{name}\", so that servers may read it as a second one. Write it exactly \
             \"{name}\", or leave it out."
        ),
    )
    .with_param(name.to_owned()))
}

fn is_same_ascii(one: &[u8], other: &[u8]) -> bool {
    fn letters(text: &[u8]) -> impl Iterator<Item = u8> {
        text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
    }
    letters(one).eq(letters(other))
}

/// What of a text is UTF-8.
fn signs(text: &[u8]) -> impl Iterator<Item = char> {
    text.utf8_chunks().flat_map(|chunk| chunk.valid().chars())
}

/// The letters and digits of a text, whatever signs stand between them.
fn plain(text: &[u8]) -> String {
    folded(signs(text).filter(|sign| sign.is_alphanumeric())).collect()
}

/// The letters and digits of a text in their plain form. By way of capitals, so that what has no small letter of its own (`ſ`,
/// `ı`, the Kelvin sign) folds as Unicode's case folding does. Whether signs that are no letters become some (`㏐`) depends on
/// what is done first: taking them out, or normalising.
fn folded(text: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    text.nfkd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn further_model(written: &[u8]) -> Option<&'static str> {
        Readings::of(written).further_model()
    }

    #[test]
    fn what_a_parser_may_take_for_it() {
        for written in [
            &b"model"[..],
            b"MODEL",
            b"mOdel",
            b" model\t",
            b"mo\0del",
            b"model\0",
            b"\0model",
            b"model\0suffix",
            "\u{feff}model".as_bytes(),
            "mo\u{200b}de\u{301}l".as_bytes(),
            "\u{a0}model\u{3000}".as_bytes(),
            b"mod\xffel",
            b"\xc3model",
            b"model[]",
            b"model[0]",
            b"[model]",
            b"%6dodel",
            b"mo%64el%5B%5D",
            b"mod%00el",
            b"model%00x",
            b"mod_el",
            b"mod-el",
            b"$model",
            b"model:",
            b"\"model\"",
            b"`model`",
            "\u{ff4d}odel".as_bytes(),
            "\u{1d426}\u{1d428}\u{1d41d}\u{1d41e}\u{1d425}".as_bytes(),
            "\u{1d50}\u{1d52}\u{1d48}\u{1d49}\u{2e1}".as_bytes(),
            "\u{217f}ode\u{217c}".as_bytes(),
            "\u{24dc}odel".as_bytes(),
            "mod\u{e9}l".as_bytes(),
            b"%u006dodel",
            b"%EF%BD%8Dodel",
        ] {
            assert!(is_nearly(written, "model"), "{:?}", String::from_utf8_lossy(written));
        }
        for (written, name) in [
            ("\u{17f}tream", "stream"),
            ("to\u{212a}ens", "tokens"),
            ("m\u{131}n", "min"),
            ("m\u{130}n", "min"),
            ("maxTokens", "max_tokens"),
            ("MAX-TOKENS", "max_tokens"),
            ("stream_options", "streamOptions"),
        ] {
            assert!(is_nearly(written.as_bytes(), name), "{written}");
        }
    }

    #[test]
    fn what_is_another_name() {
        for written in [
            &b""[..],
            b"mode",
            b"models",
            b"model2",
            b"model_id",
            b"base_model",
            b"mo\xc3\xa9del",
            b"model%41",
            b"%",
            b"mode\xc1\xac",
            b"x[model]",
        ] {
            assert!(!is_nearly(written, "model"), "{:?}", String::from_utf8_lossy(written));
        }
    }

    #[test]
    fn what_is_too_long_may_be_any_name() {
        for (written, any) in [
            ("é".repeat(MAX_DRESSED / 2), false),
            ("\u{301}".repeat(MAX_DRESSED / 2 + 1), true),
            (format!("{}%", "a".repeat(MAX_DRESSED)), true),
            ("a".repeat(MAX_PLAIN), false),
            ("-".repeat(MAX_PLAIN + 1), true),
        ] {
            assert_eq!(is_nearly(written.as_bytes(), "model"), any, "{} bytes", written.len());
            assert_eq!(variant_of(written.as_bytes(), &["stream", "n"]).is_some(), any);
        }
    }

    #[test]
    fn names_about_models() {
        for (written, want) in [
            ("models", "models"),
            ("model_name", "model_name"),
            ("mo-del_id", "model_id"),
            ("adapters", "*adapter*"),
            ("adapter_path", "*adapter*"),
            ("lora", "*lora*"),
            ("lora_request", "*lora*"),
            ("image_loras", "*lora*"),
            ("imageLoras", "*lora*"),
            ("model_base_name", "*model*"),
            ("judge_model", "*model*"),
            ("judgeModel", "*model*"),
            ("mod\u{e9}l-x", "*model*"),
            ("%6dodel_x", "*model*"),
            ("router_settings_override", "router_settings_override"),
            ("routerSettingsOverride", "router_settings_override"),
            ("backend", "backend"),
        ] {
            assert_eq!(further_model(written.as_bytes()), Some(want), "{written}");
        }
        for written in [
            "",
            "_",
            "messages",
            "modalities",
            "exploration",
            "explorationMode",
            "guided_decoding_backend",
            "user",
            "n",
            "remodeling",
            "top_p",
            "stream_options",
            "mode",
        ] {
            assert_eq!(further_model(written.as_bytes()), None, "{written}");
        }
    }

    #[test]
    fn a_variant_is_refused_and_named() {
        let own = ["model", "messages", "stream_options"];
        for name in own {
            assert_eq!(refuse_variant(name.as_bytes(), &own), Ok(()));
        }
        assert_eq!(refuse_variant(b"stream", &own), Ok(()));
        for (written, name) in [
            (&b"MESSAGES"[..], "messages"),
            (b"mess\xffages", "messages"),
            (b"streamOptions", "stream_options"),
        ] {
            let error = refuse_variant(written, &own).unwrap_err();
            assert_eq!(error.code, Code::DuplicateParameter);
            assert_eq!(error.param.as_deref(), Some(name));
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The quick look at a plain name finds what the careful one does.
        #[test]
        fn plain_names_are_read_as_all_others(
            parts in proptest::collection::vec(prop_oneof![
                Just("_"), Just("model"), Just("s"), Just("id"), Just("name"), Just("fallback"), Just("engine"), Just("preset"),
                Just("Model"), Just("-"), Just("lora"), Just("path"), Just("a"),
            ], 0..5),
        ) {
            let name = parts.concat();
            let all = (b'a'..=b'z').flat_map(further);
            let careful = all.copied().find(|known| is_nearly(name.as_bytes(), known));
            let quick = Readings::of(name.as_bytes()).further_model();
            prop_assert!(quick == careful || careful.is_none(), "{:?} {:?}", quick, careful);
        }

        /// Whatever is put between the letters of a name and however they are written, it is recognised.
        #[test]
        fn dress_does_not_hide_a_name(
            name in "[a-z]{1,8}",
            capitals in any::<u32>(),
            mut between in proptest::collection::vec("[^\\pL\\pN%\\[]{0,3}", 9),
        ) {
            // Some marks count as letters.
            between.iter_mut().for_each(|text| text.retain(|c| !c.is_alphanumeric()));
            let mut written = String::new();
            for (at, letter) in name.chars().enumerate() {
                written.push_str(&between[at]);
                let is_capital = capitals >> at & 1 == 1;
                written.push(if is_capital { letter.to_ascii_uppercase() } else { letter });
            }
            written.push_str(&between[8]);
            prop_assert!(is_nearly(written.as_bytes(), &name));
            let escaped: String = written.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert!(is_nearly(escaped.as_bytes(), &name));
        }

        /// A letter more or less is another name, on the quick way as on the slow one.
        #[test]
        fn both_ways_agree(written in "[a-zA-Z_.-]{0,6}", name in "[a-z_]{0,4}") {
            let slow = folded(signs(written.as_bytes())).eq(folded(signs(name.as_bytes())));
            prop_assert_eq!(is_nearly(written.as_bytes(), &name), slow);
        }
    }
}
