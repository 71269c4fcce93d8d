import { Client, GraphError } from '@microsoft/microsoft-graph-client';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Blocks an IP address, waits until it is done, and shows the newest actions: Microsoft's Graph client for
 * JavaScript against Riposte.
 *
 * RIPOSTE_URL     where Riposte is, for example https://riposte.example.com; the client sends tokens over TLS only
 * RIPOSTE_TENANT, RIPOSTE_CLIENT_ID, RIPOSTE_CLIENT_SECRET
 *                 the application; or instead of them
 * RIPOSTE_TOKEN   a token that was made with `npm run token`
 */

const {
  RIPOSTE_URL,
  RIPOSTE_TOKEN,
  RIPOSTE_TENANT: tenant,
  RIPOSTE_CLIENT_ID: clientId,
  RIPOSTE_CLIENT_SECRET: clientSecret,
} = process.env;
const { host, hostname } = new URL(RIPOSTE_URL);

/** Gives the token, as often as the client asks. */
async function tokenSource() {
  if (RIPOSTE_TOKEN !== undefined) return () => Promise.resolve(RIPOSTE_TOKEN);
  const { ConfidentialClientApplication } = await import('@azure/msal-node');
  const application = new ConfidentialClientApplication({
    auth: {
      clientId,
      clientSecret,
      authority: `${RIPOSTE_URL}/${tenant}`, // was https://login.microsoftonline.com/TENANT
      knownAuthorities: [host], // or MSAL asks login.microsoftonline.com about it
    },
  });
  return async () => {
    const result = await application.acquireTokenByClientCredential({ scopes: ['api://riposte/.default'] });
    return result.accessToken;
  };
}

const graph = Client.initWithMiddleware({
  baseUrl: RIPOSTE_URL, // was https://graph.microsoft.com
  defaultVersion: 'beta',
  authProvider: { getAccessToken: await tokenSource() },
  customHosts: new Set([hostname]), // or the client withholds the token
});

let action = await graph.api('/security/securityActions').post({
  name: 'BlockIp',
  actionReason: 'Test',
  parameters: [{ name: 'IP', value: '203.0.113.7' }],
  vendorInformation: { provider: 'Mock', vendor: 'Mock' },
});
while (action.status !== 'Completed' && action.status !== 'Failed') {
  await sleep(200);
  action = await graph.api(`/security/securityActions/${action.id}`).get();
}
const reason = action.errorInfo === null ? '' : ` (${action.errorInfo.code} ${action.errorInfo.message})`;
console.log(`${action.name} ${action.parameters[0].value}: ${action.status}${reason}`);

try {
  // What has ended as something else than cancelled cannot be cancelled any more.
  await graph.api(`/security/securityActions/${action.id}/cancelSecurityAction`).post({});
} catch (refusal) {
  if (!(refusal instanceof GraphError)) throw refusal;
  console.log(`${refusal.statusCode} ${refusal.code}: ${refusal.message}`);
}

const newest = await graph.api('/security/securityActions').top(5).get();
for (const each of newest.value) console.log(each.createdDateTime, each.name, each.status);
