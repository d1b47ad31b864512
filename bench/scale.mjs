// Loads configurations with many virtual keys into the wasm module, as each of Envoy's VMs does, and prints what it took.
//
//   node --no-liftoff bench/scale.mjs MODULE SECRET CONFIG.json...
//
// SECRET: what each virtual key is, before its number. For each configuration: `mb`, the VM's memory after it (which never
// shrinks, so it is also the most it ever was); `load_ms`; `key_us`, a request's head that is authenticated, over keys from
// everywhere in the list.
import fs from "node:fs";
import { block, start } from "./host.mjs";

const [file, secret, ...configs] = process.argv.slice(2);

async function measure(config) {
  const count = JSON.parse(config).virtual_keys.length;
  let head, status;
  const vm = await start(file, config, (give) => ({
    proxy_get_header_map_pairs: (_, pointer, length) => give(head, pointer, length),
    proxy_send_local_response: (code) => ((status = code), 0),
  }));
  const mb = vm.exports.memory.buffer.byteLength / 1e6;

  const heads = Array.from({ length: 512 }, (_, n) => {
    const number = Math.floor((n * count) / 512) % count;
    const asks = [[":method", "POST"], [":path", "/v1/chat/completions"], ["authorization", `Bearer ${secret}${number}`]];
    return block([...asks, ["content-type", "application/json"], ["content-length", "20"]]);
  });
  let context = 2;
  const ask = () => {
    for (head of heads) {
      vm.exports.proxy_on_context_create(++context, 1);
      // 1: held, since the model is still to come; a refusal would have answered.
      const action = vm.exports.proxy_on_request_headers(context, 5, 0);
      if (action !== 1 || status) throw new Error(`a key is refused with ${status}`);
      vm.exports.proxy_on_delete(context);
    }
  };
  for (let i = 0; i < 20; i++) ask();
  const times = Array.from({ length: 20 }, () => {
    const from = performance.now();
    ask();
    return (performance.now() - from) / heads.length;
  }).sort((a, b) => a - b);
  return { config_mb: config.length / 1e6, mb, load_ms: vm.load_ms, key_us: times[times.length >> 1] * 1000 };
}

const results = [];
for (const config of configs) results.push(await measure(fs.readFileSync(config, "utf8")));
console.log(JSON.stringify(results, null, 1));
