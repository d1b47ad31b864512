//! Where a file holds a configuration of the filter, and in what form.

use std::collections::HashMap;

use super::document::{self, Node, NodeValue, Unreadable};

/// Message types, without the host of their URL.
pub const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
/// The same for the native module.
pub const NATIVE: &str = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";
/// The connection manager, which has `http_filters` and routes.
pub const HCM: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A configuration of the filter.
pub struct Site<'a> {
    /// Its name where others refer to it: of the resource, or of the filter.
    pub name: String,
    /// Where it stands.
    pub holder: Holder<'a>,
    /// The filter's own part; `None` if it is missing.
    pub settings: Option<FilterSettings<'a>>,
    /// What the VM's environment has; `None` where the file can't tell.
    pub environment: Option<Environment>,
}

/// What holds the settings.
#[derive(Clone, Copy)]
pub enum Holder<'a> {
    /// The file is nothing but the settings.
    File,
    /// `config` of Envoy's Wasm message.
    Wasm(&'a Node),
    /// Envoy's message for the native module.
    Native(&'a Node),
    /// `spec` of an Istio WasmPlugin.
    WasmPlugin(&'a Node),
    /// An entry of `spec.wasm` of an EnvoyExtensionPolicy.
    ExtensionPolicy(&'a Node),
}

/// The filter's own part.
pub enum FilterSettings<'a> {
    /// As a tree: YAML, or a `google.protobuf.Struct`.
    Tree(&'a Node),
    /// JSON text in a `google.protobuf.StringValue`, and its tree where it is one.
    Text { text: &'a str, line: usize, tree: Option<Node> },
}

/// The environment that Envoy gives to the VM.
#[derive(Default)]
pub struct Environment {
    /// Names that are read from Envoy's own environment.
    pub host: Vec<String>,
    /// Names with their values.
    pub values: HashMap<String, String>,
}

impl FilterSettings<'_> {
    /// The tree, where the settings have one.
    pub fn tree(&self) -> Option<&Node> {
        match self {
            Self::Tree(node) => Some(node),
            Self::Text { tree, .. } => tree.as_ref(),
        }
    }

    /// Where they begin.
    pub fn line(&self) -> usize {
        match self {
            Self::Tree(node) => node.line,
            Self::Text { line, .. } => *line,
        }
    }
}

/// The documents of a file, and those that its ConfigMaps and Secrets hold; and what of these can't be read.
///
/// # Errors
/// The first place at which the file itself is no YAML, or no JSON where its name ends so.
pub fn documents(name: &str, text: &str) -> Result<(Vec<Node>, Vec<Unreadable>), Unreadable> {
    let mut documents = read(name, text, 1)?;
    let (mut inner, mut unreadable) = (Vec::new(), Vec::new());
    for map in documents.iter().flat_map(Node::maps) {
        let data = match map.text_of("kind") {
            "ConfigMap" => map.get("data"),
            "Secret" => map.get("stringData"),
            _ => None,
        };
        for member in data.map(Node::members).unwrap_or_default() {
            let NodeValue::Text(text, line) = &member.node.value else { continue };
            match read(&member.name, text, *line) {
                Ok(found) => inner.extend(found),
                // A script or a page may be anything.
                Err(_) if !is_ours_to_read(&member.name, text) => {}
                Err(Unreadable { line, reason }) => {
                    unreadable
                        .push(Unreadable { line, reason: format!("{}: {reason}", member.name) });
                }
            }
        }
    }
    documents.extend(inner);
    Ok((documents, unreadable))
}

/// Whether a member of a ConfigMap must be YAML.
fn is_ours_to_read(name: &str, text: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)) || speaks_of_us(text)
}

/// Envoy reads what is called `.json` by JSON's rules: a comma too many is none of YAML's mistakes.
fn read(name: &str, text: &str, first_line: usize) -> Result<Vec<Node>, Unreadable> {
    if name.ends_with(".json")
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        let line = first_line.saturating_add(error.line()).saturating_sub(1);
        return Err(Unreadable { line, reason: format!("not valid JSON: {error}") });
    }
    document::read(text, first_line)
}

/// Every configuration of the filter in a document.
pub fn find(document: &Node) -> Vec<Site<'_>> {
    let mut sites = Vec::new();
    for map in document.maps() {
        let spec = map.get("spec");
        match (map.text_of("kind"), spec) {
            ("WasmPlugin", Some(spec)) => sites.extend(wasm_plugin(map, spec)),
            ("EnvoyExtensionPolicy", Some(spec)) => {
                let wasm = spec.get("wasm").map(Node::items).unwrap_or_default();
                sites.extend(wasm.iter().filter_map(extension_policy));
            }
            _ => sites.extend(named_wasm(map).or_else(|| named_native(map))),
        }
    }
    if sites.is_empty() && is_settings(document) {
        sites.push(Site {
            name: String::new(),
            holder: Holder::File,
            settings: Some(FilterSettings::Tree(document)),
            environment: None,
        });
    }
    sites
}

/// Whether a filter of `http_filters` gets our configuration by discovery.
pub fn is_discovered(filter: &Node) -> bool {
    filter.get("config_discovery").is_some() && speaks_of_us(filter.text_of("name"))
}

/// The type of a message, without the host of its URL.
pub fn type_of(node: &Node) -> &str {
    let url = node.text_of("@type");
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

/// An object that has a name and `typed_config`: a filter, or a discovered resource.
fn named_wasm(map: &Node) -> Option<Site<'_>> {
    let typed = map.get("typed_config")?;
    let config = wasm_config(typed)?;
    (speaks_of_us(map.text_of("name")) || is_ours(config)).then(|| Site {
        name: map.text_of("name").to_owned(),
        holder: Holder::Wasm(config),
        settings: config.get("configuration").and_then(settings),
        environment: Some(environment(config.at(&["vm_config", "environment_variables"]))),
    })
}

/// The same for the native module. It reads the variables of Envoy's own environment, which no file tells.
fn named_native(map: &Node) -> Option<Site<'_>> {
    let message = map.get("typed_config").filter(|typed| type_of(typed) == NATIVE)?;
    let settings = message.get("filter_config").and_then(settings);
    let module = message.at(&["dynamic_module_config", "name"]).and_then(Node::text);
    let names = [module.unwrap_or_default(), message.text_of("filter_name"), map.text_of("name")];
    let is_ours = names.iter().any(|name| speaks_of_us(name))
        || settings.as_ref().and_then(FilterSettings::tree).is_some_and(is_settings);
    is_ours.then(|| Site {
        name: map.text_of("name").to_owned(),
        holder: Holder::Native(message),
        settings,
        environment: None,
    })
}

/// What holds a filter's settings: `config` of a Wasm message, or the native module's message.
pub fn message_of(filter: &Node) -> Option<&Node> {
    let typed = filter.get("typed_config")?;
    wasm_config(typed).or_else(|| (type_of(typed) == NATIVE).then_some(typed))
}

/// `config` of a Wasm message, also of one inside a TypedStruct.
fn wasm_config(typed: &Node) -> Option<&Node> {
    match type_of(typed) {
        WASM => typed.get("config"),
        "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct"
            if typed.text_of("type_url").ends_with(WASM) =>
        {
            typed.at(&["value", "config"])
        }
        _ => None,
    }
}

/// `configuration` of a plugin: an Any that holds a Struct or a StringValue.
fn settings(configuration: &Node) -> Option<FilterSettings<'_>> {
    let value = configuration.get("value")?;
    match (type_of(configuration), &value.value) {
        ("google.protobuf.StringValue", NodeValue::Text(text, line)) => {
            Some(FilterSettings::Text {
                text,
                line: *line,
                tree: document::read(text, *line).ok().and_then(|trees| trees.into_iter().next()),
            })
        }
        _ => Some(FilterSettings::Tree(value)),
    }
}

fn environment(node: Option<&Node>) -> Environment {
    let Some(node) = node else { return Environment::default() };
    let host = node.get("host_env_keys").map(Node::items).unwrap_or_default();
    let values = node.get("key_values").map(Node::members).unwrap_or_default();
    Environment {
        host: host.iter().filter_map(Node::text).map(str::to_owned).collect(),
        values: values
            .iter()
            .map(|member| {
                let value = member.node.text().map_or_else(|| member.node.json(), str::to_owned);
                (member.name.clone(), value)
            })
            .collect(),
    }
}

fn is_ours(config: &Node) -> bool {
    let code = config.at(&["vm_config", "code"]);
    let module = code.map(Node::json).unwrap_or_default();
    let names = ["name", "root_id"].map(|name| config.text_of(name));
    names.iter().any(|name| speaks_of_us(name))
        || speaks_of_us(&module)
        || config
            .get("configuration")
            .and_then(settings)
            .is_some_and(|settings| settings.tree().is_some_and(is_settings))
}

fn wasm_plugin<'a>(map: &'a Node, spec: &'a Node) -> Option<Site<'a>> {
    let settings = spec.get("pluginConfig");
    let name = map.at(&["metadata", "name"]).and_then(Node::text).unwrap_or_default();
    let is_ours = [name, spec.text_of("url"), spec.text_of("pluginName")]
        .iter()
        .any(|text| speaks_of_us(text))
        || settings.is_some_and(is_settings);
    let mut environment = Environment::default();
    for variable in spec.at(&["vmConfig", "env"]).map(Node::items).unwrap_or_default() {
        let name = variable.text_of("name").to_owned();
        match variable.text_of("valueFrom") {
            "HOST" => environment.host.push(name),
            _ => {
                environment.values.insert(name, variable.text_of("value").to_owned());
            }
        }
    }
    is_ours.then(|| Site {
        name: name.to_owned(),
        holder: Holder::WasmPlugin(spec),
        settings: settings.map(FilterSettings::Tree),
        environment: Some(environment),
    })
}

fn extension_policy(wasm: &Node) -> Option<Site<'_>> {
    let settings = wasm.get("config");
    let is_ours = speaks_of_us(wasm.text_of("name"))
        || wasm.get("code").is_some_and(|code| speaks_of_us(&code.json()))
        || settings.is_some_and(is_settings);
    let host = wasm.at(&["env", "hostKeys"]).map(Node::items).unwrap_or_default();
    is_ours.then(|| Site {
        name: wasm.text_of("name").to_owned(),
        holder: Holder::ExtensionPolicy(wasm),
        settings: settings.map(FilterSettings::Tree),
        environment: Some(Environment {
            host: host.iter().filter_map(Node::text).map(str::to_owned).collect(),
            values: HashMap::new(),
        }),
    })
}

/// Whether an object looks like the filter's own part, rightly spelled or nearly.
fn is_settings(node: &Node) -> bool {
    const TELLING: [&str; 3] = ["providers", "virtual_keys", "model_aliases"];
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
    let envoys = ["static_resources", "resources", "kind", "apiVersion", "@type"];
    !envoys.iter().any(|name| node.get(name).is_some())
        && node.members().iter().any(|member| {
            let name = plain(&member.name);
            TELLING.iter().any(|telling| {
                let telling = plain(telling);
                name == telling || name == telling.trim_end_matches('s')
            })
        })
}

fn speaks_of_us(text: &str) -> bool {
    text.contains("openai-gateway") || text.contains("openai_gateway")
}
