import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { SimulatedVendor, VendorEffect } from '#provider-sdk/conformance';
import { eventually } from '../../support/eventually.js';

const page = await readFile('docs/plugins/webhook.md', 'utf8');

/** The first block of this language on the page about the webhook. */
export const documented = (language: string): string =>
  new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(page)?.[1] ?? '';

/** A receiver of the documentation, word for word, as a process of its own. What it did is what it prints. */
export class DocumentedReceiver implements SimulatedVendor {
  /** Lines about deliveries, since the last `reset`. */
  said: string[] = [];

  private constructor(
    readonly process: ChildProcess,
    readonly url: string,
    readonly secret: string,
  ) {}

  static async start(
    language: string,
    command: string,
    args: readonly string[],
    secret: string,
  ): Promise<DocumentedReceiver> {
    const child = spawn(command, [...args, documented(language)], {
      env: { HOOK_SECRET: secret, PORT: '0', PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout);
    const [first] = (await once(lines, 'line')) as [string];
    const receiver = new DocumentedReceiver(child, `http://127.0.0.1:${first.split(' ')[1]}/`, secret);
    lines.on('line', (line) => receiver.said.push(line));
    return receiver;
  }

  /** All that it said has been read then. */
  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const closed = once(this.process, 'close');
    this.process.kill();
    await closed;
  }

  get baseUrl(): string {
    return this.url;
  }

  async reset(): Promise<void> {
    await this.effects();
    this.said = [];
  }

  async effects(): Promise<readonly VendorEffect[]> {
    // Its words come by a pipe of their own, later than its answers: once it has said this, it has said what was before.
    const marker = randomUUID();
    const body = JSON.stringify({ event: 'marker', action: marker, parameters: {} });
    const t = String(Math.floor(Date.now() / 1000));
    const v1 = createHmac('sha256', this.secret).update(`${t}.${body}`).digest('hex');
    const headers = { 'x-riposte-signature': `t=${t},v1=${v1}`, 'x-riposte-delivery': marker };
    await fetch(this.url, { method: 'POST', headers, body });
    await eventually(() => this.said.some((line) => line.includes(marker)));
    return this.said
      .filter((line) => line.startsWith('doing execute '))
      .map((line) => ({ what: 'did', target: line }));
  }
}
