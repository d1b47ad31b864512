// What Node reads: JSON.parse and, of forms, what the argument names: its own fetch (undici), busboy or formidable. The
// protocol is that of scan/src/main.rs.
import { readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import busboy from 'busboy';
import { Formidable } from 'formidable';

const headers = { 'content-type': 'multipart/form-data; boundary=XB' };

async function byFetch(body) {
  const form = await new Response(body, { headers }).formData();
  return form.getAll('model').filter((value) => typeof value === 'string');
}

function byBusboy(body) {
  return new Promise((resolve, reject) => {
    const found = [];
    const form = busboy({ headers });
    form.on('field', (name, value) => name === 'model' && found.push(value));
    form.on('file', (_, file) => file.resume());
    form.on('error', reject);
    form.on('close', () => resolve(found));
    form.end(body);
  });
}

async function byFormidable(body) {
  const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  const form = new Formidable({
    fileWriteStreamHandler: sink,
    allowEmptyFiles: true,
    minFileSize: 0,
  });
  const request = Readable.from([body]);
  request.headers = { ...headers, 'content-length': String(body.length) };
  const [fields] = await form.parse(request);
  return Object.hasOwn(fields, 'model') ? fields.model : [];
}

const inForm = { undici: byFetch, busboy: byBusboy, formidable: byFormidable }[process.argv[2]];

const input = readFileSync(0);
const lines = [];
let at = 0;
while (at < input.length) {
  const end = input.indexOf(10, at);
  const [kind, length] = input.toString('latin1', at, end).split(' ');
  const body = input.subarray(end + 1, end + 1 + Number(length));
  at = end + 1 + Number(length);
  let id = null;
  try {
    if (kind === 'J') {
      id = JSON.parse(body.toString('utf8')).model ?? null;
    } else {
      const all = await inForm(body);
      id = all.length > 1 ? all.at(-1) : (all[0] ?? null);
    }
  } catch {
    id = null;
  }
  lines.push(JSON.stringify(typeof id === 'string' ? id : null));
}
process.stdout.write(lines.join('\n') + '\n');
