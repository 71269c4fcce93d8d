/** Parameters of the mock's actions for the conformance kit. */
const machine = { MachineId: 'host-7', Comment: 'Case 4711', UnlockPin: 'pin-of-the-machine' };
const ip = { IP: '203.0.113.7' };
const url = { URL: 'https://evil.example/x' };
const domain = { Domain: 'evil.example' };
const file = { FileHash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' };

export const samples = {
  BlockIp: ip,
  AllowIp: ip,
  UnblockIp: ip,
  BlockUrl: url,
  AllowUrl: url,
  UnblockUrl: url,
  BlockDomain: domain,
  AllowDomain: domain,
  UnblockDomain: domain,
  BlockFile: file,
  AllowFile: file,
  UnblockFile: file,
  IsolateMachine: machine,
  UnisolateMachine: machine,
  RunAntivirusScan: machine,
  CollectInvestigationPackage: machine,
  LongRunning: { durationMs: 600_000 },
  IgnoreCancel: { durationMs: 600_000 },
  FailTimes: { times: 0 },
};

/** What is made to misbehave cannot be shown to behave. */
export const leaveOut = {
  FailAlways: 'it is there to fail',
  Hang: 'it is there never to answer',
  Crash: 'it is there to take its worker down',
};
