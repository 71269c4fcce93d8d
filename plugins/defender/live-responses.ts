import { ProviderError, Type, type Json } from '#provider-sdk';
import type { Context, DefenderApi } from './defender-api.js';
import type { MachineAction } from './machine-action.js';

const linkSchema = Type.Object({ value: Type.String({ minLength: 1 }) });
/** What a script wrote is shown up to here, of each stream. */
const MOST_OUTPUT_CHARS = 4000;
const MOST_RESULT_BYTES = 8_388_608;

/** What one script of a live response came to. */
export interface ScriptResult {
  /** Why it counts as failed; null where it does not. */
  readonly failed: string | null;
  readonly shown: Json;
}

/** What commands on a machine came to: that Defender ran them says nothing of how a script ended. */
export class LiveResponses {
  constructor(readonly api: DefenderApi) {}

  /**
   * Reads what the scripts wrote, by links that are used once and never kept: whoever has one has the file.
   *
   * @param scripts indexes of the commands that are scripts
   */
  async resultsOf(
    context: Context,
    action: MachineAction,
    scripts: readonly number[],
  ): Promise<readonly ScriptResult[]> {
    const broken = (action.commands ?? []).flatMap(({ index, commandStatus, errors }, at) =>
      commandStatus?.toLowerCase() === 'failed'
        ? [
            {
              failed: `Command ${index ?? at} of the live response failed: ${(errors ?? []).join('; ').slice(0, 300) || 'Defender does not say why'}`,
              shown: { command: index ?? at, failed: true },
            },
          ]
        : [],
    );
    if (broken.length > 0) return broken;
    const results: ScriptResult[] = [];
    for (const index of scripts) results.push(await this.#resultOf(context, action.id, index));
    return results;
  }

  async #resultOf(context: Context, id: string, index: number): Promise<ScriptResult> {
    try {
      return judged(index, await this.#textOf(context, id, index));
    } catch (error) {
      // That it cannot be read (yet) says nothing of how it ended. Credentials are for an operator to mend.
      if (!(error instanceof ProviderError) || ['auth', 'permission'].includes(error.errorClass)) throw error;
      if (error.next === 'retry') throw error;
      throw new ProviderError(
        'transient',
        `The result of command ${index} cannot be read yet. ${error.message}`,
      );
    }
  }

  async #textOf(context: Context, id: string, index: number): Promise<string> {
    const { body } = await this.api.request(context, {
      method: 'GET',
      path: `/machineactions/${encodeURIComponent(id)}/GetLiveResponseResultDownloadLink(index=${index})`,
      answer: linkSchema,
      needs: ['Machine.LiveResponse'],
    });
    const { text } = await context.http.request({
      method: 'GET',
      // The documentation's own sample has it in a second pair of quotes.
      url: body.value.replaceAll(/^"|"$/g, ''),
      maxBytes: MOST_RESULT_BYTES,
    });
    return text;
  }
}

function judged(index: number, text: string): ScriptResult {
  const file = parsed(text);
  const { script_name: name, exit_code: code, script_output: output, script_errors: errors } = file;
  const exitCode = code === undefined || code === null || code === '' ? null : Number(code);
  const shown = {
    command: index,
    script: typeof name === 'string' ? name : null,
    exitCode: exitCode !== null && Number.isFinite(exitCode) ? exitCode : null,
    output: shortened(output),
    errors: shortened(errors),
  };
  const failed =
    exitCode === 0
      ? null
      : `Script ${shown.script ?? ''} ended with ${shown.exitCode === null ? 'no exit code that can be read' : `exit code ${shown.exitCode}`}${shown.errors === '' ? '' : `: ${shown.errors.slice(0, 300)}`}`;
  return { failed, shown };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    // Files that Windows writes may begin with a byte order mark.
    const value: unknown = JSON.parse(text.replace(/^\ufeff/, ''));
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function shortened(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  return text.length <= MOST_OUTPUT_CHARS
    ? text
    : `${text.slice(0, MOST_OUTPUT_CHARS)}… (${text.length} characters)`;
}
