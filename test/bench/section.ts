import type { Findings } from './findings.js';
import type { BenchOptions } from './options.js';

/** Tells how far it is, after each round at least. @throws once the run was interrupted: what is up is to be taken down */
export type Say = (line: string) => void;

/** A part of the benchmark: brings up what it needs, measures, and takes it down again. */
export type Section = (options: BenchOptions, say: Say) => Promise<Findings>;
