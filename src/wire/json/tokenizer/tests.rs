//! What the grammar takes and refuses.

use super::*;
use crate::test;

fn check(text: &[u8]) -> Result<Vec<Token>, JsonError> {
    let mut tokenizer = Tokenizer::new();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(token) = tokenizer.next(text, &mut at, u32::MAX)? {
        tokens.push(token);
    }
    tokens.extend(tokenizer.finish()?);
    Ok(tokens)
}

#[test]
fn accepts_what_serde_json_accepts() {
    for text in [
        "{}",
        "[]",
        " null ",
        "true",
        "false",
        "0",
        "-0.5e+10",
        "1E3",
        "\"\"",
        "\"a\\u00e9\\n\"",
        "{\"a\":[1,2,{\"b\":null}],\"c\":\"\"}",
        "[[[]],{}]",
        "\t[1 , 2]\r\n",
        "12",
    ] {
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        assert!(check(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn refuses_what_serde_json_refuses() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{,}",
        "[,]",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "-",
        "1.",
        "1e",
        ".5",
        "+1",
        "nul",
        "nulll",
        "tru",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "{}{}",
        "{} x",
        "1 2",
        "{a:1}",
        "'a'",
        "NaN",
        "[1 2]",
        "{\"a\" 1}",
        "\u{0}",
    ] {
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        assert!(check(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn reports_spans_and_depths() {
    let tokens = check(b"{\"a\":[1, \"x\"]}").unwrap();
    let seen: Vec<_> = tokens.iter().map(|t| (t.kind, t.start, t.end, t.depth)).collect();
    assert_eq!(
        seen,
        [
            (Kind::BeginObject, 0, 1, 0),
            (Kind::Key, 1, 4, 1),
            (Kind::BeginArray, 5, 6, 1),
            (Kind::Number, 6, 7, 2),
            (Kind::String, 9, 12, 2),
            (Kind::EndArray, 12, 13, 1),
            (Kind::EndObject, 13, 14, 0),
        ]
    );
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert!(check(&deep(MAX_DEPTH as usize)).is_ok());
    assert_eq!(check(&deep(MAX_DEPTH as usize + 1)), Err(JsonError::TooDeep));
    assert_eq!(check(&vec![b'['; 1_000_000]), Err(JsonError::TooDeep));
}

#[test]
fn byte_order_mark_only_at_the_start() {
    assert!(check(b"\xEF\xBB\xBF{}").is_ok());
    assert!(check(b" \xEF\xBB\xBF{}").is_err());
    assert!(check(b"\xEF\xBB").is_err());
    assert!(check(b"\xEF\xBB\xBE{}").is_err());
}

#[test]
fn plain_run_stops_at_each_special_byte() {
    for special in [b'"', b'\\', 0x1f, 0] {
        for plain in [b' ', b'!', b'#', b'[', b']', b'a', 0x7F, 0x80, 0xA2, 0xDC, 0xFF] {
            for at in 0..200 {
                let mut text = vec![plain; 200];
                text[at] = special;
                assert_eq!(plain_run(&text), at);
                assert_eq!(plain_run(&text[..at]), at);
            }
        }
    }
}

#[test]
fn a_large_block_is_plain_without_any_special_byte() {
    for byte in 0..=u8::MAX {
        let is_special = matches!(byte, b'"' | b'\\' | ..0x20);
        for at in 0..block::LARGE {
            let mut text = [b'a'; block::LARGE];
            text[at] = byte;
            assert_eq!(block::is_plain(&text), !is_special, "{byte} at {at}");
        }
    }
}

#[test]
fn a_number_is_whole_only_before_another_byte() {
    for (text, want) in [
        ("0,", Some(1)),
        ("-0.5]", Some(4)),
        ("12345678901234567890123.25e-10 ", Some(30)),
        ("1e5}", Some(3)),
        ("1.5.", Some(3)),
        ("1/", Some(1)),
        ("1:", Some(1)),
        ("00,", None),
        ("01,", None),
        ("1.,", None),
        (".5,", None),
        ("-,", None),
        ("1e,", None),
        ("1e+,", None),
        ("1", None),
        ("1.", None),
        ("", None),
    ] {
        assert_eq!(numbers::whole_number(text.as_bytes()), want, "{text}");
        let long = format!("{text}                ");
        if text.ends_with(|last: char| !last.is_ascii_digit() && last != '.') {
            assert_eq!(numbers::whole_number(long.as_bytes()), want, "{long}");
        }
    }
    assert_eq!(numbers::more_numbers(b",1, 2.5,-3,x"), 10);
    assert_eq!(numbers::more_numbers(b",1,2"), 2);
    assert_eq!(numbers::more_numbers(b",  1,2"), 0);
}

/// In a list long enough to be read by blocks.
#[test]
fn a_wrong_number_ends_the_run_before_it() {
    let good = ",0.5,-12, 7,-0.25,0,1234567.125".repeat(8);
    assert_eq!(numbers::more_numbers(format!("{good}]").as_bytes()), good.len());
    let wrong = ["01", "-", "", "1.", ".5", "--1", "  1", "x", "-01", "1e", "+1", "\n1"];
    // What is wrong comes behind a number.
    let late = [("1.2.3", 4), ("1-2", 2), ("1 ", 2), ("1}", 2)];
    for (wrong, more) in wrong.map(|wrong| (wrong, 0)).into_iter().chain(late) {
        let text = format!("{good},{wrong}{good},1]");
        assert_eq!(numbers::more_numbers(text.as_bytes()), good.len() + more, "{wrong}");
    }
    for rare in
        ["1e5", "-2.5E-10", "12345678901234567890123456789012345678901234567890123456789012345"]
    {
        let text = format!("{good},{rare}{good}");
        assert_eq!(numbers::more_numbers(format!("{text}]").as_bytes()), text.len(), "{rare}");
    }
}

/// Also behind so many plain bytes that they are looked at in large blocks.
#[test]
fn escapes_are_read_wherever_they_stand_in_a_block() {
    for before in (0..140).chain(320..720) {
        for (escape, ok) in [
            ("\\n", true),
            ("\\\\", true),
            ("\\\"", true),
            ("\\\\\\\"\\u00e9\\/", true),
            ("\\x", false),
            ("\\u00g9", false),
            ("\t", false),
        ] {
            let text = format!("\"{}{escape}{escape}{}\"", "a".repeat(before), "b".repeat(70));
            let want = if ok { Ok(text.len() as u64) } else { Err(()) };
            let end = check(text.as_bytes()).map(|tokens| tokens.last().unwrap().end).map_err(drop);
            assert_eq!(end, want, "{text}");
        }
    }
}
