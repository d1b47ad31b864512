//! What the tests of the command-line tool share.
#![allow(dead_code, unused_macros, reason = "each test uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub const TOOL: &str = env!("CARGO_BIN_EXE_openai-gateway");

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(TOOL).args(arguments).output().unwrap()
}

/// Writes `text` to a file of this test's own.
pub fn file(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tool");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A shipped manifest with a digest in the place of each that its operator has to fill in.
pub fn filled(name: &str) -> String {
    const DIGEST: &str = "4e8381805481dc7b1d066d747d1fd3e51ed40f6dbe7c6632aef3dc02f478c4e6";
    fs::read_to_string(root().join(name)).unwrap().replace(&"0".repeat(64), DIGEST)
}

pub fn check(path: &Path) -> (i32, Vec<Value>) {
    check_all(&[path])
}

pub fn check_all(paths: &[&Path]) -> (i32, Vec<Value>) {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let output = run(&["check", "--json"].into_iter().chain(paths).collect::<Vec<_>>());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), json["findings"].as_array().unwrap().clone())
}

/// A mistake: the file, what is replaced by what, and what must be found. The line is that of `at` in
/// the changed text.
pub struct Planted {
    pub file: &'static str,
    pub old: &'static str,
    pub new: &'static str,
    pub at: &'static str,
    pub severity: &'static str,
    pub path: &'static str,
    pub message: &'static str,
}

macro_rules! planted {
    ($($file:literal: $old:literal => $new:literal, at $at:literal: $severity:literal $path:literal $message:literal;)*) => {
        &[$(Planted {
            file: $file, old: $old, new: $new, at: $at,
            severity: $severity, path: $path, message: $message,
        }),*]
    };
}

/// A file by its name in tests/tool, or by its path from the top, with what its operator has to fill in.
fn text_of(name: &str) -> String {
    if name.contains('/') {
        return filled(name);
    }
    fs::read_to_string(root().join("tests/tool").join(name)).unwrap()
}

/// Plants each mistake on its own. `name`: of the test, for its files.
pub fn find_all(name: &str, planted: &[Planted]) {
    let mut missed = Vec::new();
    for (number, planted) in planted.iter().enumerate() {
        let good = text_of(planted.file);
        let text = good.replacen(planted.old, planted.new, 1);
        assert_ne!(text, good, "{} is not in {}", planted.old, planted.file);
        let at = text.find(planted.at).unwrap_or_else(|| panic!("no {} in the text", planted.at));
        let line = text[..at].matches('\n').count() as u64 + 1;
        let (status, findings) =
            check(&file(&format!("{name}-{number}-{}", planted.file.replace('/', "-")), &text));
        let is_it = |finding: &&Value| {
            finding["line"] == line
                && finding["severity"] == planted.severity
                && finding["path"].as_str().unwrap().ends_with(planted.path)
                && finding["message"].as_str().unwrap().contains(planted.message)
        };
        let expected = i32::from(planted.severity == "error");
        if !findings.iter().any(|finding| is_it(&finding)) || status != expected {
            missed.push(format!(
                "{} => {}\n  line {line}, {status}: {findings:#?}",
                planted.old, planted.new
            ));
        }
        assert!(!format!("{findings:?}").contains("hush"), "a secret is printed");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
