import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

import { VK, client, messages } from "./gateway.mjs";

const cases = [
  [OpenAI.AuthenticationError, "wrong-key", "alpha/m", "invalid_api_key"],
  [OpenAI.PermissionDeniedError, VK.none, "alpha/m", "model_not_allowed"],
  [OpenAI.PermissionDeniedError, VK.revoked, "alpha/m", "virtual_key_revoked"],
  [OpenAI.PermissionDeniedError, VK.expired, "alpha/m", "virtual_key_expired"],
  [OpenAI.NotFoundError, VK.main, "other/none", "model_not_found"],
  [OpenAI.BadRequestError, VK.main, null, "invalid_model"],
];

for (const [kind, key, model, code] of cases) {
  for (const stream of [false, true]) {
    test(`${code} is a ${kind.name}${stream ? ", streaming" : ""}`, async () => {
      const call = client(key).chat.completions.create({ model, messages, stream });
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.code, code);
        assert.ok(error.type);
        assert.ok(error.error.message);
        return true;
      });
    });
  }
}

test("an operation that the provider lacks is a BadRequestError", async () => {
  const call = client().images.generate({ model: "vllm/m", prompt: "a cat" });
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, "unsupported_operation");
    return true;
  });
});

test("a provider that is down is an InternalServerError", async () => {
  const call = client().chat.completions.create({ model: "down/m", messages });
  await assert.rejects(call, OpenAI.InternalServerError);
});
