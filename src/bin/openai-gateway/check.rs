//! `check`: everything that is wrong in some files, with its place.

use std::fs;

use serde_json::Value;

use super::document::{Node, Unreadable};
use super::envoy::GatewayFilter;
use super::explain::{self, Question};
use super::finding::Finding;
use super::report::Report;
use super::settings::{self, Compiled, OwnEnvironment};
use super::site::{self, Holder, Site};
use super::version::{self, EnvoyVersion};
use super::{advice, discovery, durations, envoy, mesh, plugin, positions, ratelimit, twice};

/// What a check came to.
pub struct CheckOutcome {
    /// By file, then by line.
    pub findings: Vec<Finding>,
    /// Whether a file could not be read, or holds nothing of ours.
    pub unreadable: bool,
}

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

struct File<'a> {
    name: &'a str,
    text: String,
    documents: Vec<Node>,
    /// What it holds and can't be read.
    unreadable: Vec<Unreadable>,
}

/// Checks files, together: a filter that one of them discovers may stand in another. `version` is that of the Envoy they
/// are for; where it is `None`, the image of a container in the files may tell.
pub fn check(
    names: &[String],
    own: OwnEnvironment<'_>,
    version: Option<EnvoyVersion>,
) -> CheckOutcome {
    let mut outcome = CheckOutcome { findings: Vec::new(), unreadable: false };
    let mut files = Vec::new();
    for name in names {
        match read(name) {
            Ok(file) => files.push(file),
            Err(Unreadable { line, reason }) => {
                let mut report = Report::new(name);
                report.error(line, "file", reason);
                outcome.findings.append(&mut report.findings);
                outcome.unreadable = true;
            }
        }
    }
    // (file, document, site, its settings as the filter reads them)
    let mut sites: Vec<(usize, &Node, Site<'_>, Option<Compiled>)> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for document in &file.documents {
            for site in site::find(document) {
                let raw = whole_json(file, &site);
                let compiled = settings::compile(&site, raw, own);
                sites.push((index, document, site, compiled));
            }
        }
    }
    let gateways: Vec<GatewayFilter<'_>> =
        sites.iter().filter_map(|(_, _, site, compiled)| gateway(site, compiled)).collect();
    // What can't be read may hold what another file discovers.
    let is_whole = !outcome.unreadable && files.iter().all(|file| file.unreadable.is_empty());
    let own_parts: Vec<&Node> =
        sites.iter().filter_map(|(_, _, site, _)| site.settings.as_ref()?.tree()).collect();
    let mut documents = files.iter().flat_map(|file| &file.documents);
    let version = version.or_else(|| documents.find_map(version::of_image));
    for (index, file) in files.iter().enumerate() {
        let mut report = Report::new(file.name);
        let here: Vec<_> = sites.iter().filter(|(at, ..)| *at == index).collect();
        let is_discovered = file.documents.iter().any(|document| {
            let filters = document.maps().into_iter().filter_map(|map| map.get("http_filters"));
            filters.flat_map(Node::items).any(site::is_discovered)
        });
        let budgets: Vec<&Node> =
            file.documents.iter().filter(|it| ratelimit::is_mesh(it)).collect();
        for Unreadable { line, reason } in &file.unreadable {
            report.error(*line, "data", reason.clone());
            outcome.unreadable = true;
        }
        let is_silent = file.unreadable.is_empty() && here.is_empty() && !is_discovered;
        if is_silent && (budgets.is_empty() || sites.is_empty()) {
            report.error(1, "file", "holds no configuration of openai-gateway-filter");
            outcome.unreadable = true;
        }
        for (_, document, site, compiled) in here {
            of_site(&mut report, file, document, site, compiled.as_ref(), &gateways);
        }
        for (_, _, site, compiled) in &sites {
            let tree = site.settings.as_ref().and_then(|settings| settings.tree());
            if let (Some(tree), Some(Compiled { config: Some(config), places, .. })) =
                (tree, compiled)
            {
                for document in &budgets {
                    ratelimit::check(&mut report, document, document, tree, config, places);
                }
            }
        }
        for document in &file.documents {
            envoy::check(&mut report, document, &gateways, version);
            durations::spelled(&mut report, document);
            positions::refused(&mut report, document);
            twice::check(&mut report, document, &own_parts);
            if is_whole {
                discovery::filters(&mut report, document, &gateways);
            }
        }
        report.findings.sort_by(Finding::order);
        // Settings that an anchor repeats are found once.
        report.findings.dedup_by(|a, b| a.order(b).is_eq());
        outcome.findings.append(&mut report.findings);
    }
    outcome
}

/// Explains a request by the first configuration of a file.
///
/// # Errors
/// What `check` finds, where the file holds none that the filter would take.
pub fn explain(name: &str, question: &Question<'_>) -> Result<Value, CheckOutcome> {
    let failed = || check(&[name.to_owned()], None, None);
    let file = read(name).map_err(|_| failed())?;
    for document in &file.documents {
        for site in site::find(document) {
            let compiled = settings::compile(&site, whole_json(&file, &site), None);
            let tree = site.settings.as_ref().and_then(|settings| settings.tree());
            if let (Some(tree), Some(Compiled { config: Some(config), .. })) = (tree, &compiled) {
                return Ok(explain::explain(config, tree, question));
            }
        }
    }
    Err(failed())
}

fn of_site(
    report: &mut Report<'_>,
    file: &File<'_>,
    document: &Node,
    site: &Site<'_>,
    compiled: Option<&Compiled>,
    gateways: &[GatewayFilter<'_>],
) {
    match site.holder {
        Holder::Wasm(message) => plugin::check(report, document, message),
        Holder::Native(message) => plugin::native(report, document, message),
        holder => mesh::holder(report, document, holder, &file.documents),
    }
    let Some(compiled) = compiled else { return };
    for (line, path, reason) in &compiled.mistakes {
        report.error(*line, path.clone(), reason.clone());
    }
    let tree = site.settings.as_ref().and_then(|settings| settings.tree());
    if let (Some(tree), Some(config)) = (tree, &compiled.config) {
        advice::check(report, tree, config, &compiled.places);
        if document.text_of("kind") == "EnvoyFilter"
            && let Some(gateway) = gateway_of(site, tree, compiled)
        {
            mesh::istio(report, &file.documents, document, &gateway, gateways);
        }
    }
}

fn gateway<'a>(site: &'a Site<'_>, compiled: &'a Option<Compiled>) -> Option<GatewayFilter<'a>> {
    let tree = site.settings.as_ref()?.tree()?;
    gateway_of(site, tree, compiled.as_ref()?)
}

fn gateway_of<'a>(
    site: &'a Site<'_>,
    tree: &'a Node,
    compiled: &'a Compiled,
) -> Option<GatewayFilter<'a>> {
    let (message, is_native) = match site.holder {
        Holder::Wasm(message) => (message, false),
        Holder::Native(message) => (message, true),
        _ => return None,
    };
    Some(GatewayFilter {
        name: &site.name,
        message,
        is_native,
        tree,
        config: compiled.config.as_ref(),
        places: &compiled.places,
    })
}

/// The bytes of a file that is nothing but settings in JSON: its syntax is JSON's, not YAML's.
fn whole_json<'a>(file: &'a File<'_>, site: &Site<'_>) -> Option<&'a [u8]> {
    let is_json = file.text.trim_start().starts_with('{')
        && !file.name.ends_with(".yaml")
        && !file.name.ends_with(".yml");
    (matches!(site.holder, Holder::File) && is_json).then_some(file.text.as_bytes())
}

fn read(name: &str) -> Result<File<'_>, Unreadable> {
    let unreadable = |reason: String| Unreadable { line: 1, reason };
    let size = fs::metadata(name).map_err(|error| unreadable(format!("can't be read: {error}")))?;
    if size.len() > MAX_FILE_BYTES {
        return Err(unreadable("larger than 64 MiB".to_owned()));
    }
    let bytes = fs::read(name).map_err(|error| unreadable(format!("can't be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("not UTF-8 text".to_owned()))?;
    let (documents, unreadable) = site::documents(name, &text)?;
    Ok(File { name, text, documents, unreadable })
}
