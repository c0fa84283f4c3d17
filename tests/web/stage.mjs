// What every end-to-end test of the page stands on: a server with its own data folder and free ports, chromium, a signed-in
// administrator, the checks that every screen must pass, and steps that are one story.
//   const s = stage('bindings');            // before any step
//   s.step('…', async () => { await s.visit('#/…'); await s.inspect('…'); });
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import mqtt from 'mqtt';
import { chromium } from 'playwright-core';

export const binary = resolve(process.env.PENSTOCK_BINARY ?? process.argv[2] ?? 'build/release/penstock');
const web = resolve(process.env.PENSTOCK_WEB ?? process.argv[3] ?? 'web/dist');
const browser_path = process.env.CHROMIUM ?? '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
for (const path of [binary, join(web, 'index.html'), browser_path]) assert.ok(existsSync(path), `${path} is missing: run make setup build web`);

// What nobody waits for when all is well; generous, because a loaded machine is slow and not wrong.
export const wait_ms_max = Number(process.env.PENSTOCK_WAIT_MS ?? 60_000);
const step_ms_max = 600_000;
export const person = { name: 'Ada Keller', email: 'ada@example.com', password: 'nine green boilers hum' };

export class Stage {
  trouble = [];
  #broken = '';
  constructor(name, serve_arguments) {
    this.name = name;
    this.serve_arguments = serve_arguments;
    this.folder = mkdtempSync(join(tmpdir(), `penstock-${name}-`));
  }

  async start(http = '127.0.0.1:0', mqtt_at = '127.0.0.1:0') {
    this.server = spawn(binary, ['serve', '--data', join(this.folder, 'data'), '--http', http, '--mqtt', mqtt_at, '--ws', 'off', '--web', web, ...this.serve_arguments], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    this.server.stderr.on('data', (chunk) => { log = (log + chunk).slice(-8000); });
    const lines = createInterface({ input: this.server.stdout });
    const ended = once(this.server, 'exit').then(([code]) => { throw new Error(`the server ended with ${code}:\n${log}`); });
    ended.catch(() => {});
    this.ready = await Promise.race([ended, (async () => { for await (const line of lines) { try { const said = JSON.parse(line); if (said.ready) return said; } catch { /* not the ready line */ } } return ended; })()]);
    this.token = readFileSync(join(this.folder, 'data', 'admin.token'), 'utf8').trim();
  }
  async stop() {
    if (!this.server || this.server.exitCode !== null) return;
    const gone = once(this.server, 'exit');
    this.server.kill('SIGTERM');
    await gone;
  }
  at(hash) { return `http://${this.ready.http}/${hash}`; }
  get host() { return this.ready.mqtt.split(':')[0]; }
  get port() { return Number(this.ready.mqtt.split(':').at(-1)); }
  connect(username, password) { return mqtt.connectAsync(`mqtt://${this.host}:${this.port}`, { clientId: username, username, password, protocolVersion: 5, reconnectPeriod: 0 }); }
  /** Asks the API as the administrator; throws with the answer's body where it is no success. */
  async api(method, path, body) {
    const answer = await fetch(this.at(`api/v1${path}`), { method, headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  async open() {
    await this.start();
    this.browser = await chromium.launch({
      executablePath: browser_path,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    this.context = await this.browser.newContext({ viewport: { width: 1440, height: 900 }, serviceWorkers: 'block' });
    this.context.setDefaultTimeout(wait_ms_max);
    await this.context.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shift += e.value; }).observe({ type: 'layout-shift', buffered: true });
      addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
    });
    this.page = await this.context.newPage();
    this.page.on('console', (message) => { if (message.type() === 'error' && /CSP|Content Security Policy/.test(message.text())) this.trouble.push(message.text()); });
    this.page.on('pageerror', (error) => this.trouble.push(`page: ${error.message}`));
  }
  async close() {
    await this.browser?.close();
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
  /** The one-time link, as the first administrator. */
  async sign_in() {
    await this.page.goto(this.ready.welcome);
    await this.page.getByLabel('Your name').fill(person.name);
    await this.page.getByLabel('Email').fill(person.email);
    await this.page.getByLabel('Password', { exact: true }).fill(person.password);
    await this.page.getByLabel('Password again').fill(person.password);
    await this.page.getByRole('button', { name: 'Set password' }).click();
    await this.page.getByRole('heading', { name: 'Overview' }).waitFor();
  }
  /** Loads the page anew at this address: what one sees when a colleague sent it. */
  async visit(hash) {
    await this.page.goto('about:blank');
    await this.page.goto(this.at(hash));
    await this.page.locator('h1').first().waitFor();
  }
  /** Checks what a screen must never do; `name` says where. Findings are in `trouble`. */
  async inspect(name) {
    await this.page.evaluate(axe);
    const result = await this.page.evaluate(() => axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    for (const v of result.violations) this.trouble.push(`${name}: ${v.id} (${v.help}): ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) this.trouble.push(`${name}: ${wide} px wider than the screen`);
  }
  /** Every address in both sizes and both themes: no accessibility violation, nothing wider than the screen, nothing jumps. */
  async inspect_everywhere(pages) {
    let worst = 0, where = '', looked = 0;
    for (const [size, width, height] of [['desk', 1440, 900], ['phone', 390, 844]]) {
      await this.page.setViewportSize({ width, height });
      for (const scheme of ['light', 'dark']) {
        await this.page.emulateMedia({ colorScheme: scheme });
        for (const hash of pages) {
          await this.visit('#/' + hash);
          await this.page.waitForFunction(() => !document.querySelector('main .bones'));
          await this.inspect(`#/${hash} ${size} ${scheme}`);
          const shift = await this.page.evaluate(() => window.shift);
          if (shift >= worst) [worst, where] = [shift, `#/${hash} ${size}`];
          if (shift > 0.25) this.trouble.push(`#/${hash} ${size} ${scheme}: layout shift ${shift.toFixed(3)}`);
          looked++;
        }
      }
    }
    // 320 px wide, which is 400 % zoom of a desk (WCAG 1.4.10): nothing sticks out.
    await this.page.setViewportSize({ width: 320, height: 640 });
    for (const hash of pages) {
      await this.visit('#/' + hash);
      await this.page.waitForFunction(() => !document.querySelector('main .bones'));
      const wide = await this.page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? '' : [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => `${e.tagName}.${e.className} “${e.textContent.slice(0, 30)}”`).slice(-3).join(', ')));
      if (wide) this.trouble.push(`#/${hash} 320 px: wider than the screen: ${wide}`);
    }
    await this.page.setViewportSize({ width: 1440, height: 900 });
    await this.page.emulateMedia({ colorScheme: 'light' });
    return `${looked} screens, worst layout shift ${worst.toFixed(3)} at ${where}`;
  }
  /** The steps are one story: after one that failed the others have nothing to stand on and are left out. */
  step(name, run) {
    test(name, { timeout: step_ms_max }, async (t) => {
      if (this.#broken) return t.skip(`“${this.#broken}” failed`);
      try { await run(t); } catch (error) {
        this.#broken = name;
        const picture = join(tmpdir(), `penstock-${this.name}-${name.replace(/\W+/g, '-')}.png`);
        await this.page?.screenshot({ path: picture }).then(() => console.error(`picture: ${picture}`), () => {});
        throw error;
      }
    });
  }
}

/** A stage that opens before the first step and closes after the last. */
export function stage(name, serve_arguments = []) {
  const made = new Stage(name, serve_arguments);
  before(() => made.open());
  after(() => made.close());
  return made;
}
