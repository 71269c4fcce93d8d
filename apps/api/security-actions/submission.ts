import { UserError } from '#domain';
import type { Submission } from '#engine';
import type { CreateSecurityActionDto } from './create-security-action.dto.js';

/**
 * The body of a create as the engine takes it.
 * @throws UserError `invalidRequest` for a time that does not exist
 */
export function submissionOf(body: CreateSecurityActionDto): Submission {
  return {
    name: body.name,
    actionReason: body.actionReason ?? null,
    clientContext: body.clientContext ?? null,
    parameters: body.parameters.map(({ name, value }) => ({ name, value: value ?? null })),
    vendorInformation: {
      vendor: body.vendorInformation.vendor,
      provider: body.vendorInformation.provider,
      providerVersion: body.vendorInformation.providerVersion ?? null,
      subProvider: body.vendorInformation.subProvider ?? null,
    },
    startBefore: timeOf('@riposte.startBefore', body['@riposte.startBefore']),
    effectUntil: timeOf('@riposte.effectUntil', body['@riposte.effectUntil']),
  };
}

function timeOf(name: string, text: string | null | undefined): Date | null {
  if (text === null || text === undefined) return null;
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new UserError('invalidRequest', `${name} is no time that exists.`);
  return time;
}
