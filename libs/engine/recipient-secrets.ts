import {
  UnsealError,
  type Recipient,
  type SealedPlace,
  type SecretSeal,
  type Subscription,
  type SubscriptionSecrets,
  type Webhook,
  type WebhookSecrets,
} from '#domain';

/** What is sealed of a recipient. */
type SecretsOf<R extends Recipient> = R extends Webhook ? WebhookSecrets : SubscriptionSecrets;

/** A recipient with what of it is sealed; or why that can never be had again. */
export type Opened<R extends Recipient> =
  | { readonly recipient: R; readonly secrets: SecretsOf<R>; readonly problem: null }
  | { readonly recipient: R; readonly secrets: null; readonly problem: string };

/** Where a recipient's secrets open. */
export function placeOf({ kind, id, tenantId }: Pick<Recipient, 'kind' | 'id' | 'tenantId'>): SealedPlace {
  return { kind, tenantId, id };
}

/** @throws OperationalError when the keys cannot be had for now */
export async function opened<R extends Subscription | Webhook>(
  seal: SecretSeal,
  recipient: R,
): Promise<Opened<R>> {
  try {
    const text = await seal.open(recipient.sealed, placeOf(recipient));
    return { recipient, secrets: JSON.parse(text) as SecretsOf<R>, problem: null };
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error;
    return { recipient, secrets: null, problem: `It cannot be told any more: ${error.message}.` };
  }
}
