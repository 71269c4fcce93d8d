export { checkConformance } from './check-conformance.js';
export type { ConformanceOptions, Sample, SampleInstance, SimulatedVendor, VendorEffect } from './options.js';
export {
  CHECKS,
  CHECK_IDS,
  formatReport,
  type CheckId,
  type CheckResult,
  type ConformanceReport,
  type Problem,
  type Verdict,
} from './report.js';
export { runConformance } from './run-conformance.js';
