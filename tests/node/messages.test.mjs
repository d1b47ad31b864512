// tests/envoy/sdk/test_messages.py answers: a call when there are tools, thinking when effort is asked for, …
import assert from "node:assert/strict";
import test from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { VK } from "./gateway.mjs";

const baseURL = process.env.GATEWAY_URL.replace(/\/v1$/, "");
const client = (apiKey = VK.main) => new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const ask = { model: "alpha/m", max_tokens: 100, messages: [{ role: "user", content: "hi" }] };
const tools = [
  { name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } } } },
];

test("a message", async () => {
  const reply = await client().messages.create(ask);
  assert.equal(reply.content[0].text, "Hello there.");
  assert.deepEqual([reply.stop_reason, reply.usage.input_tokens], ["end_turn", 11]);
});

test("the stream helper ends with the plain message", async () => {
  const texts = [];
  const stream = client().messages.stream(ask).on("text", (text) => texts.push(text));
  const message = await stream.finalMessage();
  assert.deepEqual(texts, ["Hello", " there."]);
  const plain = await client().messages.create(ask);
  assert.equal(message.content[0].text, plain.content[0].text);
  assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["end_turn", 7]);
});

test("a call in a stream, and its result", async () => {
  const first = await client().messages.stream({ ...ask, tools }).finalMessage();
  assert.equal(first.stop_reason, "tool_use");
  const call = first.content.at(-1);
  assert.deepEqual([call.id, call.input], ["call_a", { city: "Bern" }]);
  const result = { type: "tool_result", tool_use_id: call.id, content: "sunny" };
  const messages = [
    ...ask.messages,
    { role: "assistant", content: first.content },
    { role: "user", content: [result] },
  ];
  const last = await client().messages.create({ ...ask, messages, tools });
  assert.equal(last.content[0].text, "It is sunny.");
});

test("the tool runner", async () => {
  const run = async ({ city }) => `sunny in ${city}`;
  const runner = client().beta.messages.toolRunner({ ...ask, tools: [{ ...tools[0], run, parse: (input) => input }] });
  const last = await runner;
  assert.equal(last.content[0].text, "It is sunny in Bern.");
});

test("models", async () => {
  // Not of `alpha`, which is asked for chats alone here: its list is fetched where no other test has just done so.
  const { bound } = VK;
  const ids = [];
  for await (const model of client(bound).models.list({ limit: 1 })) ids.push(model.id);
  assert.ok(ids.length > 1);
  assert.equal((await client(bound).models.retrieve(ids[0])).id, ids[0]);
});

for (const [status, error, type] of [
  [400, Anthropic.BadRequestError, "invalid_request_error"],
  [404, Anthropic.NotFoundError, "not_found_error"],
  [429, Anthropic.RateLimitError, "rate_limit_error"],
  [529, Anthropic.InternalServerError, "overloaded_error"],
]) {
  test(`a typed error: ${status}`, async () => {
    const messages = [{ role: "user", content: `fail ${status}` }];
    await assert.rejects(client().messages.create({ ...ask, messages }), (raised) => {
      assert.ok(raised instanceof error, raised.constructor.name);
      assert.equal(raised.error.error.type, type);
      return true;
    });
  });
}
