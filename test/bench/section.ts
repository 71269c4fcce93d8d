import type { Findings } from './findings.js';
import type { BenchOptions } from './options.js';

/** A part of the benchmark: brings up what it needs, measures, and takes it down again. */
export type Section = (options: BenchOptions, say: (line: string) => void) => Promise<Findings>;
