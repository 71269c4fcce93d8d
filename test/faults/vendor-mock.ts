import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import type { Random } from '../support/random.js';
import type { Effect } from './evidence.js';
import type { MockMode } from './modes.js';
import type { AskedFor, CampaignVendor } from './vendor.js';

const ORDINARY_DAY = {
  latencyMs: 400,
  executeAndHang: 0.005,
  executeAndReset: 0.01,
  rateLimit: 0.02,
  unavailable: 0.01,
};

const BAD_DAYS: readonly Readonly<Record<string, number>>[] = [
  { executeAndReset: 0.5 },
  { executeAndHang: 0.3, drip: 0.2 },
  { serverError: 0.5, unavailable: 0.3 },
  { rateLimit: 0.9 },
  { garbage: 0.3, huge: 0.2, redirect: 0.3 },
  { pollError: 0.5, pollGarbage: 0.3, cancelError: 0.4, cancelReset: 0.3 },
];

/** The mock vendor in one of its modes. */
export class MockVendor implements CampaignVendor {
  private constructor(
    readonly mode: MockMode,
    readonly process: RunningVendor,
  ) {}

  static async start(mode: MockMode, seed: number): Promise<MockVendor> {
    return new MockVendor(mode, await startMockVendor(mode, { seed }));
  }

  get baseUrl(): string {
    return this.process.baseUrl;
  }

  get instance(): object {
    const { mode, baseUrl } = this;
    return { plugin: 'mock', subProvider: mode, settings: { mode, baseUrl, crashes: true } };
  }

  get vendorInformation(): object {
    return { vendor: 'Mock', provider: 'Mock', subProvider: this.mode };
  }

  ask(turn: number, random: Random): AskedFor {
    const kind = random.between(1, 100);
    if (kind <= 60)
      return {
        name: 'BlockIp',
        parameters: { IP: `10.${(turn >> 16) & 255}.${(turn >> 8) & 255}.${turn & 255}` },
      };
    return {
      name: kind <= 93 ? 'LongRunning' : 'IgnoreCancel',
      // The comment makes each a target of its own.
      parameters: { durationMs: String(random.between(200, 6000)), Comment: `target ${turn}` },
    };
  }

  ordinaryDay(): Promise<void> {
    return this.process.behave(ORDINARY_DAY);
  }

  async badDay(random: Random): Promise<string> {
    const shares = random.pick(BAD_DAYS);
    await this.process.behave({ ...ORDINARY_DAY, ...shares });
    return JSON.stringify(shares);
  }

  ledger(): readonly Effect[] {
    return this.process.ledger().map(({ event, key, at }) => ({ event, key, at: Date.parse(at) }));
  }

  stop(): Promise<void> {
    return this.process.stop();
  }
}
