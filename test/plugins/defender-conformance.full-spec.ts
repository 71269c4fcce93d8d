import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  checkConformance,
  formatReport,
  type Sample,
  type SimulatedVendor,
  type VendorEffect,
} from '#provider-sdk/conformance';
import { defenderProvider } from '../../plugins/defender/index.js';
import { DefenderSimulator } from '../simulators/defender/simulator.js';

/** Defender's plugin with a simulator made from Microsoft's documentation, tried as any plugin is. */

const [tenantA, tenantB] = ['11111111-1111-4111-8111-111111111111', '99999999-9999-4999-8999-999999999999'];
const clientId = '22222222-2222-4222-8222-222222222222';
const [secretA, secretB] = ['secret-of-the-first', 'secret-of-the-second'];

let simulator: DefenderSimulator;
beforeAll(async () => {
  simulator = await DefenderSimulator.start({
    directory: {
      [tenantA]: { [clientId]: { secret: secretA } },
      [tenantB]: { [clientId]: { secret: secretB } },
    },
    // Work ends when the kit says so.
    behaviour: { pendingMs: 0, runningMs: 86_400_000 },
  });
});
afterAll(() => simulator.stop());

const MachineId = 'ws-anna.contoso.com';
const hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const Thumbprint = '4388963aaa83afe2042a46a3c017ad50bdcdafb3';
const ip = { IP: '1.2.3.4' };
const domain = { Domain: 'evil.example' };
const url = { URL: 'https://evil.example/x' };
const file = { FileHash: hash };
const indicator = { IndicatorType: 'IpAddress', IndicatorValue: '1.2.3.4' };
const script = { type: 'RunScript', params: [{ key: 'ScriptName', value: 'collect.ps1' }] };

const samples: Readonly<Record<string, Sample>> = {
  IsolateMachine: { MachineId, IsolationType: 'Full' },
  UnisolateMachine: { MachineId },
  RestrictAppExecution: { MachineId },
  UnrestrictAppExecution: { MachineId },
  RunAntivirusScan: { MachineId, ScanType: 'Quick' },
  StopAndQuarantineFile: { MachineId, Sha1: Thumbprint },
  CollectInvestigationPackage: { MachineId },
  OffboardMachine: { MachineId },
  RunLiveResponse: { MachineId, Commands: [script] },
  RunScript: { MachineId, ScriptName: 'collect.ps1', Args: '-Days 7' },
  GetFile: { MachineId, Path: 'C:\\Temp\\evil.exe' },
  PutFile: { MachineId, FileName: 'tool.exe' },
  StartInvestigation: { MachineId },
  BlockIp: ip,
  AllowIp: ip,
  AuditIp: ip,
  WarnIp: ip,
  UnblockIp: ip,
  BlockDomain: domain,
  AllowDomain: domain,
  AuditDomain: domain,
  WarnDomain: domain,
  UnblockDomain: domain,
  BlockUrl: url,
  AllowUrl: url,
  AuditUrl: url,
  WarnUrl: url,
  UnblockUrl: url,
  BlockFile: file,
  AllowFile: file,
  AuditFile: file,
  WarnFile: file,
  UnblockFile: file,
  BlockCertificate: { Thumbprint },
  AllowCertificate: { Thumbprint },
  UnblockCertificate: { Thumbprint },
  AlertIndicator: indicator,
  RemoveIndicator: indicator,
};

/** A release of what was contained before undoes that; one of anything else does something of its own. */
function counted(effects: readonly VendorEffect[]): readonly VendorEffect[] {
  const contained = new Set<string>();
  const kept: VendorEffect[] = [];
  for (const [index, effect] of effects.entries()) {
    const { what, target } = effect;
    if (what === 'did' && /^(?:Isolate|RestrictCodeExecution) /.test(target)) contained.add(target);
    if (what === 'undid' && /^(?:Isolate|RestrictCodeExecution) /.test(target)) {
      if (!contained.delete(target)) continue;
      // The simulator tells a release twice: as what was done, and as what was undone by it.
      if (effects[index - 1]?.what === 'did') kept.pop();
    }
    kept.push(effect);
  }
  return kept;
}

/** Puts the effect of an action in place, as an analyst would have. */
function preexisting(action: string, sample: Sample): void {
  for (const { machines, actions, indicators } of [simulator.tenant(tenantA), simulator.tenant(tenantB)]) {
    const [machine] = machines.all();
    if (machine === undefined) throw new TypeError('there is no machine');
    if (action === 'IsolateMachine') actions.putSucceeded('Isolate', machine);
    else if (action === 'RestrictAppExecution') actions.putSucceeded('RestrictCodeExecution', machine);
    else {
      const [, verb = '', kind = ''] = /^(Block|Allow|Audit|Alert|Warn)(\w+)$/.exec(action) ?? [];
      // What removes finds nothing to remove.
      if (verb === '') continue;
      const types: Readonly<Record<string, string>> = {
        Ip: 'IpAddress',
        Indicator: 'IpAddress',
        Domain: 'DomainName',
        Url: 'Url',
        File: 'FileSha256',
        Certificate: 'CertificateThumbprint',
      };
      const does: Readonly<Record<string, string>> = {
        Block: kind === 'Certificate' ? 'BlockAndRemediate' : 'Block',
        Allow: 'Allowed',
        Audit: 'Audit',
        Alert: 'Audit',
        Warn: 'Warn',
      };
      indicators.putInPlace({
        indicatorValue: Object.values(sample)
          .map(String)
          .find((value) => value !== 'IpAddress' && value !== 'Medium' && value !== 'false'),
        indicatorType: types[kind],
        action: does[verb],
        generateAlert: true,
      });
    }
  }
}

it('passes the conformance kit with every action', async () => {
  const instance = (tenantId: string, clientSecret: string): object => ({
    settings: {
      tenantId,
      clientId,
      baseUrl: simulator.baseUrl,
      loginUrl: simulator.baseUrl,
      actions: Object.keys(samples),
    },
    secrets: { clientSecret },
  });
  const vendor: SimulatedVendor = {
    baseUrl: simulator.baseUrl,
    reset: () => simulator.reset(),
    effects: () => counted(simulator.effects()),
    calls: () => simulator.calls(),
    finish: (id) => simulator.finish(id),
    sayStatus: (status) => simulator.sayStatus(status),
    preexisting,
  };
  const report = await checkConformance({
    provider: defenderProvider,
    instances: [instance(tenantA, secretA), instance(tenantB, secretB)] as never,
    samples,
    vendor,
    interleavings: 40,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
}, 120_000);
