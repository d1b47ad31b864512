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

const SLICE_MS = 3;
const SLICES = 60;
const text = new TextEncoder();

// A header map as the ABI has it: a count, the lengths of each pair, then the pairs, each with a NUL.
function block(pairs) {
  const encoded = pairs.map((pair) => pair.map((part) => text.encode(part)));
  const size = encoded.reduce((sum, [name, value]) => sum + name.length + value.length + 10, 4);
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  view.setUint32(0, encoded.length, true);
  let at = 4;
  for (const part of encoded.flat()) {
    view.setUint32(at, part.length, true);
    at += 4;
  }
  for (const part of encoded.flat()) {
    out.set(part, at);
    at += part.length + 1;
  }
  return out;
}

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
  const buffers = { 7: text.encode(JSON.stringify(config)) };
  let memory, exports, bytes, view;
  let calls = 0;

  const look = () => {
    if (bytes?.buffer !== memory.buffer) {
      bytes = new Uint8Array(memory.buffer);
      view = new DataView(memory.buffer);
    }
  };
  const give = (data, pointer, length) => {
    if (data === undefined) return 1; // not found
    const address = exports.proxy_on_memory_allocate(data.length);
    look();
    bytes.set(data, address);
    view.setUint32(pointer, address, true);
    view.setUint32(length, data.length, true);
    return 0;
  };
  const name = (at, length) => {
    look();
    return Buffer.from(bytes.buffer, at, length).toString();
  };
  const known = {
    env: {
      proxy_get_buffer_bytes: (kind, start, size, pointer, length) =>
        give(buffers[kind]?.subarray(start, start + size), pointer, length),
      proxy_get_header_map_pairs: (map, pointer, length) => give(maps[map], pointer, length),
      proxy_get_header_map_value: (map, at, size, pointer, length) =>
        give(values[map].get(name(at, size)), pointer, length),
      proxy_get_property: () => 1,
      proxy_get_current_time_nanoseconds: (pointer) => {
        look();
        view.setBigUint64(pointer, 1_763_731_200_000_000_000n, true);
        return 0;
      },
      proxy_get_log_level: (pointer) => {
        look();
        view.setUint32(pointer, 3, true);
        return 0;
      },
    },
    wasi_snapshot_preview1: {
      environ_sizes_get: (count, size) => {
        look();
        view.setUint32(count, 0, true);
        view.setUint32(size, 0, true);
        return 0;
      },
      random_get: (pointer, size) => {
        look();
        crypto.getRandomValues(bytes.subarray(pointer, pointer + size));
        return 0;
      },
    },
  };
  const module = await WebAssembly.compile(fs.readFileSync(file));
  const imports = {};
  for (const { module: space, name: wanted } of WebAssembly.Module.imports(module)) {
    const call = known[space]?.[wanted] ?? (() => 0);
    (imports[space] ??= {})[wanted] = (...args) => {
      calls += 1;
      return call(...args);
    };
  }
  ({ exports } = await WebAssembly.instantiate(module, imports));
  memory = exports.memory;
  exports._initialize?.();
  exports.proxy_on_context_create(1, 0);
  exports.proxy_on_vm_start(1, 0);
  if (!exports.proxy_on_configure(1, buffers[7].length)) throw new Error(`${file} refuses its configuration`);

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
  calls = 0;
  exchange();
  return { exchange, calls, microseconds: [] };
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
