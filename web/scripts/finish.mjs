// After vite: fills in the service worker, compresses every file beforehand (.br and .gz, which the server sends as
// they are), and holds the page to its budget: what the first page loads is at most 120 KB of JavaScript gzipped.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const budget_bytes = 120 * 1024;
const dist = new URL('../dist/', import.meta.url).pathname;
const walk = (folder) => readdirSync(folder, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(join(folder, e.name)) : [join(folder, e.name)]));
const files = walk(dist).filter((f) => !/\.(br|gz)$/.test(f)).sort();

const index = readFileSync(join(dist, 'index.html'), 'utf8');
const first = new Set([...index.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map((m) => m[1]));
// Static imports of the first scripts are loaded with them.
for (const path of first) for (const m of readFileSync(join(dist, path), 'utf8').matchAll(/(?:from|import)\s*["'](\.\/[^"']+\.js)["']/g)) first.add('/assets/' + m[1].slice(2));
if (/ style=|<style|\son\w+=/.test(index)) throw new Error('index.html has inline style or script, which the content security policy forbids');

const build = createHash('sha256');
for (const file of files) build.update(relative(dist, file)).update(readFileSync(file));
const shell = ['/', ...files.map((f) => '/' + relative(dist, f)).filter((f) => /^\/assets\/.*\.(js|css|woff2)$|^\/(icon.*|theme\.js|manifest.*)$/.test(f))];
const worker = join(dist, 'sw.js');
writeFileSync(worker, readFileSync(worker, 'utf8').replace('__BUILD__', build.digest('hex').slice(0, 12)).replace('__SHELL__', JSON.stringify(shell)));

const sizes = {};
for (const file of files) {
  if (/\.(woff2|png)$/.test(file)) continue;
  const content = readFileSync(file);
  const gz = gzipSync(content, { level: 9 });
  sizes['/' + relative(dist, file)] = gz.length;
  if (content.length < 512) continue;
  writeFileSync(file + '.gz', gz);
  writeFileSync(file + '.br', brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }));
}
const sum = (pick) => Object.entries(sizes).filter(([path]) => pick(path)).reduce((total, [, size]) => total + size, 0);
const kb = (bytes) => (bytes / 1024).toFixed(1) + ' KB';
const first_js = sum((path) => first.has(path) && path.endsWith('.js'));
console.log(`page: first load ${kb(first_js)} JS + ${kb(sum((p) => first.has(p) && p.endsWith('.css')))} CSS gzipped (budget ${kb(budget_bytes)}), all pages ${kb(sum((p) => p.endsWith('.js')))} JS, ${files.reduce((n, f) => n + statSync(f).size, 0) >> 10} KB on disk`);
if (first_js > budget_bytes) { console.error(`page: the first load exceeds its budget of ${kb(budget_bytes)}`); process.exit(1); }
