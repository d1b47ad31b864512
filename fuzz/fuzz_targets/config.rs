//! No configuration, however odd, is a panic; a refused one says why.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::policy::Config;

fuzz_target!(|data: &[u8]| {
    let env =
        |name: &str| name.len().is_multiple_of(2).then(|| "secret-of-the-environment".to_owned());
    if let Err(problems) = Config::from_plugin_configuration(data, &env) {
        assert!(!problems.is_empty());
        assert!(!format!("{problems:?}").contains("secret-of-the-environment"));
    }
});
