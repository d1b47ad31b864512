// A filter module in a VM, and around it a host that does nothing but what a module asks of Envoy.
import fs from "node:fs";

const text = new TextEncoder();

// A header map as the ABI has it: a count, the lengths of each pair, then the pairs, each with a NUL.
export function block(pairs) {
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

const CONFIGURATION = 7; // WasmBufferType

// Starts the module in `file` with the JSON text `config`.
//
// `more` gets `give(bytes, pointer, length)`, which hands bytes to the module, and `name(at, length)`, which reads a text of
// its memory; it returns further host functions. What the result holds: `exports`; `buffers`, what the module may read of
// bodies, by kind; `calls`, how many host functions it has called; `load_ms`, what the configuration took.
export async function start(file, config, more) {
  const vm = { buffers: { [CONFIGURATION]: text.encode(config) }, calls: 0 };
  let memory, bytes, view;
  const look = () => {
    if (bytes?.buffer !== memory.buffer) {
      bytes = new Uint8Array(memory.buffer);
      view = new DataView(memory.buffer);
    }
  };
  const give = (data, pointer, length) => {
    if (data === undefined) return 1; // not found
    const address = vm.exports.proxy_on_memory_allocate(data.length);
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
        give(vm.buffers[kind]?.subarray(start, start + size), pointer, length),
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
      proxy_log: (level, at, length) => {
        if (level > 2) console.error(name(at, length));
        return 0;
      },
      ...more(give, name),
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
      vm.calls += 1;
      return call(...args);
    };
  }
  ({ exports: vm.exports } = await WebAssembly.instantiate(module, imports));
  memory = vm.exports.memory;
  vm.exports._initialize?.();
  vm.exports.proxy_on_context_create(1, 0);
  vm.exports.proxy_on_vm_start(1, 0);
  const began = performance.now();
  if (!vm.exports.proxy_on_configure(1, vm.buffers[CONFIGURATION].length))
    throw new Error(`${file} refuses its configuration`);
  vm.load_ms = performance.now() - began;
  return vm;
}
