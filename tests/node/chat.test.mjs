import assert from "node:assert/strict";
import test from "node:test";

import { TEXT, VK, client, messages } from "./gateway.mjs";

test("plain chat", async () => {
  const reply = await client().chat.completions.create({ model: "alpha/org/m", messages });
  assert.equal(reply.choices[0].message.content, TEXT);
  assert.equal(reply.usage.total_tokens, 5);
});

test("streamed chat", async () => {
  const create = { model: "beta/m", messages, stream: true };
  const pieces = [];
  for await (const chunk of await client().chat.completions.create(create)) {
    pieces.push(chunk.choices[0].delta.content ?? "");
  }
  assert.equal(pieces.join(""), TEXT);
  assert.equal(pieces.length, 3);
});

test("the stream helper ends with the whole message", async () => {
  const stream = client().chat.completions.stream({ model: "alpha/m", messages });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, TEXT);
});

test("an alias, and the headers that say where it led", async () => {
  const { data, response } = await client(VK.aliases)
    .chat.completions.create({ model: "smart", messages })
    .withResponse();
  assert.equal(data.choices[0].message.content, TEXT);
  assert.equal(response.headers.get("x-langwatch-provider"), "beta");
  assert.equal(response.headers.get("x-langwatch-model"), "own-smart");
  assert.ok(response.headers.get("x-langwatch-request-id"));
});

test("embeddings, whatever encoding is asked for", async () => {
  for (const encoding_format of ["float", "base64", undefined]) {
    const reply = await client().embeddings.create({ model: "alpha/e", input: "a", encoding_format });
    assert.equal(reply.data.length, 1);
  }
});

test("calls beside each other", async () => {
  const ask = (name) => client().chat.completions.create({ model: `${name}/m`, messages });
  const replies = await Promise.all(["alpha", "beta", "gamma", "delta", "vllm"].map(ask));
  for (const reply of replies) assert.equal(reply.choices[0].message.content, TEXT);
});
