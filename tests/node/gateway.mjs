// The gateway that a test talks to: its address and keys come from the environment.
import OpenAI from "openai";

const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: tests/envoy/sdk runs these files`);
  return value;
};

export const VK = JSON.parse(setting("GATEWAY_KEYS"));
export const TEXT = setting("GATEWAY_TEXT");

/** An unmodified client with a virtual key. */
export const client = (apiKey = VK.main) =>
  new OpenAI({ baseURL: setting("GATEWAY_URL"), apiKey, maxRetries: 0, timeout: 20_000 });

export const messages = [{ role: "user", content: "hi" }];
