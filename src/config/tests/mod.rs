//! The rules of the configuration, one table a part.

mod askable;
mod large;
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod problems;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod slips;
mod valid;

use serde_json::{Value, json};

use super::Problems;
use crate::policy::Config;

fn env(name: &str) -> Option<String> {
    match name {
        "GROQ_API_KEY" => Some("gsk-s3cret".to_owned()),
        "EMPTY" => Some(String::new()),
        "LINE" => Some("s3cret\n".to_owned()),
        _ => None,
    }
}

/// A configuration that is right, to be made wrong in one place.
fn base() -> Value {
    json!({
        "providers": [{"name": "groq", "base_url": "https://api.groq.com/openai/v1"}],
        "virtual_keys": [{"id": "team", "key": "vk-s3cret"}],
    })
}

/// Sets the member at a JSON pointer, whose parent exists.
fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap() {
        Value::Array(items) if name == "-" => items.push(value),
        parent => parent[name] = value,
    }
}

/// The configuration with changes, read as JSON and as a Struct, which must make no difference.
fn with(changes: &[(&str, Value)]) -> Result<Config, Problems> {
    let mut config = base();
    for (pointer, value) in changes {
        set(&mut config, pointer, value.clone());
    }
    let read = |bytes: &[u8]| Config::from_plugin_configuration(bytes, &env);
    let as_json = read(config.to_string().as_bytes());
    let as_struct = read(&super::structpb::tests::encode(&config));
    match (&as_json, &as_struct) {
        (Ok(json), Ok(pb)) => assert_eq!(json.summary(), pb.summary()),
        (Err(json), Err(pb)) => assert_eq!(json.to_string(), pb.to_string()),
        _ => panic!("JSON and Struct differ: {as_json:?} {as_struct:?}"),
    }
    as_json
}
