use super::*;
use crate::test;
use crate::wire::model_span::check_in_tests;

/// What came of a body: the model, its span and the facts, or the error's code.
type Outcome = Result<(ModelSpan, FormFacts), Code>;

fn scan_chunks<'a>(boundary: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut scanner = FormScanner::new(boundary.as_bytes(), check_in_tests);
    let mut found = None;
    for chunk in chunks {
        if let Some(model) = scanner.push(chunk).map_err(|error| error.code)? {
            assert!(found.replace(model).is_none(), "reported twice");
        }
    }
    scanner.finish().map_err(|error| error.code)?;
    Ok((found.expect("finish asked for a model"), scanner.facts().clone()))
}

/// The outcome of a body in one piece, which has to be that of every other cut.
fn scan(boundary: &str, body: &[u8]) -> Outcome {
    let whole = scan_chunks(boundary, [body]);
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(scan_chunks(boundary, body.chunks(size)), whole, "chunks of {size}");
    }
    for at in 0..body.len().min(2_000) {
        let (left, right) = body.split_at(at);
        assert_eq!(scan_chunks(boundary, [left, right]), whole, "cut at {at}");
    }
    if let Ok((found, _)) = &whole {
        let span = found.span.start as usize..found.span.end as usize;
        assert_eq!(&body[span], found.id.as_bytes());
        if let Some(digits) = &found.length {
            let digits = std::str::from_utf8(&body[digits.start as usize..digits.end as usize]);
            assert_eq!(digits.unwrap().parse(), Ok(found.id.len()));
        }
    }
    whole
}

fn model(boundary: &str, body: &[u8]) -> Result<String, Code> {
    scan(boundary, body).map(|(found, _)| found.id)
}

/// A form with the boundary `B` and a good `model` part after `before`.
fn with_model(before: &str) -> Vec<u8> {
    format!("{before}--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--B--\r\n")
        .into_bytes()
}

/// A form whose only part has these headers and this data.
fn part(headers: &str, data: &str) -> Vec<u8> {
    format!("--B\r\n{headers}\r\n\r\n{data}\r\n--B--\r\n").into_bytes()
}

const NAMED: &str = "Content-Disposition: form-data; name=\"model\"";
const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"";

#[test]
fn prompts_have_a_length() {
    let disposition = "Content-Disposition: form-data; name=";
    let form = format!(
        "--B\r\n{NAMED}\r\n\r\nm\r\n--B\r\n{disposition}\"prompt\"\r\n\r\nNames: Ada\r\n\
         --B\r\n{disposition}\"prompt\"; filename=\"a\"\r\n\r\nxxxx\r\n--B--\r\n"
    );
    for size in [1, 7, form.len()] {
        let boundary = boundary(b"multipart/form-data; boundary=B").unwrap();
        let mut scanner = FormScanner::new(&boundary, check_in_tests);
        for chunk in form.as_bytes().chunks(size) {
            scanner.push(chunk).unwrap();
        }
        assert_eq!(scanner.facts().prompt, 10);
    }
}

/// Bodies as recorded from the clients named.
#[test]
fn what_clients_send() {
    let openai_python = b"--a5\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--a5\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\nverbose_json\r\n--a5\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\nfalse\r\n--a5\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n--a5\r\nContent-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nsegment\r\n--a5\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b\xc3\xa9%0D%0A\\\\%.wav\"\r\nContent-Type: audio/x-wav\r\n\r\nRIFF\r\n\x00\xff\r\n--a5--\r\n";
    let (found, facts) = scan("a5", openai_python).unwrap();
    assert_eq!(found.id, "whisper-1");
    assert_eq!(
        facts,
        FormFacts { stream: false, response_format: Some("verbose_json".to_owned()), prompt: 0 }
    );

    let openai_node = b"------formdata-undici-07\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%.wav\"\r\nContent-Type: application/octet-stream\r\n\r\nRIFF\xc3\xbf\r\n------formdata-undici-07\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n------formdata-undici-07\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n------formdata-undici-07--\r\n";
    let (found, facts) = scan("----formdata-undici-07", openai_node).unwrap();
    assert_eq!(found.id, "whisper-1");
    assert_eq!(facts, FormFacts { stream: true, response_format: None, prompt: 0 });

    let aiohttp = b"--bd\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\xc3\xa9\r\n--bd--\r\n";
    assert_eq!(model("bd", aiohttp), Ok("mé".to_owned()));

    let dotnet = b"--0f-a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--0f-a\r\nContent-Disposition: form-data; name=file; filename=a.wav; filename*=utf-8''a.wav\r\n\r\nx\r\n--0f-a--\r\n";
    assert_eq!(model("0f-a", dotnet), Ok("m".to_owned()));

    let okhttp = b"--u\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Length: 1\r\n\r\nm\r\n--u--\r\n";
    assert_eq!(model("u", okhttp), Ok("m".to_owned()));

    let leading_crlf = [b"\r\n".as_slice(), okhttp].concat();
    assert_eq!(model("u", &leading_crlf), Ok("m".to_owned()));
    assert_eq!(model("u", okhttp.strip_suffix(b"\r\n").unwrap()), Ok("m".to_owned()));
}

#[test]
fn recorded_upload_with_the_model_after_the_file() {
    let body = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/quirks/cases/f-multipart-model-after-file/request.body"
    ));
    let boundary = boundary(b"multipart/form-data; boundary=B").unwrap();
    assert_eq!(boundary, b"B");
    assert_eq!(model("B", body), Ok("whisper-1".to_owned()));
}

#[test]
fn decoys_in_a_file_are_data() {
    for data in [
        "RIFF --B name=\"model\"",
        "x--B\r\ny--B--",
        "\r\n--\r\n-B\r\n--A",
        "\r\n--C\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nevil",
        "\r\n",
        "",
        "\r",
        "\n",
        "-",
    ] {
        let body = with_model(&format!("--B\r\n{FILE}\r\n\r\n{data}\r\n"));
        assert_eq!(model("B", &body), Ok("m".to_owned()), "{data:?}");
    }
}

#[test]
fn boundaries_that_parsers_read_differently() {
    for data in
        ["\n--B", "x\n--B\r\n", "\r--B", "\r\n--Bx", "\r\n--B \r\n", "\r\n--B\n", "--B", "\n\r--B"]
    {
        let body = with_model(&format!("--B\r\n{FILE}\r\n\r\n{data}\r\n"));
        assert_eq!(model("B", &body), Err(Code::InvalidMultipart), "{data:?}");
    }
    for before in ["preamble\r\n", "\r\n\r\n", "\n", " ", "--C\r\n", "--B\n"] {
        assert_eq!(model("B", &with_model(before)), Err(Code::InvalidMultipart), "{before:?}");
    }
    for (after, want) in [
        ("", Ok(())),
        ("\r\n\r\n", Ok(())),
        (" \t\n", Ok(())),
        ("x", Err(Code::InvalidMultipart)),
        ("--B\r\n", Err(Code::InvalidMultipart)),
        ("\r\n\0", Err(Code::InvalidMultipart)),
    ] {
        let body = [with_model("").as_slice(), after.as_bytes()].concat();
        assert_eq!(scan("B", &body).map(drop), want, "{after:?}");
    }
    assert_eq!(model("B", b"--B-x\r\n"), Err(Code::InvalidMultipart));
    // The boundary overlaps itself.
    let body = part(NAMED, "-----").replace_boundary("--");
    assert_eq!(model("--", &body), Err(Code::InvalidMultipart));
    let body = part(NAMED, "m-----").replace_boundary("--");
    assert_eq!(model("--", &body), Ok("m-----".to_owned()));
}

trait ReplaceBoundary {
    fn replace_boundary(&self, with: &str) -> Vec<u8>;
}

impl ReplaceBoundary for Vec<u8> {
    fn replace_boundary(&self, with: &str) -> Vec<u8> {
        String::from_utf8(self.clone()).unwrap().replace("--B", &format!("--{with}")).into_bytes()
    }
}

#[test]
fn truncated_anywhere() {
    let body = with_model(&format!("--B\r\n{FILE}\r\n\r\nx\r\n"));
    let whole = body.len() - 2;
    for end in 0..whole {
        assert_eq!(
            scan_chunks("B", [&body[..end]]).map(drop),
            Err(Code::InvalidMultipart),
            "{end}"
        );
    }
    assert!(scan_chunks("B", [&body[..whole]]).is_ok());
}

#[test]
fn one_model_exactly() {
    assert_eq!(model("B", b"--B--\r\n"), Err(Code::MissingModel));
    assert_eq!(model("B", &part(FILE, "x")), Err(Code::MissingModel));
    for name in [
        "model",
        "MODEL",
        "Model",
        " model ",
        "model[]",
        "model[0]",
        "mod%65l",
        "%22model%22",
        "model%00x",
        "mo%00del",
        "mod_el",
        "mod\u{200b}el",
        "mo%EF%BB%BFdel",
        "mod\u{e9}l",
        "\u{ff4d}odel",
    ] {
        let again = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nm\r\n");
        assert_eq!(model("B", &with_model(&again)), Err(Code::DuplicateModel), "{name}");
        if name != "model" {
            let headers = format!("Content-Disposition: form-data; name=\"{name}\"");
            assert_eq!(model("B", &part(&headers, "m")), Err(Code::MissingModel), "{name}");
        }
    }
    for name in ["models", "model_id", "remodel", "mod%6", "m%6fdels", "model.x", "mod\u{e9}le", ""]
    {
        let other = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nm\r\n");
        assert_eq!(model("B", &with_model(&other)), Ok("m".to_owned()), "{name}");
    }
}

#[test]
fn part_headers() {
    for (headers, want) in [
        ("content-disposition:form-data;name=model", Ok(())),
        ("Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain", Ok(())),
        ("Content-Disposition: form-data; name=\"model\"\r\nX-Other: a\r\nX-Other: b", Ok(())),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: 8BIT",
            Ok(()),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
            Err(Code::InvalidModel),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Encoding: gzip",
            Err(Code::InvalidModel),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: application/json",
            Err(Code::InvalidModel),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=utf-7",
            Err(Code::InvalidModel),
        ),
        ("Content-Disposition: form-data; name=\"model\"; filename=\"m\"", Err(Code::InvalidModel)),
        ("Content-Disposition: form-data; name=\"model\"; charset=utf-7", Err(Code::InvalidModel)),
        ("Content-Disposition: form-data; name=\"model\"; size=1", Err(Code::InvalidModel)),
        (
            "Content-Disposition: form-data; name=\"model\"; filename*=utf-8''m",
            Err(Code::InvalidModel),
        ),
        ("Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 1", Ok(())),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 2",
            Err(Code::InvalidMultipart),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Length: +1",
            Err(Code::InvalidMultipart),
        ),
        (
            "Content-Disposition: form-data; name=\"model\"\r\nContent-Length:",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: attachment; name=\"model\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"a\"; name=\"model\"", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"a\"; name*=utf-8''model",
            Err(Code::InvalidMultipart),
        ),
        (
            "Content-Disposition: form-data; name*0=\"mod\"; name*1=\"el\"",
            Err(Code::InvalidMultipart),
        ),
        (
            "Content-Disposition: form-data; filename=\"model\"; name=\"a\"",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: form-data; name=\"mo\\del\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"=?UTF-8?Q?model?=\"", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"x=?utf-8?b?bW9kZWw=?=\"",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: form-data; name=\"\u{feff}model\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"a\u{feff}\"", Err(Code::InvalidMultipart)),
        ("Content_Disposition: form-data; name=\"model\"", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"a\"\r\nContent_Disposition: x",
            Err(Code::InvalidMultipart),
        ),
        (
            "Content-Disposition: form-data; name=\"a\"\r\nContent.Type: x",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: form-data; name=\"a;model\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"_charset_\"", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"a\\\"; name=\"model\"",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: form-data", Err(Code::InvalidMultipart)),
        ("Content-Disposition:", Err(Code::InvalidMultipart)),
        ("Content-Type: text/plain", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
            Err(Code::InvalidMultipart),
        ),
        ("Content-Disposition: form-data;\r\n name=\"model\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition : form-data; name=\"model\"", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"model\"\nX: y", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"model\"\rX: y", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"model\"\r\nno colon", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"model\"\r\n--B: x", Err(Code::InvalidMultipart)),
        ("Content-Disposition: form-data; name=\"model\"\r\nX: a\0b", Err(Code::InvalidMultipart)),
        (
            "Content-Disposition: form-data; name=\"f\"\r\nContent-Type: multipart/mixed; boundary=C",
            Err(Code::InvalidMultipart),
        ),
    ] {
        assert_eq!(model("B", &part(headers, "m")).map(drop), want, "{headers:?}");
    }
    assert_eq!(model("B", b"--B\r\n\r\nm\r\n--B--"), Err(Code::InvalidMultipart));
}

#[test]
fn where_a_part_tells_its_length() {
    for (before, digits, after) in [
        ("Content-Length: ", "1", ""),
        ("Content-Type: text/plain\r\ncontent-length:\t", "1", " \t"),
        ("X: 1\r\nCONTENT-LENGTH:", "001", "\r\nY: 1"),
    ] {
        let body = with_model(&format!("--B\r\n{FILE}\r\nContent-Length: 2\r\n\r\nab\r\n"));
        assert_eq!(scan("B", &body).unwrap().0.length, None);
        let body = part(&format!("{NAMED}\r\n{before}{digits}{after}"), "m");
        let span = scan("B", &body).unwrap().0.length.unwrap();
        assert_eq!(&body[span.start as usize..span.end as usize], digits.as_bytes());
        assert!(body[..span.start as usize].ends_with(before.as_bytes()));
    }
}

/// What else a part says of how it is written.
#[test]
fn a_model_that_is_decoded() {
    let with = |header: &str, value: &str| {
        let headers = format!("Content-Disposition: form-data; name=\"model\"\r\n{header}");
        model("B", &part(&headers, value)).map(drop)
    };
    for how in ["7bit", "8bit", "binary", "8BIT", "Binary ", " 7Bit"] {
        let header = format!("Content-Transfer-Encoding:{how}");
        assert_eq!(with(&header, "m"), Ok(()), "{how}");
    }
    for how in [
        "base64",
        "BASE64",
        "quoted-printable",
        "Quoted-Printable",
        "x-uuencode",
        "identity",
        "",
        "base64 (x)",
        "(x) base64",
        "7bit, base64",
        "7bit;base64",
        "\"base64\"",
        "gzip",
    ] {
        let header = format!("Content-Transfer-Encoding: {how}");
        assert_eq!(with(&header, "bQ=="), Err(Code::InvalidModel), "{how}");
    }
    let twice = "Content-Transfer-Encoding: 7bit\r\ncontent-transfer-encoding: base64";
    assert_eq!(with(twice, "bQ=="), Err(Code::InvalidMultipart));
    for parameters in [
        "charset=utf-7",
        "charset=utf-16",
        "charset=\"UTF-16LE\"",
        "charset=cp037",
        "charset=shift_jis",
        "charset=x",
        "charset*=us-ascii''utf-7",
        "charset=utf-8; charset*=us-ascii''utf-7",
        "charset*0=utf; charset*1=-7",
        "format=flowed; delsp=yes",
        "charset=utf-8; x=\"; charset=utf-7\"",
    ] {
        let header = format!("Content-Type: text/plain; {parameters}");
        assert_eq!(with(&header, "+AG0-"), Err(Code::InvalidModel), "{parameters}");
    }
    for charset in ["UTF-8", "\"utf8\"", "US-ASCII", "ISO-8859-1", "windows-1252"] {
        let header = format!("Content-Type: text/plain; charset={charset}");
        assert_eq!(with(&header, "m"), Ok(()), "{charset}");
    }
    let latin = "Content-Type: text/plain; charset=ISO-8859-1";
    assert_eq!(with(latin, "m\u{e9}"), Err(Code::InvalidModel));
    let ascii = "Content-Type: text/plain; charset=us-ascii";
    assert_eq!(with(ascii, "m\u{e9}"), Err(Code::InvalidModel));
    // 8bit and binary change nothing (Dart's http, Apache's HttpClient), but formidable reads a field without a type as Latin-1.
    let utf8 = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding";
    for (header, want) in [
        ("Content-Transfer-Encoding: 8bit", Ok(())),
        (&format!("{utf8}: 8bit"), Ok(())),
        (&format!("{utf8}: binary"), Ok(())),
        (&format!("{utf8}:BINARY"), Ok(())),
        (&format!("{utf8}: 7bit"), Err(Code::InvalidModel)),
        ("Content-Transfer-Encoding: binary", Err(Code::InvalidModel)),
        ("Content-Transfer-Encoding: 7bit", Err(Code::InvalidModel)),
        (&format!("{latin}\r\nContent-Transfer-Encoding: 8bit"), Err(Code::InvalidModel)),
        (&format!("{latin}\r\nContent-Transfer-Encoding: binary"), Err(Code::InvalidModel)),
    ] {
        assert_eq!(with(header, "gr\u{f6}\u{df}e"), want, "{header}");
    }
    // Nobody here reads what a file says.
    let file = format!("--B\r\n{FILE}\r\nContent-Transfer-Encoding: base64\r\n\r\nbQ==\r\n");
    assert_eq!(model("B", &with_model(&file)), Ok("m".to_owned()));
}

#[test]
fn values() {
    let longest = "m".repeat(crate::wire::model_span::MAX_MODEL_ID_BYTES);
    for (value, want) in [
        ("meta-llama/Llama 3.2:é", Ok(())),
        (longest.as_str(), Ok(())),
        ("", Err(Code::InvalidModel)),
        ("a\r\nb", Err(Code::InvalidModel)),
        ("a\r", Err(Code::InvalidModel)),
        ("a\0", Err(Code::InvalidModel)),
        ("a\u{85}", Err(Code::InvalidModel)),
        (&format!("{longest}m"), Err(Code::InvalidModel)),
        (&longest.repeat(3), Err(Code::InvalidModel)),
        // Too long before it is ambiguous, and the other way round.
        (&format!("{longest}{longest}\n--B"), Err(Code::InvalidModel)),
        ("a\n--B", Err(Code::InvalidMultipart)),
    ] {
        assert_eq!(model("B", &part(NAMED, value)).map(drop), want, "{value:?}");
    }
    for (at, bytes) in [(4, &b"\xff"[..]), (5, b"\xc1\xac"), (0, b"\xed\xa0\x80")] {
        let mut name = b"model".to_vec();
        name.splice(at..at, bytes.iter().copied());
        let headers = [b"--B\r\nContent-Disposition: form-data; name=\"", &*name, b"\""].concat();
        let body = [&*headers, b"\r\n\r\nm\r\n--B--\r\n"].concat();
        assert_eq!(model("B", &body), Err(Code::InvalidMultipart), "{name:?}");
    }
    let mut body = part(NAMED, "?");
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xff;
    assert_eq!(model("B", &body), Err(Code::InvalidModel));
}

#[test]
fn limits() {
    let padding = |length: usize| format!("{NAMED}\r\nX: {}", "a".repeat(length));
    let fits = MAX_PART_HEADERS - padding(0).len() - 4;
    assert_eq!(scan_chunks("B", [part(&padding(fits), "m").as_slice()]).map(drop), Ok(()));
    for body in [part(&padding(fits + 1), "m"), part(&padding(fits * 3), "m")] {
        for size in [1, 100, body.len()] {
            assert_eq!(
                scan_chunks("B", body.chunks(size)).map(drop),
                Err(Code::InvalidMultipart),
                "chunks of {size}"
            );
        }
    }

    let field = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n";
    for (parts, want) in [(MAX_PARTS, Ok(())), (MAX_PARTS + 1, Err(Code::InvalidMultipart))] {
        let body = with_model(&field.repeat(parts - 1));
        assert_eq!(scan_chunks("B", [body.as_slice()]).map(drop), want);
    }
}

#[test]
fn facts() {
    for (stream, want) in
        [("true", true), ("True", true), ("1", true), ("false", false), ("", false)]
    {
        let body = with_model(&format!(
            "--B\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\n{stream}\r\n"
        ));
        assert_eq!(scan("B", &body).unwrap().1.stream, want, "{stream}");
    }
    let long = "x".repeat(MAX_FACT + 1);
    for (format, want) in [("srt", Some("srt")), ("", None), (&long, None), (&long.repeat(9), None)]
    {
        let body = with_model(&format!(
            "--B\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\n{format}\r\n"
        ));
        assert_eq!(scan("B", &body).unwrap().1.response_format.as_deref(), want, "{format}");
    }
}

#[test]
fn errors_are_final() {
    let mut scanner = FormScanner::new(b"B", check_in_tests);
    let error = scanner.push(b"nonsense").unwrap_err();
    assert_eq!(scanner.push(b""), Err(error.clone()));
    assert_eq!(scanner.push(&with_model("")), Err(error.clone()));
    assert_eq!(scanner.finish(), Err(error));
}

/// The scanner holds little, whatever the size of the file.
#[test]
fn memory_is_bounded() {
    let mut scanner = FormScanner::new(b"B", check_in_tests);
    scanner.push(format!("--B\r\n{FILE}\r\n\r\n").as_bytes()).unwrap();
    let chunk = [0u8; 16 * 1024];
    for _ in 0..256 {
        scanner.push(&chunk).unwrap();
        let FormState::Data(part) = &scanner.state else { panic!("not in data") };
        assert!(part.tail.capacity() <= 64 && part.value.capacity() == 0);
    }
    scanner.push(with_model("\r\n").as_slice()).unwrap().expect("the model");
    scanner.finish().unwrap();
}

#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::splice::{self, Edit};

    /// Bytes that are rich in what a scanner looks for.
    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"--".to_vec()),
            Just(b"--B-".to_vec()),
            Just(b"B-".to_vec()),
            Just(b"\r\n--B-\r\n".to_vec()),
            Just(NAMED.as_bytes().to_vec()),
            Just(b"\r\n\r\n".to_vec()),
            vec(any::<u8>(), 0..4),
        ];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Data in which no boundary can be found.
    fn file() -> impl Strategy<Value = Vec<u8>> {
        tricky().prop_map(|mut data| {
            data.retain(|byte| *byte != b'B');
            data
        })
    }

    fn cut(body: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| body[pair[0]..pair[1]].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn any_cut_of_anything_gives_the_same(
            body in tricky(),
            framed in any::<bool>(),
            cuts in vec(any::<usize>(), 0..6),
        ) {
            let body = if framed {
                [b"--B-\r\n", NAMED.as_bytes(), b"\r\n\r\n", &body, b"\r\n--B---\r\n"].concat()
            } else {
                body
            };
            let chunks = cut(&body, &cuts);
            prop_assert_eq!(
                scan_chunks("B-", chunks.iter().map(Vec::as_slice)),
                scan_chunks("B-", [body.as_slice()])
            );
        }

        #[test]
        fn the_model_is_found_and_only_it_changes(
            before in vec(file(), 0..3),
            after in vec(file(), 0..3),
            id in "[a-zA-Z0-9/:. é-]{1,40}",
            other in "[a-zA-Z0-9/:. é-]{1,40}",
            cuts in vec(any::<usize>(), 0..6),
        ) {
            let parts = |files: &[Vec<u8>]| -> Vec<u8> {
                files.iter().flat_map(|data| {
                    [b"--B-\r\n", FILE.as_bytes(), b"\r\n\r\n", data.as_slice(), b"\r\n"].concat()
                }).collect()
            };
            let form = |id: &str| [
                parts(&before),
                [b"--B-\r\n", NAMED.as_bytes(), b"\r\n\r\n", id.as_bytes(), b"\r\n"].concat(),
                parts(&after),
                b"--B---\r\n".to_vec(),
            ].concat();
            let body = form(&id);
            let chunks = cut(&body, &cuts);
            let (found, _) = scan_chunks("B-", chunks.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(&found.id, &id);
            let edit = Edit {
                span: found.span.start as usize..found.span.end as usize,
                with: other.clone().into_bytes(),
            };
            prop_assert_eq!(splice::apply(&body, &[edit]), Some(form(&other)));
        }
    }
}
