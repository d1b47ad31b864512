import assert from "node:assert/strict";
import test from "node:test";

import { toFile } from "openai";

import { TEXT, client } from "./gateway.mjs";

const audio = Buffer.alloc(300_000, "--\r\nB\u00ff");

test("a transcription", async () => {
  const file = await toFile(audio, "speech.wav");
  const reply = await client().audio.transcriptions.create({ model: "alpha/whisper-1", file });
  assert.equal(reply.text, TEXT);
});

test("a transcription with the file first", async () => {
  const file = await toFile(audio, "speech.wav");
  const reply = await client().audio.transcriptions.create({ file, model: "alpha/whisper-1" });
  assert.equal(reply.text, TEXT);
});

test("a translation", async () => {
  const file = await toFile(audio, "speech.wav");
  const reply = await client().audio.translations.create({ file, model: "vllm/whisper-1" });
  assert.equal(reply.text, TEXT);
});
