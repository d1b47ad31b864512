//! `vk new`: mints a virtual key.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openai_gateway_filter::config::key_id_problem;
use openai_gateway_filter::policy::key::digest;

/// 256 bits: nobody guesses them, and no salt is needed beside the digest.
const KEY_BYTES: usize = 32;

/// The key, its digest and the YAML to paste. The key is shown this once and stored nowhere.
pub fn new(id: &str) -> Result<String, String> {
    if let Some(why) = key_id_problem(id) {
        return Err(format!("--id {why}"));
    }
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    let key = format!("vk-{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = digest(key.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let id = serde_json::Value::from(id);
    Ok(format!(
        "key     {key}\n\
         sha256  {digest}\n\n\
         Give the key to its user: it is what an OpenAI SDK takes as api_key. For the filter's configuration:\n\n\
         virtual_keys:\n\
         - id: {id}\n  \
           key_sha256: \"{digest}\""
    ))
}
