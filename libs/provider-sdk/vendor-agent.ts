import type { Socket } from 'node:net';
import { Agent, buildConnector } from 'undici';
import {
  RefusedAddress,
  guardedLookup,
  literalOf,
  onlyAllowed,
  requirePermitted,
  type ResolveName,
} from './network-guard.js';
import type { NetworkPolicy } from './vendor-http.js';

const CONNECT_TIMEOUT_MS = 3000;
/** Connections to one vendor that a process keeps at most. */
const MOST_CONNECTIONS = 64;

/** No connection was made, so nothing was sent. */
export class NotConnected extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = 'NotConnected';
  }
}

const agents = new WeakMap<NetworkPolicy, WeakMap<ResolveName, Agent>>();

/**
 * The connections under a policy, kept and shared by all calls of that very object. Certificates are always verified, proxies of the
 * environment are not used, and every connection is checked as it is dialled. Fails with `NotConnected`, or
 * `RefusedAddress` where the policy is against it.
 */
export function vendorAgent(policy: NetworkPolicy, resolve: ResolveName): Agent {
  let byResolver = agents.get(policy);
  if (byResolver === undefined) agents.set(policy, (byResolver = new WeakMap()));
  let agent = byResolver.get(resolve);
  if (agent === undefined) byResolver.set(resolve, (agent = agentOf(policy, resolve)));
  return agent;
}

function agentOf(policy: NetworkPolicy, resolve: ResolveName): Agent {
  const { ca, client } = policy;
  // Also a certificate that is no authority's vouches, for itself: OpenSSL alone would ask for who signed it.
  const trust = ca === undefined ? {} : { ca, allowPartialTrustChain: true };
  const identity = client === undefined ? {} : { cert: client.certificate, key: client.key };
  const connectorOf = (allowedOnly: boolean): buildConnector.connector =>
    buildConnector({
      timeout: CONNECT_TIMEOUT_MS,
      lookup: guardedLookup(policy, allowedOnly, resolve),
      rejectUnauthorized: true,
      ...trust,
      ...identity,
    });
  const anywhere = connectorOf(false);
  const allowed = connectorOf(true);
  return new Agent({
    connections: MOST_CONNECTIONS,
    pipelining: 1,
    connect: (options, callback) => {
      const allowedOnly = onlyAllowed(options.protocol, options.port, policy);
      const literal = literalOf(options.hostname);
      try {
        if (literal !== null) requirePermitted(literal, allowedOnly, policy, true);
      } catch (refused) {
        return callback(refused as Error, null);
      }
      (allowedOnly ? allowed : anywhere)(options, (...[error, socket]: [Error | null, unknown]) => {
        if (error === null) callback(null, socket as Socket);
        else callback(error instanceof RefusedAddress ? error : new NotConnected(error), null);
      });
    },
  });
}
