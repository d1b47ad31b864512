// test_responses_sdk.py answers: a call when there are tools, reasoning when effort is asked for, …
import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

import { VK, client } from "./gateway.mjs";

const model = "alpha/m";
const input = "hi";
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", name: "get_weather", strict: true, parameters }];

test("a response", async () => {
  const reply = await client().responses.create({ model, input });
  assert.equal(reply.output_text, "Hello there.");
  assert.equal(reply.status, "completed");
  assert.equal(reply.usage.total_tokens, 18);
});

test("a streamed response", async () => {
  const events = [];
  for await (const event of await client().responses.create({ model, input, stream: true })) {
    events.push(event);
  }
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.deepEqual(deltas.map((event) => event.delta), ["Hello", " there."]);
  assert.equal(events.at(-1).type, "response.completed");
});

test("the stream helper ends with the whole response", async () => {
  const final = await client().responses.stream({ model, input }).finalResponse();
  assert.equal(final.output_text, "Hello there.");
});

test("a structured response is parsed", async () => {
  const schema = {
    type: "object",
    properties: { city: { type: "string" }, inhabitants: { type: "integer" } },
    required: ["city", "inhabitants"],
    additionalProperties: false,
  };
  const text = { format: { type: "json_schema", name: "capital", strict: true, schema } };
  const reply = await client().responses.parse({ model, input, text });
  assert.deepEqual(reply.output_parsed, { city: "Bern", inhabitants: 137000 });
});

test("reasoning", async () => {
  const reply = await client().responses.create({ model, input, reasoning: { effort: "low" } });
  assert.deepEqual(reply.output.map((item) => item.type), ["reasoning", "message"]);
  assert.equal(reply.output[0].content[0].text, "Six by seven.");
});

test("a limit", async () => {
  const reply = await client().responses.create({ model, input, max_output_tokens: 16 });
  assert.equal(reply.status, "incomplete");
  assert.deepEqual(reply.incomplete_details, { reason: "max_output_tokens" });
});

for (const stream of [false, true]) {
  test(`a function call in two turns${stream ? ", streaming" : ""}`, async () => {
    const turn = (items) => {
      const body = { model, input: items, tools };
      if (!stream) return client().responses.create(body);
      return client().responses.stream(body).finalResponse();
    };
    const items = [{ role: "user", content: "How is Bern?" }];
    const [call] = (await turn(items)).output;
    assert.equal(call.type, "function_call");
    assert.equal(call.name, "get_weather");
    assert.deepEqual(JSON.parse(call.arguments), { city: "Bern" });
    items.push(call, { type: "function_call_output", call_id: call.call_id, output: "sunny" });
    assert.equal((await turn(items)).output_text, "It is sunny.");
  });
}

const failures = [
  [OpenAI.AuthenticationError, "wrong-key", {}, "invalid_api_key"],
  [OpenAI.PermissionDeniedError, VK.none, {}, "model_not_allowed"],
  [OpenAI.NotFoundError, VK.main, { model: "other/none" }, "model_not_found"],
  [OpenAI.BadRequestError, VK.main, { previous_response_id: "resp_1" }, "unsupported_parameter"],
];

for (const [kind, key, fields, code] of failures) {
  for (const stream of [false, true]) {
    test(`${code} is a ${kind.name}${stream ? ", streaming" : ""}`, async () => {
      const call = client(key).responses.create({ model, input, stream, ...fields });
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.code, code);
        return true;
      });
    });
  }
}
