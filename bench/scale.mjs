// Loads configurations with many virtual keys into the wasm module, as each of Envoy's VMs does, and prints what it took.
//
//   node bench/scale.mjs MODULE COUNT...
//
// For each count: `mb`, the VM's memory after it (which never shrinks, so it is also the most it ever was); `load_ms`;
// `key_us`, a request's head that is authenticated, over keys from everywhere in the list.
import fs from "node:fs";
import { createHash } from "node:crypto";

const text = new TextEncoder();
const [file, ...counts] = process.argv.slice(2);

const secret = (number) => `vk-scale-${number}`;

// Ten aliases and five entries a key, as an operator would give them: the same for all, but for one of each.
export function configuration(count) {
  const shared = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`alias-${n}`, `groq/model-${n}`]));
  const virtual_keys = Array.from({ length: count }, (_, number) => ({
    id: `team-${number}`,
    key_sha256: createHash("sha256").update(secret(number)).digest("hex"),
    providers: ["groq", "vllm"],
    models_allowed: ["team-0/*", "team-1/*", "groq/llama-3*", "groq/m", `own-${number}/*`],
    model_aliases: { ...shared, [`own-${number}`]: "groq/llama-3.3-70b" },
  }));
  return {
    virtual_keys,
    providers: [
      { name: "groq", base_url: "http://api.groq.test/openai/v1", auth: { key: "sk" } },
      { name: "vllm", kind: "vllm", auth: { mode: "none" } },
    ],
  };
}

function block(pairs) {
  const parts = pairs.flat().map((part) => text.encode(part));
  const out = new Uint8Array(4 + parts.reduce((sum, part) => sum + part.length + 5, 0));
  const view = new DataView(out.buffer);
  view.setUint32(0, pairs.length, true);
  parts.forEach((part, i) => view.setUint32(4 + 4 * i, part.length, true));
  let at = 4 + 4 * parts.length;
  for (const part of parts) {
    out.set(part, at);
    at += part.length + 1;
  }
  return out;
}

async function measure(count) {
  const buffers = { 7: text.encode(JSON.stringify(configuration(count))) };
  let head, exports;
  const give = (data, pointer, length) => {
    if (data === undefined) return 1;
    const address = exports.proxy_on_memory_allocate(data.length);
    new Uint8Array(exports.memory.buffer).set(data, address);
    const view = new DataView(exports.memory.buffer);
    view.setUint32(pointer, address, true);
    view.setUint32(length, data.length, true);
    return 0;
  };
  let status;
  const known = {
    proxy_get_buffer_bytes: (kind, start, size, pointer, length) =>
      give(buffers[kind]?.subarray(start, start + size), pointer, length),
    proxy_get_header_map_pairs: (_, pointer, length) => give(head, pointer, length),
    proxy_get_property: () => 1,
    proxy_send_local_response: (code) => ((status = code), 0),
    proxy_log: (level, at, length) => {
      if (level > 2) console.error(Buffer.from(exports.memory.buffer, at, length).toString());
      return 0;
    },
    random_get: (pointer, size) => (crypto.getRandomValues(new Uint8Array(exports.memory.buffer, pointer, size)), 0),
  };
  const module = await WebAssembly.compile(fs.readFileSync(file));
  const imports = {};
  for (const { module: space, name } of WebAssembly.Module.imports(module))
    (imports[space] ??= {})[name] = known[name] ?? (() => 0);
  ({ exports } = await WebAssembly.instantiate(module, imports));
  exports._initialize?.();
  exports.proxy_on_context_create(1, 0);
  exports.proxy_on_vm_start(1, 0);
  const began = performance.now();
  if (!exports.proxy_on_configure(1, buffers[7].length)) throw new Error(`${count} keys are refused`);
  const load_ms = performance.now() - began;
  const mb = exports.memory.buffer.byteLength / 1e6;

  const heads = Array.from({ length: 512 }, (_, n) => {
    const number = Math.floor((n * count) / 512) % count;
    const asks = [[":method", "POST"], [":path", "/v1/chat/completions"], ["authorization", `Bearer ${secret(number)}`]];
    return block([...asks, ["content-type", "application/json"], ["content-length", "20"]]);
  });
  let context = 2;
  const ask = () => {
    for (head of heads) {
      exports.proxy_on_context_create(++context, 1);
      // 1: held, since the model is still to come; a refusal would have answered.
      const action = exports.proxy_on_request_headers(context, 5, 0);
      if (action !== 1 || status) throw new Error(`a key is refused with ${status}`);
      exports.proxy_on_delete(context);
    }
  };
  for (let i = 0; i < 20; i++) ask();
  const times = Array.from({ length: 20 }, () => {
    const from = performance.now();
    ask();
    return (performance.now() - from) / heads.length;
  }).sort((a, b) => a - b);
  return { config_mb: buffers[7].length / 1e6, mb, load_ms, key_us: times[times.length >> 1] * 1000 };
}

const results = {};
for (const count of counts.map(Number)) results[count] = await measure(count);
console.log(JSON.stringify(results, null, 1));
