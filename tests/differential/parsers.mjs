// What Node reads: JSON.parse, and its own fetch (undici) of forms. The protocol is that of scan/src/main.rs.
import { readFileSync } from 'node:fs';

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
      const headers = { 'content-type': 'multipart/form-data; boundary=XB' };
      const form = await new Response(body, { headers }).formData();
      const all = form.getAll('model').filter((value) => typeof value === 'string');
      id = all.length > 1 ? all.at(-1) : (all[0] ?? null);
    }
  } catch {
    id = null;
  }
  lines.push(JSON.stringify(typeof id === 'string' ? id : null));
}
process.stdout.write(lines.join('\n') + '\n');
