import {
  AllowedHostsValidator,
  BaseBearerTokenAuthenticationProvider,
  HttpMethod,
  ParseNodeFactoryRegistry,
  RequestInformation,
  SerializationWriterFactoryRegistry,
} from '@microsoft/kiota-abstractions';
import { JsonParseNodeFactory, JsonSerializationWriterFactory } from '@microsoft/kiota-serialization-json';
import { TextParseNodeFactory } from '@microsoft/kiota-serialization-text';
import { GraphBetaRequestAdapter } from '@microsoft/msgraph-beta-sdk/index.js';
import {
  createSecurityActionCollectionResponseFromDiscriminatorValue as createPage,
  createSecurityActionFromDiscriminatorValue as createAction,
  serializeSecurityAction,
} from '@microsoft/msgraph-beta-sdk/models/index.js';
import { createODataErrorFromDiscriminatorValue } from '@microsoft/msgraph-beta-sdk/models/oDataErrors/index.js';
import { PageIterator } from '@microsoft/msgraph-sdk-core';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The story of ../README.md, told by Microsoft's own typed Graph beta SDK for JavaScript, unchanged: its adapter and
 * its models. The fluent part for /security is not published, so requests are made as that part would make them.
 * Prints one JSON object per step: {"step": ..., "facts": ...}. Settings come from the environment; see ../sdks.ts.
 */

const { RIPOSTE_URL, RIPOSTE_MARKER: MARKER, RIPOSTE_TOKEN, RIPOSTE_READER_TOKEN } = process.env;
const ERRORS = { XXX: createODataErrorFromDiscriminatorValue };
const COLLECTION = '{+baseurl}/security/securityActions';
const LIST = `${COLLECTION}{?%24count,%24filter,%24orderby,%24search,%24select,%24skip,%24top}`;
const ITEM = `${COLLECTION}/{securityAction%2Did}{?%24select}`;

const readers = new ParseNodeFactoryRegistry();
readers.registerDefaultDeserializer(
  JsonParseNodeFactory,
  { getBackingStoreFactory: () => undefined },
  readers,
);
readers.contentTypeAssociatedFactories.set('text/plain', new TextParseNodeFactory());
const writers = new SerializationWriterFactoryRegistry();
writers.contentTypeAssociatedFactories.set('application/json', new JsonSerializationWriterFactory());

function adapterWith(token) {
  const provider = {
    getAuthorizationToken: () => Promise.resolve(token),
    getAllowedHostsValidator: () => new AllowedHostsValidator(),
  };
  const adapter = new GraphBetaRequestAdapter(
    new BaseBearerTokenAuthenticationProvider(provider),
    readers,
    writers,
  );
  adapter.baseUrl = `${RIPOSTE_URL}/beta`;
  return adapter;
}

const adapter = adapterWith(RIPOSTE_TOKEN);

function request(method, template, pathParameters = {}, query = {}) {
  const information = new RequestInformation(method, template, {
    baseurl: adapter.baseUrl,
    ...pathParameters,
  });
  for (const [option, value] of Object.entries(query)) information.queryParameters[`%24${option}`] = value;
  information.headers.add('Accept', 'application/json');
  return information;
}

function post(action, by = adapter) {
  const information = request(HttpMethod.POST, COLLECTION);
  information.setContentFromParsable(by, 'application/json', action, serializeSecurityAction);
  return by.send(information, createAction, ERRORS);
}

const item = (method, id, query) => request(method, ITEM, { 'securityAction%2Did': id }, query);
const get = (id, query) => adapter.send(item(HttpMethod.GET, id, query), createAction, ERRORS);
const list = (query, by = adapter) => by.send(request(HttpMethod.GET, LIST, {}, query), createPage, ERRORS);

async function cancel(id, segment = 'cancelSecurityAction') {
  const template = `${COLLECTION}/{securityAction%2Did}/${segment}`;
  await adapter.sendNoResponseContent(
    request(HttpMethod.POST, template, { 'securityAction%2Did': id }),
    ERRORS,
  );
}

async function whenStatus(id, ...statuses) {
  for (const until = Date.now() + 60_000; ; await sleep(50)) {
    const action = await get(id);
    if (statuses.includes(action.status)) return action;
    if (Date.now() > until) throw new Error(`${id} is ${action.status}`);
  }
}

async function follow(first, take) {
  const iterator = new PageIterator(adapter, first, (action) => take(action) || true, createPage, ERRORS);
  await iterator.iterate();
}

function newAction(name, parameters, clientContext) {
  return {
    name,
    actionReason: 'Test',
    clientContext,
    parameters: Object.entries(parameters).map(([key, value]) => ({ name: key, value })),
    vendorInformation: { provider: 'Mock', vendor: 'Mock' },
  };
}

const milliseconds = (time) => (time instanceof Date ? time.getTime() : null);
const orNull = (value) => value ?? null;

/** The typed model, property by property. */
function factsOf(action) {
  const { errorInfo, parameters, states, vendorInformation: vendor } = action;
  return {
    id: orNull(action.id),
    name: orNull(action.name),
    actionReason: orNull(action.actionReason),
    clientContext: orNull(action.clientContext),
    appId: orNull(action.appId),
    azureTenantId: orNull(action.azureTenantId),
    user: orNull(action.user),
    status: orNull(action.status),
    createdDateTime: milliseconds(action.createdDateTime),
    lastActionDateTime: milliseconds(action.lastActionDateTime),
    completedDateTime: milliseconds(action.completedDateTime),
    parameters: orNull(parameters?.map(({ name, value }) => ({ name, value }))),
    states: orNull(
      states?.map((state) => ({
        status: orNull(state.status),
        appId: orNull(state.appId),
        user: orNull(state.user),
        updatedDateTime: milliseconds(state.updatedDateTime),
      })),
    ),
    // A null is read as an empty object.
    errorInfo:
      errorInfo?.code === undefined
        ? null
        : { code: errorInfo.code, subcode: errorInfo.subcode, message: errorInfo.message },
    vendorInformation: vendor
      ? {
          provider: orNull(vendor.provider),
          providerVersion: orNull(vendor.providerVersion),
          subProvider: orNull(vendor.subProvider),
          vendor: orNull(vendor.vendor),
        }
      : null,
  };
}

/** How the SDK tells of a request that is refused. */
async function failureOf(promise) {
  try {
    await promise;
    return { error: null };
  } catch (error) {
    const main = error.errorEscaped;
    return {
      error: main ? 'ODataError' : `${error.name}: ${error.message}`,
      status: orNull(error.responseStatusCode),
      code: orNull(main?.code),
      message: orNull(main?.message),
      requestId: orNull(main?.innerError?.requestId),
      date: milliseconds(main?.innerError?.date),
    };
  }
}

const LONG = { durationMs: '600000' };
const IP = { IP: '1.2.3.4' };
const marked = `clientContext eq '${MARKER.replaceAll("'", "''")}'`;
const actionsOf = ({ value }) => ({ actions: value.map(factsOf) });
let created;
let completed;
let long;

const STORY = {
  async create() {
    created = await post(newAction('BlockIp', IP, MARKER));
    return factsOf(created);
  },
  async complete() {
    completed = await whenStatus(created.id, 'Completed');
    return factsOf(completed);
  },
  /** The whole object that was read, read-only properties included. */
  async resend() {
    return factsOf(await post(completed));
  },
  async fail() {
    const { id } = await post(newAction('FailAlways', { code: '404', message: 'No such machine.' }));
    return factsOf(await whenStatus(id, 'Failed'));
  },
  async cancel() {
    long = await post(newAction('LongRunning', LONG));
    await whenStatus(long.id, 'Running');
    await cancel(long.id);
    return factsOf(await whenStatus(long.id, 'Failed', 'Completed'));
  },
  async cancelAgain() {
    await cancel(long.id);
    return factsOf(await get(long.id));
  },
  async cancelQualified() {
    const { id } = await post(newAction('LongRunning', LONG));
    await whenStatus(id, 'Running');
    await cancel(id, 'microsoft.graph.cancelSecurityAction');
    return factsOf(await whenStatus(id, 'Failed', 'Completed'));
  },
  async list() {
    const page = await list({ top: 2 });
    return { ...actionsOf(page), nextLink: orNull(page.odataNextLink) };
  },
  async page() {
    const ids = [];
    await follow(await list({ top: 2 }), ({ id }) => ids.push(id));
    return { ids };
  },
  notFound: () => failureOf(get(randomUUID())),
  invalid: () => failureOf(post({ ...newAction('BlockIp', IP), name: undefined })),
  unknownAction: () => failureOf(post(newAction('Levitate', IP))),
  badParameter: () => failureOf(post(newAction('BlockIp', { IP: '1.2.3' }))),
  tooLate: () => failureOf(cancel(completed.id)),
  readOnly: () => failureOf(post(newAction('BlockIp', IP), adapterWith(RIPOSTE_READER_TOKEN))),
  unauthenticated: () => failureOf(list({}, adapterWith('not.a.token'))),
  async patch() {
    const information = item(HttpMethod.PATCH, created.id);
    information.setContentFromParsable(adapter, 'application/json', {}, serializeSecurityAction);
    return failureOf(adapter.send(information, createAction, ERRORS));
  },
  delete: () => failureOf(adapter.sendNoResponseContent(item(HttpMethod.DELETE, created.id), ERRORS)),
  badOption: () => failureOf(list({ filter: "status equals 'Running'" })),
};

const STORY_OF_ODATA = {
  filter: async () =>
    actionsOf(
      await list({
        filter: `${marked} and parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')`,
        orderby: 'createdDateTime asc',
      }),
    ),
  select: async () => ({
    ...actionsOf(await list({ filter: marked, select: 'id,status', top: 1 })),
    one: factsOf(await get(created.id, { select: 'id,name' })),
  }),
  async count() {
    const page = await list({ filter: marked, count: true, top: 1 });
    const information = request(HttpMethod.GET, `${COLLECTION}/$count{?%24filter}`, {}, { filter: marked });
    information.headers.clear();
    information.headers.add('Accept', 'text/plain;q=0.9');
    return { inline: page.odataCount, path: await adapter.sendPrimitive(information, 'number', ERRORS) };
  },
  search: async () => actionsOf(await list({ search: `"${MARKER}"` })),
  async pageFiltered() {
    const actions = [];
    const first = await list({ filter: "status eq 'Failed'", orderby: 'lastActionDateTime desc', top: 1 });
    await follow(first, (action) => actions.push(factsOf(action)));
    return { actions };
  },
};

const steps = { ...STORY, ...STORY_OF_ODATA };
for (const [step, tell] of Object.entries(steps)) {
  try {
    console.log(JSON.stringify({ step, facts: await tell() }));
  } catch (error) {
    // Told to the spec, which fails this step alone.
    console.log(JSON.stringify({ step, failed: String(error.stack ?? error) }));
  }
}
