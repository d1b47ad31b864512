//! The command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::explain::{self, Question};
use super::finding::{self, Severity};
use super::version::EnvoyVersion;
use super::{check, vk};

/// Checks and explains configurations of openai-gateway-filter, without Envoy.
#[derive(Parser)]
#[command(name = "openai-gateway", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report every mistake with its path and line. Exit status: 0 none, 1 mistakes, 2 unreadable
    Check {
        /// The filter's configuration (YAML or JSON), an Envoy configuration, a discovered filter, or
        /// Kubernetes manifests that hold one. What one file discovers may stand in another
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Require the environment variables, with this process's own values
        #[arg(long)]
        env: bool,
        /// The Envoy that they are for, as 1.39, to be told what it does not know yet. Without it: that of a container's
        /// image in the files
        #[arg(long, value_name = "VERSION")]
        envoy: Option<EnvoyVersion>,
    },
    /// Say what becomes of a request: alias, provider, path, host, which credential, and why
    Explain {
        /// As for check
        file: String,
        /// The virtual key's id
        #[arg(long, value_name = "ID")]
        key: String,
        /// The model as the client writes it
        #[arg(long)]
        model: String,
        /// What is asked of it, by its name in the configuration
        #[arg(long, default_value = "chat_completions")]
        operation: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the configuration's JSON Schema (2020-12)
    Schema,
    /// Virtual keys
    Vk {
        #[command(subcommand)]
        command: VkCommand,
    },
}

#[derive(Subcommand)]
enum VkCommand {
    /// Mint one, and print it with its digest and the YAML to paste
    New {
        /// What logs and metrics will show
        #[arg(long, value_name = "NAME")]
        id: String,
    },
}

const MISTAKES: u8 = 1;
const UNREADABLE: u8 = 2;

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let (text, status) = match CommandLine::parse().command {
        Command::Check { files, json, env, envoy } => checked(&files, json, env, envoy),
        Command::Explain { file, key, model, operation, json } => {
            let Some(operation) = explain::operation(&operation) else {
                return failed("no operation of this name has a model in its body");
            };
            explained(&file, &Question { key: &key, model: &model, operation }, json)
        }
        Command::Schema => (pretty(&openai_gateway_filter::config::schema()), 0),
        Command::Vk { command: VkCommand::New { id } } => match vk::new(&id) {
            Ok(text) => (text, 0),
            Err(error) => return failed(&error),
        },
    };
    // A reader that has gone (`| head`) is no failure.
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::from(status)
}

fn checked(files: &[String], json: bool, env: bool, envoy: Option<EnvoyVersion>) -> (String, u8) {
    let own = |name: &str| std::env::var(name).ok();
    shown(&check::check(files, env.then_some(&own), envoy), json)
}

fn shown(outcome: &check::CheckOutcome, json: bool) -> (String, u8) {
    let of =
        |severity| outcome.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let status = match (outcome.unreadable, errors) {
        (true, _) => UNREADABLE,
        (false, 0) => 0,
        (false, _) => MISTAKES,
    };
    if json {
        return (pretty(&finding::json(&outcome.findings)), status);
    }
    let mut lines: Vec<String> = outcome.findings.iter().map(finding::Finding::line).collect();
    lines.push(format!("{}, {}", count(errors, "mistake"), count(warnings, "warning")));
    (lines.join("\n"), status)
}

fn explained(file: &str, question: &Question<'_>, json: bool) -> (String, u8) {
    match check::explain(file, question) {
        Ok(answer) if json => (pretty(&answer), 0),
        Ok(answer) => (sentences(question, &answer), 0),
        Err(outcome) => shown(&outcome, json),
    }
}

/// An explanation for people: a line each.
fn sentences(question: &Question<'_>, answer: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let of = |value: &serde_json::Value, name: &str| value.get(name).map(text).unwrap_or_default();
    let mut lines = vec![format!("{} asks for {}", question.key, question.model)];
    lines.push(format!("alias       {}", of(answer, "alias")));
    lines.push(format!("allowed by  {}", of(answer, "allowed_by")));
    if of(answer, "decision") == "refuse" {
        lines.push(format!("refused     {}", of(answer, "code")));
    }
    for target in answer.get("targets").and_then(|targets| targets.as_array()).into_iter().flatten()
    {
        let credential = target.get("credential").cloned().unwrap_or_default();
        let weight =
            target.get("weight").map_or_else(String::new, |weight| format!(", weight {weight}"));
        lines.push(format!(
            "goes to     {}/{}, cluster {}{weight}",
            of(target, "provider"),
            of(target, "model"),
            of(target, "cluster")
        ));
        lines.push(format!("            {}{}", of(target, "authority"), of(target, "path")));
        lines.push(format!(
            "            credential: {} from {}",
            of(&credential, "header"),
            of(&credential, "from")
        ));
    }
    for lost in answer.get("refused").and_then(|lost| lost.as_array()).into_iter().flatten() {
        let weight = lost.get("weight").cloned().unwrap_or_default();
        lines.push(format!(
            "refused     {} for {}, weight {weight}",
            of(lost, "code"),
            of(lost, "target")
        ));
    }
    for plan in answer.get("fallbacks").and_then(|plans| plans.as_array()).into_iter().flatten() {
        let list = |name: &str| {
            let items = plan.get(name).and_then(|list| list.as_array()).into_iter().flatten();
            items.map(text).collect::<Vec<_>>().join(", ")
        };
        let retries = plan.get("retries").cloned().unwrap_or_default();
        lines.push(format!(
            "fallback    in cluster {}: {}; another is asked {retries} times at most",
            of(plan, "cluster"),
            list("order")
        ));
        if !list("left_out").is_empty() {
            lines.push(format!(
                "            left out for this key and operation: {}",
                list("left_out")
            ));
        }
    }
    if let Some(usage) = answer.get("usage") {
        let mode = of(usage, "mode");
        lines.push(format!(
            "usage       {}",
            match &*mode {
                "off" => "off: tokens are not counted, and no fact of usage is left".to_owned(),
                "require" =>
                    "require: tokens are counted, and streams are asked for them".to_owned(),
                _ => format!("{mode}: tokens are counted where answers tell them, else estimated"),
            }
        ));
    }
    lines.join("\n")
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn failed(error: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(UNREADABLE)
}
