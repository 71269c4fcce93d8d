import type { SealedPlace, SecretSeal, Subscription, SubscriptionSecrets } from '#domain';

/** Where a subscription's secrets open. */
export function placeOfSubscription({ id, tenantId }: Pick<Subscription, 'id' | 'tenantId'>): SealedPlace {
  return { kind: 'subscription', tenantId, id };
}

/** @throws UnsealError, OperationalError as {@link SecretSeal.open} */
export async function openSubscription(
  seal: SecretSeal,
  subscription: Subscription,
): Promise<SubscriptionSecrets> {
  const text = await seal.open(subscription.sealed, placeOfSubscription(subscription));
  return JSON.parse(text) as SubscriptionSecrets;
}
