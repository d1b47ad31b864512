// Sends every case of the file that is named on the command line through the official SDK, unmodified,
// and writes what came of it as JSON. tests/envoy/sdk/test_recorded.py runs it and reads the result.
import { readFile } from "node:fs/promises";

import OpenAI from "openai";

import { client } from "./gateway.mjs";

const openai = client();
const OPERATIONS = {
  "/v1/chat/completions": (body, options) => openai.chat.completions.create(body, options),
  "/v1/completions": (body, options) => openai.completions.create(body, options),
  "/v1/embeddings": (body, options) => openai.embeddings.create(body, options),
};

/** What an SDK error says; anything else is a defect of the answer and stays a plain text. */
const failure = (error) => ({
  exception: error.constructor.name,
  said: `${error.message}`,
  ...(error instanceof OpenAI.APIError && { status: error.status ?? null, error: error.error }),
});

const run = async ({ id, path, body }) => {
  const result = { chunks: [] };
  try {
    const answer = await OPERATIONS[path](body, { headers: { "x-case": id } });
    if (body.stream) {
      for await (const chunk of answer) result.chunks.push(chunk);
    } else {
      result.body = answer;
    }
    return result;
  } catch (error) {
    return { ...result, ...failure(error) };
  }
};

const cases = JSON.parse(await readFile(process.argv[2], "utf8"));
const results = {};
for (const one of cases) results[one.id] = await run(one);
process.stdout.write(JSON.stringify(results));
