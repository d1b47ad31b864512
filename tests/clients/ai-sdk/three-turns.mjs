// Three turns with a reasoning model and a tool, on the Responses API, with nothing stored: each turn sends
// the whole conversation again. Prints what the SDK made of each, as JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { BASE_URL, API_KEY, MODEL, STREAM } = process.env;
const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});

const messages = [];
const turns = [];
for (const text of ["one", "two", "three"]) {
  messages.push({ role: "user", content: text });
  const asked = {
    model: openai.responses(MODEL),
    messages,
    tools: { weather },
    stopWhen: stepCountIs(5),
    maxRetries: 0,
    providerOptions: { openai: { store: false, forceReasoning: true, reasoningSummary: "auto" } },
  };
  const result = STREAM ? streamText(asked) : await generateText(asked);
  const steps = await result.steps;
  messages.push(...(await result.response).messages);
  turns.push({
    text: await result.text,
    reasoning: steps.map((step) => step.reasoningText ?? null),
    results: steps.flatMap((step) => step.toolResults.map((one) => one.output)),
    warnings: steps.flatMap((step) => step.warnings ?? []),
  });
}
console.log(JSON.stringify(turns));
