#!/usr/bin/env python3
"""The project's rules that no compiler holds. Prints each breach and exits 1 when there is one.

1. Only src/host/wasm names proxy_wasm: everything else is bytes in, decisions out.
2. A unit test outside src/host also runs as wasm: its module says `use crate::test;` (see
   src/lib.rs), or is native only by a cfg with `not(target_arch = "wasm32")`. Without the line it
   would pass natively and be silently absent from `make wasm-test`.

3. A room of src imports only what the table ROOMS allows it. `error` and `wire` are open to all; tests may use
   anything, but for wire's; command-line programs stand in src/bin, outside of the table.

4. No circle of imports runs through files of different rooms, nor through files of one room. A folder's own file and what
   stands in the folder may name each other.
5. docs/design.md names no path that does not exist.
6. A type's name stands for one type in all of src, so that a search or a trace tells types apart. The two hosts may
   name the same thing alike.

It reads lines as rustfmt lays them out, so it runs after rustfmt's check.
"""

import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"
# Room: (what it may import beside `error` and `wire`, what it holds).
ROOMS = {
    "error": ((), "one error of the gateway's own, in OpenAI's shape"),
    "wire": ((), "bytes read where they stand"),
    "policy": ((), "who may use what"),
    "telemetry": (("policy",), "what is counted and noted"),
    "config": (("policy",), "from the operator's configuration to policy's types, every mistake reported"),
    "repair": (("policy", "telemetry"), "what servers send, made canonical"),
    "dialect": (("repair", "policy", "telemetry"), "other APIs over chat completions"),
    "exchange": (
        ("config", "dialect", "policy", "repair", "telemetry"),
        "the life of one request: events in, steps out",
    ),
    "host": (("config", "exchange", "policy", "repair", "telemetry"), "Envoy's side"),
}
OPEN = {"wire", "error"}
ALONE_IN_TESTS_TOO = {"wire"}
IMPORT = re.compile(r"\bcrate::(\w+)")
NATIVE = re.compile(r'#\[cfg\(.*not\(target_arch = "wasm32"\)')
MODULE = re.compile(r"^( *)(?:pub(?:\([a-z]+\))? )?mod (\w+)( \{|;)$")
USES_TEST = re.compile(r"^ *use crate::(test;|\{.*\btest[,}])")


def attributes(lines, index):
    """The attribute lines right above a line."""
    above = []
    while index and lines[index - 1].lstrip().startswith("#["):
        index -= 1
        above.append(lines[index])
    return above


def is_native(lines, index):
    return any(NATIVE.search(line) for line in attributes(lines, index))


def folder_of_children(path):
    return path.parent if path.name in ("lib.rs", "mod.rs") else path.with_suffix("")


def native_only_paths(path, lines):
    """What `mod name;` under a native-only cfg brings in: a file, or a folder of them."""
    for index, line in enumerate(lines):
        module = MODULE.match(line)
        if module and module[3] == ";" and is_native(lines, index):
            child = folder_of_children(path) / module[2]
            yield child.with_suffix(".rs")
            yield child


def inline_modules(lines):
    """(first line, last line, native only) of each `mod name { … }`, outer ones first."""
    for index, line in enumerate(lines):
        module = MODULE.match(line)
        if module and module[3] == " {":
            end = lines.index(module[1] + "}", index)
            yield index, end, is_native(lines, index)


def tests_absent_from_wasm(lines):
    modules = [(-1, len(lines), False), *inline_modules(lines)]
    told = set()
    for index, line in enumerate(lines):
        if line.strip() != "#[test]":
            continue
        around = [m for m in modules if m[0] < index < m[1]]
        start, end, _ = around[-1]
        if any(native for _, _, native in around) or start in told:
            continue
        if not any(USES_TEST.match(inner) for inner in lines[start + 1 : end]):
            told.add(start)
            yield index + 1


def code_lines(lines):
    """(number, line without comment) outside of test modules."""
    skipped = [(start, end) for start, end, _ in inline_modules(lines) if is_test(lines, start)]
    for index, line in enumerate(lines):
        if not any(start <= index <= end for start, end in skipped):
            yield index + 1, line.split("//")[0]


def is_test(lines, index):
    return any("cfg(" in line and "test" in line for line in attributes(lines, index))


def test_only_paths(path, lines):
    """The files and folders that `mod name;` under cfg(test) brings in."""
    for index, line in enumerate(lines):
        module = MODULE.match(line)
        if module and module[3] == ";" and is_test(lines, index):
            child = folder_of_children(path) / module[2]
            yield child.with_suffix(".rs")
            yield child


def room_of(path):
    return path.relative_to(SRC).parts[0].removesuffix(".rs")


def imports_against_the_table(path, lines):
    room = room_of(path)
    if room not in ROOMS:
        return
    allowed, sentence = ROOMS[room]
    held = enumerate(lines, 1) if room in ALONE_IN_TESTS_TOO else code_lines(lines)
    for number, line in held:
        for other in IMPORT.findall(line):
            if other in ROOMS and other != room and other not in allowed and other not in OPEN:
                beside = " and ".join(allowed) or "nothing"
                yield number, f"{room} ({sentence}) may import {beside} beside error and wire, not {other}"


def paths_of_use(tree):
    """The single paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`."""
    before, brace, inside = tree.partition("{")
    if not brace:
        return [re.sub(r"\bas\b.*", "", tree).strip()]
    found, depth, start = [], 0, 0
    inside = inside[: inside.rindex("}")] + ","
    for at, byte in enumerate(inside):
        depth += (byte == "{") - (byte == "}")
        if byte == "," and depth == 0:
            found += [before.strip() + path for path in paths_of_use(inside[start:at].strip()) if path]
            start = at + 1
    return found


def module_of(path):
    parts = list(path.relative_to(SRC).with_suffix("").parts)
    return tuple(parts[:-1] if parts[-1] in ("mod", "lib") else parts)


def imports(module, text, modules):
    """The modules that a module's text names, each by its longest path that is a file's."""
    text = re.sub(r"//.*", "", text)
    named = [path for use in re.findall(r"\buse ((?:crate|super|self)\b[^;]*);", text) for path in paths_of_use(use)]
    named += re.findall(r"\b(?:crate|super|self)(?:::\w+)+", re.sub(r"\buse [^;]*;", "", text))
    for path in named:
        steps = re.sub(r"\s", "", path).split("::")
        at = [] if steps[0] == "crate" else list(module)
        while steps and steps[0] in ("crate", "super", "self"):
            if steps.pop(0) == "super" and at:
                at.pop()
        target = tuple(at)
        for step in steps:
            if target + (step,) not in modules:
                break
            target += (step,)
        if target and target != module:
            yield target


def circles_between_rooms(texts):
    """A circle for each pair of rooms that has one. A module and what stands inside it are one file here."""
    edges = {module: set(imports(module, text, texts)) & set(texts) for module, text in texts.items()}
    reach = reachable(edges)
    for module, found in reach.items():
        for other in found:
            if module[0] < other[0] and module in reach[other]:
                yield f"{'::'.join(module)} and {'::'.join(other)} import each other"


def reachable(edges):
    """What each of the keys leads to."""
    reach = {}
    for start in edges:
        seen, waiting = set(), list(edges[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += edges[module]
        reach[start] = seen
    return reach


def circles_inside_rooms(texts):
    """A sentence for each two files of one room of which each leads to the other. What a folder shares with its own files is
    one thing."""
    def apart(one, other):
        return one[: len(other)] != other and other[: len(one)] != one

    edges = {
        module: {to for to in imports(module, text, texts) if to in texts and to[0] == module[0] and apart(module, to)}
        for module, text in texts.items()
    }
    reach = reachable(edges)
    for module, found in reach.items():
        for other in edges[module]:
            if module in reach[other]:
                yield f"{'::'.join(module)} imports {'::'.join(other)}, which leads back to it"


TYPE = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|union|trait|type) (\w+)")
HOSTS = {"wasm", "native"}


def names_of_several_types(files):
    """A sentence for each type whose name another type has."""
    known = {}
    for path, lines in files.items():
        parts = path.relative_to(SRC).parts
        host = parts[1] if parts[0] == "host" and parts[1] in HOSTS else None
        for number, line in code_lines(lines):
            definition = TYPE.match(line)
            if not definition:
                continue
            first, first_host = known.setdefault(definition[1], (f"{path.relative_to(SRC.parent)}:{number}", host))
            here = f"{path.relative_to(SRC.parent)}:{number}"
            are_twins = host and first_host and host != first_host
            if here != first and not are_twins:
                yield f"{here}: {definition[1]} is another type's name already ({first})"


PATH_IN_DOCS = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.rs|\w+/)`")


def paths_that_do_not_exist(page):
    for number, line in enumerate(page.read_text().splitlines(), 1):
        for path in PATH_IN_DOCS.findall(line):
            if not ((SRC / path).exists() or (SRC.parent / path).exists()):
                yield number, path


def main():
    files = {path: path.read_text().splitlines() for path in sorted(SRC.rglob("*.rs"))}
    core = {p: lines for p, lines in files.items() if not p.is_relative_to(SRC / "host")}
    native = [n for path, lines in core.items() for n in native_only_paths(path, lines)]
    tests = [n for path, lines in files.items() for n in test_only_paths(path, lines)]
    breaches = []
    for path, lines in files.items():
        is_test_file = any(path.is_relative_to(test) for test in tests)
        if not is_test_file or room_of(path) in ALONE_IN_TESTS_TOO:
            name = path.relative_to(SRC.parent)
            breaches += [f"{name}:{n}: {why}" for n, why in imports_against_the_table(path, lines)]
    for path, lines in core.items():
        name = path.relative_to(SRC.parent)
        for number, line in enumerate(lines, 1):
            if re.search(r"\bproxy_wasm\b", line.split("//")[0]):
                breaches.append(f"{name}:{number}: only src/host/wasm may name proxy_wasm")
        if not any(path.is_relative_to(n) for n in native):
            for number in tests_absent_from_wasm(lines):
                breaches.append(f"{name}:{number}: this test's module lacks `use crate::test;` (src/lib.rs)")
    texts = {
        module_of(path): "\n".join(line for _, line in code_lines(lines))
        for path, lines in files.items()
        if room_of(path) in ROOMS and not any(path.is_relative_to(test) for test in tests)
    }
    breaches += [f"src: {circle}" for circle in circles_between_rooms(texts)]
    breaches += [f"src: {circle}" for circle in circles_inside_rooms(texts)]
    breaches += names_of_several_types(
        {path: lines for path, lines in files.items() if not any(path.is_relative_to(test) for test in tests)}
    )
    page = SRC.parent / "docs" / "design.md"
    breaches += [f"docs/design.md:{n}: {path} does not exist" for n, path in paths_that_do_not_exist(page)]
    for breach in breaches:
        print(f"error: {breach}", file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
