// Runs whole exchanges through filter modules with a host that does nothing, and prints what each took.
//
//   node --no-liftoff bench/vm.mjs INPUT.json
//
// INPUT: {"modules": {name: {"file", "config"}}, "rows": {name: {"request", "response"}}}; heads are lists
// of pairs, bodies lists of base64 pieces. The modules take turns in slices of a few milliseconds, so that a
// machine that grows slower does so for all of them.
//
// --no-liftoff is how Envoy runs V8 (proxy-wasm-cpp-host, src/v8/v8.cc): all code is optimised before it
// runs, and no call is inlined on what an earlier run has shown.
import fs from "node:fs";
import { block, start } from "./host.mjs";

const SLICE_MS = 3;
const SLICES = 60;
const text = new TextEncoder();

// A body in one piece of memory, and where each of its pieces ends.
function body({ body: pieces }) {
  let end = 0;
  const parts = pieces.map((piece) => Buffer.from(piece, "base64"));
  return { bytes: new Uint8Array(Buffer.concat(parts)), ends: parts.map((part) => (end += part.length)) };
}

async function host(file, config, row) {
  const maps = { 0: block(row.request.head), 2: block(row.response.head) };
  const values = Object.fromEntries(
    [[0, row.request], [2, row.response]].map(([map, { head }]) => [map, new Map(head.map(([n, v]) => [n, text.encode(v)]))]),
  );
  const bodies = { 0: body(row.request), 1: body(row.response) };
  const vm = await start(file, JSON.stringify(config), (give, name) => ({
    proxy_get_header_map_pairs: (map, pointer, length) => give(maps[map], pointer, length),
    proxy_get_header_map_value: (map, at, size, pointer, length) =>
      give(values[map].get(name(at, size)), pointer, length),
    proxy_log: () => 0,
  }));
  const { exports, buffers } = vm;

  // Each piece in a call of its own, and the end in another: as Envoy does for HTTP/1. What was not let go
  // of is shown again with what comes next.
  const stream = (context, callback, kind) => {
    const { bytes: whole, ends } = bodies[kind];
    let from = 0;
    for (const end of ends) {
      buffers[kind] = whole.subarray(from, end);
      if (callback(context, end - from, 0) === 0) from = end;
    }
    buffers[kind] = whole.subarray(from);
    if (callback(context, whole.length - from, 1) !== 0) throw new Error(`${file} holds a body at its end`);
  };
  let next = 2;
  const exchange = () => {
    const context = next++;
    exports.proxy_on_context_create(context, 1);
    exports.proxy_on_request_headers(context, row.request.head.length, 0);
    stream(context, exports.proxy_on_request_body, 0);
    exports.proxy_on_response_headers(context, row.response.head.length, 0);
    stream(context, exports.proxy_on_response_body, 1);
    exports.proxy_on_log?.(context);
    exports.proxy_on_done?.(context);
    exports.proxy_on_delete(context);
  };
  for (let i = 0; i < 20; i++) exchange();
  vm.calls = 0;
  exchange();
  return { exchange, calls: vm.calls, microseconds: [] };
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

async function measure(modules, row) {
  const hosts = {};
  for (const [key, { file, config }] of Object.entries(modules)) hosts[key] = await host(file, config, row);
  const all = Object.values(hosts);
  const time = (one, count) => {
    const began = performance.now();
    for (let i = 0; i < count; i++) one.exchange();
    return (performance.now() - began) / count;
  };
  const counts = new Map(all.map((one) => [one, Math.max(1, Math.round(SLICE_MS / time(one, 5)))]));
  for (let slice = 0; slice < SLICES; slice++) {
    for (let i = 0; i < all.length; i++) {
      const one = all[(slice + i) % all.length];
      one.microseconds.push(time(one, counts.get(one)) * 1000);
    }
  }
  const [base] = all;
  const told = ([key, { calls, microseconds }]) => [
    key,
    {
      us: median(microseconds),
      host_calls: calls,
      times_first: median(microseconds.map((value, slice) => value / base.microseconds[slice])),
    },
  ];
  return Object.fromEntries(Object.entries(hosts).map(told));
}

const { modules, rows } = JSON.parse(fs.readFileSync(process.argv[2]));
const results = {};
for (const [key, row] of Object.entries(rows)) results[key] = await measure(modules, row);
console.log(JSON.stringify(results));
