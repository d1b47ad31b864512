//! Whatever a server calls its list of models, what leaves is OpenAI's.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::exchange::models::{
    CallAnswer, FetchProgress, Fetches, Outcomes, Want, answer, needed,
};
use openai_gateway_filter::policy::Config;
use openai_gateway_filter::wire::headers::Headers;
use openai_gateway_filter_fuzz::{MAX_INPUT, tree};

thread_local! {
    static CONFIG: Config = Config::from_plugin_configuration(
        br#"{"providers":[{"name":"p","base_url":"http://p.test"},{"name":"q","base_url":"http://q.test","models":["m"]}],
             "virtual_keys":[{"id":"v","key":"k"}]}"#,
        &|_| None,
    )
    .expect("a good configuration");
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    CONFIG.with(|config| {
        let key = config.virtual_keys.authenticate(b"k", || 0).expect("a known key");
        let ask = |want: &Want| {
            let mut fetches = Fetches::new();
            let mut known = Outcomes::default();
            loop {
                let needs = |known: &Outcomes| needed(config, &key, want, known);
                let FetchProgress::Wait(calls) = fetches.ask(config, 1, needs, known, 0) else {
                    panic!("nothing is asked");
                };
                let Some(mut call) = calls.into_iter().next() else { panic!("nothing is sent") };
                let head = Headers::default();
                let mut pages = 0;
                let mut ready = loop {
                    pages += 1;
                    assert!(pages <= 20, "a list has no end");
                    fetches.sent(call, 1);
                    // Each page is the same.
                    let body = CallAnswer { status: 200, headers: &head, body: data };
                    let answered = fetches.answered(1, Some(body), 0);
                    match answered.next {
                        Some(next) => call = next,
                        None => break answered.ready,
                    }
                };
                (_, known) = ready.pop().expect("the request waits for nothing more");
                if needs(&known).is_empty() {
                    return answer(config, &key, want, &known);
                }
            }
        };
        if let Ok(model) = ask(&Want::One("p/m".to_owned())) {
            let model = tree(&model.body).expect("valid JSON");
            assert_eq!(
                (model["id"].as_str(), model["object"].as_str()),
                (Some("p/m"), Some("model"))
            );
            assert!(model["created"].is_u64() && model["owned_by"].is_string());
        }
        let answer = ask(&Want::All).expect("q has a list");
        let body = tree(&answer.body).expect("valid JSON");
        assert_eq!(body["object"], "list");
        let mut seen = HashSet::new();
        for model in body["data"].as_array().expect("an array") {
            let id = model["id"].as_str().expect("an id");
            assert!(seen.insert(id), "twice: {id}");
            assert!(id.starts_with("p/") || id == "q/m");
            assert!(!id.chars().any(char::is_control));
            assert_eq!(model["object"], "model");
            assert!(model["created"].is_u64() && model["owned_by"].is_string());
        }
        assert!(seen.contains("q/m"));
    });
});
