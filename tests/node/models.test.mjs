import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

import { VK, client } from "./gateway.mjs";

test("the list", async () => {
  const { data, response } = await client().models.list().withResponse();
  const ids = data.data.map((model) => model.id);
  assert.deepEqual(ids, ["smart", "alpha/a-1", "alpha/org/deep/m", "beta/b-1"]);
  for (const model of data.data) {
    assert.equal(model.object, "model");
    assert.ok(Number.isInteger(model.created));
    assert.ok(model.owned_by);
  }
  assert.equal(response.headers.get("x-langwatch-models-incomplete"), null);
});

test("the list is one page", async () => {
  const ids = [];
  for await (const model of client().models.list()) ids.push(model.id);
  assert.equal(ids.length, 4);
});

test("one model, by its id and by an alias", async () => {
  for (const id of ["alpha/org/deep/m", "org/deep/m", "smart"]) {
    const model = await client().models.retrieve(id);
    assert.equal(model.id, id);
    assert.equal(model.object, "model");
  }
});

test("every model of the list can be retrieved", async () => {
  for await (const model of client().models.list()) {
    assert.deepEqual(await client().models.retrieve(model.id), model);
  }
});

for (const id of ["alpha/none", "beta/b-1", "beta%2Fb-1", "smart"]) {
  test(`${id} is not there for a key that may not use it`, async () => {
    await assert.rejects(client(VK.allow).models.retrieve(id), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, `${error.constructor.name}`);
      assert.equal(error.code, "model_not_found");
      return true;
    });
  });
}

test("a key that may use no model sees none", async () => {
  assert.deepEqual((await client(VK.none).models.list()).data, []);
});

test("no list at all is an InternalServerError", async () => {
  await assert.rejects(client(VK.future).models.list(), OpenAI.InternalServerError);
});
