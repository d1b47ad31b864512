#!/usr/bin/env python3
"""`make run`: a mock upstream and Envoy with the filter, up until Ctrl-C."""

import os
import sys
import time

from mock_upstream import BUSY
from stack import MODULE, ROOT, Stack, StackError, as_command, paint, ports_from_environment

TEAM = "vk-demo-team"
LIMITED = "vk-demo-limited"
WORDS = '"messages":[{"role":"user","content":"hello"}]'


def curl(url, path, key, body=None, options="-s"):
    """A command for a POSIX shell that works from any folder."""
    line = f"curl {options} {url}/v1/{path} -H 'Authorization: Bearer {key}'"
    if body:
        line += f" \\\n  -H 'Content-Type: application/json' -d '{body}'"
    return line


def commands(url):
    """What to try: a title and a command each."""
    upload = (
        f"printf 'no real audio' | {curl(url, 'audio/transcriptions', TEAM)}"
        " \\\n  -F model=vllm/mock-whisper -F 'file=@-;filename=hello.wav'"
    )
    busy = f'{{"model":"fast","messages":[{{"role":"user","content":"{BUSY}"}}]}}'
    fallback = (
        "Fallback: fast is the hosted API, which says 429 to this, and then vLLM (see x-langwatch-attempts)",
        curl(url, "chat/completions", TEAM, busy, "-si"),
    )
    return [
        ("A chat", curl(url, "chat/completions", TEAM, f'{{"model":"vllm/mock-chat",{WORDS}}}')),
        (
            "The same as a stream",
            curl(url, "chat/completions", TEAM, f'{{"model":"vllm/mock-chat","stream":true,{WORDS}}}', "-sN"),
        ),
        (
            "An alias: gpt-4o is hosted/swift-70b, which wants a key that the client does not have",
            curl(url, "chat/completions", TEAM, f'{{"model":"gpt-4o",{WORDS}}}'),
        ),
        fallback,
        (
            "Denied: this key may not use that model",
            curl(url, "chat/completions", LIMITED, f'{{"model":"hosted/swift-70b",{WORDS}}}', "-si"),
        ),
        (
            "The Responses API, of a server that has only chat completions",
            curl(url, "responses", TEAM, '{"model":"vllm/mock-chat","input":"hello"}'),
        ),
        ("Embeddings", curl(url, "embeddings", TEAM, '{"model":"vllm/mock-embed","input":["one","two"]}')),
        ("An upload", upload),
        ("The models that a key may use", curl(url, "models", LIMITED)),
        (
            "An error that the server hides in a 200, repaired",
            curl(url, "chat/completions", TEAM, f'{{"model":"vllm/error-in-200",{WORDS}}}', "-si"),
        ),
    ]


SDK = """\
from openai import OpenAI  # pip install openai

client = OpenAI(base_url="{url}/v1", api_key="{key}")
answer = client.chat.completions.create(
    model="gpt-4o-mini", messages=[{{"role": "user", "content": "hello"}}]
)
print(answer.choices[0].message.content)"""


def show(stack):
    started = os.environ.get("STARTED", "")
    after = f" {time.time() - int(started):.0f} s after make run" if started.isdigit() else ""
    print(paint("1;32", f"The gateway is up on {stack.url}/v1{after}: the first curl below works now"))
    print(f"  mock upstream  http://127.0.0.1:{stack.ports['mock upstream']}/v1")
    hosted = f"http://127.0.0.1:{stack.ports['hosted API']}/hosted/v1"
    print(f"  hosted API     {hosted}   an outage: kill {stack.hosted.pid} (fast goes on with vLLM)")
    print(f"  Envoy's admin  http://127.0.0.1:{stack.ports['admin']}   log: {stack.log.relative_to(ROOT)}")
    module = MODULE.relative_to(ROOT) if MODULE.is_relative_to(ROOT) else MODULE
    print(f"  configuration  envoy/envoy.yaml   module: {module}\n")
    for title, command in commands(stack.url):
        print(f"{paint('1', f'# {title}')}\n{command}\n")
    print(f"{paint('1', '# An SDK')}\n{SDK.format(url=stack.url, key=TEAM)}\n")
    print(paint("2", "Below: Envoy's access log, a line a request. Ctrl-C stops everything."), flush=True)


def main():
    print("Starting the mock upstreams and Envoy …", file=sys.stderr)
    with as_command(), Stack(ports_from_environment()) as stack:
        show(stack)
        status = stack.envoy.wait()
        raise StackError(f"Envoy stopped with status {status}:\n{stack.last_log_lines()}")


if __name__ == "__main__":
    main()
