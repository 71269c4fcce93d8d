/** How the mock vendor treats the same request twice. */
export const MOCK_MODES = ['key', 'natural', 'lookup', 'none'] as const;
export type MockMode = (typeof MOCK_MODES)[number];

/** A campaign's vendors: the mock one in each of its modes, and Defender. */
export const MODES = [...MOCK_MODES, 'defender'] as const;
export type Mode = (typeof MODES)[number];
