import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SignJWT, decodeProtectedHeader, exportJWK, generateKeyPair, calculateJwkThumbprint } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuiltinIssuer, TokenVerifier, newClientSecret, replaceSigningKey } from '#auth';
import type { Application, IssuerKeyBoard } from '#domain';
import type { Database } from '#persistence';
import { APP, TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';

const ROLES = ['SecurityActions.Read.All'];
const REQUEST = { tenantId: TENANT_A, appId: APP, roles: ROLES, expiresInSeconds: 3600 };

let database: Database;
const dirs: string[] = [];

beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true }))));

async function freshDir(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-issuer-'));
  dirs.push(dir);
  return dir;
}

/** An API process's issuer, as of now: it looks at the database when it is opened, and not by itself again. */
async function openOn(dir: string, keys: IssuerKeyBoard = database.issuerKeys): Promise<BuiltinIssuer> {
  const issuer = await BuiltinIssuer.open(dir, {
    publicUrl: 'https://riposte.example',
    keys,
    applications: database.applications,
    onRefresh: () => undefined,
  });
  await issuer.start();
  issuer.stop();
  return issuer;
}

const verify = (issuer: BuiltinIssuer, token: string): Promise<string> =>
  new TokenVerifier([issuer]).verify(token).then(
    () => 'accepted',
    (error: Error) => error.message,
  );
const REFUSED =
  'The access token is not valid: it has to be a JWT that an issuer accepted here signed for its tenant, with a key in use.';

async function registered(): Promise<Application> {
  const appId = randomUUID();
  const { kept } = await newClientSecret();
  await database.applications.add(
    { appId, tenantId: TENANT_A, name: 'SOAR', roles: ROLES },
    { ...kept, expiresInMs: null },
  );
  return applicationOf(appId);
}

async function applicationOf(appId: string): Promise<Application> {
  const found = await database.applications.find(appId);
  if (found === null) throw new Error(appId);
  return found;
}

describe('the key of a data dir', () => {
  it('is made once, for its owner only, also by processes that start at once', async () => {
    const dir = await freshDir();
    const issuers = await Promise.all(Array.from({ length: 4 }, () => BuiltinIssuer.open(dir)));
    expect(new Set(issuers.map((issuer) => issuer.publicKeys()[0]?.kid)).size).toBe(1);
    expect(await readdir(dir)).toEqual(['issuer-key.json']);
    expect((await stat(path.join(dir, 'issuer-key.json'))).mode & 0o777).toBe(0o600);
  });

  it('signs without a database, and is accepted by the API of that data dir at once', async () => {
    const dir = await freshDir();
    const api = await openOn(dir);
    expect(await verify(api, await (await BuiltinIssuer.open(dir)).issue(REQUEST))).toBe('accepted');
    expect(await verify(api, await (await BuiltinIssuer.open(await freshDir())).issue(REQUEST))).toBe(
      REFUSED,
    );
  });
});

describe('API processes with data dirs of their own', () => {
  it("accept each other's tokens, and show the same keys", async () => {
    const [one, other] = [await openOn(await freshDir()), await openOn(await freshDir())];
    expect(await verify(other, await one.issue(REQUEST))).toBe('accepted');
    // It was there first: an unknown key makes it look.
    expect(await verify(one, await other.issue(REQUEST))).toBe('accepted');
    const kids = (issuer: BuiltinIssuer): Set<string> => new Set(issuer.publicKeys().map(({ kid }) => kid));
    expect(kids(one)).toEqual(kids(other));
  });

  it('keep their private keys to themselves', async () => {
    const dir = await freshDir();
    await openOn(dir);
    const { d, p } = JSON.parse(await readFile(path.join(dir, 'issuer-key.json'), 'utf8')) as {
      d: string;
      p: string;
    };
    const stored = JSON.stringify([await database.issuerKeys.read(), await database.issuerKeys.list()]);
    expect(stored).not.toContain(d);
    expect(stored).not.toContain(p);
  });

  it('look for an unknown key once, however many they are shown', async () => {
    let reads = 0;
    const issuer = await openOn(await freshDir(), {
      publish: (key) => database.issuerKeys.publish(key),
      read: () => {
        reads += 1;
        return database.issuerKeys.read();
      },
    });
    const before = reads;
    const strangers = await Promise.all(Array.from({ length: 4 }, async () => signedByStranger()));
    for (const { token } of strangers) expect(await verify(issuer, token)).toBe(REFUSED);
    expect(reads - before).toBe(1);
  });

  it('take no key that goes by another id', async () => {
    const { token, key } = await signedByStranger();
    await database.issuerKeys.publish({ ...key, kid: 'stranger' });
    expect(await verify(await openOn(await freshDir()), token)).toBe(REFUSED);
  });
});

describe('rotating the key', () => {
  const rotate = (dir: string) =>
    replaceSigningKey(dir, async (before, next) => {
      await database.issuerKeys.publish(before);
      await database.issuerKeys.publish(next);
    });

  it('lets tokens of the old one live, here and elsewhere, and signs with the new one from now on', async () => {
    const dir = await freshDir();
    const [api, other] = [await openOn(dir), await openOn(await freshDir())];
    const old = await api.issue(REQUEST);
    const { before, next } = await rotate(dir);
    await database.issuerKeys.retire(before.kid);
    const application = await registered();
    const { token } = await api.issueFor(application);
    expect(decodeProtectedHeader(old).kid).toBe(before.kid);
    expect(decodeProtectedHeader(token).kid).toBe(next.kid);
    for (const issuer of [api, other, await openOn(dir)]) {
      expect(await verify(issuer, old)).toBe('accepted');
      expect(await verify(issuer, token)).toBe('accepted');
    }
    expect(await readFile(path.join(dir, 'issuer-key.json'), 'utf8')).not.toContain(before.n);
  });

  it('takes the key up that was made beside a running API when a token shows it', async () => {
    const dir = await freshDir();
    const api = await openOn(dir);
    await rotate(dir);
    expect(await verify(api, await (await BuiltinIssuer.open(dir)).issue(REQUEST))).toBe('accepted');
  });

  it('ends tokens of a key that is revoked, which its owner cannot publish again', async () => {
    const dir = await freshDir();
    const api = await openOn(dir);
    const old = await api.issue(REQUEST);
    const kid = decodeProtectedHeader(old).kid ?? '';
    await database.issuerKeys.revoke(kid);
    const restarted = await openOn(dir);
    expect(await verify(restarted, old)).toBe(REFUSED);
    expect(restarted.publicKeys().map((key) => key.kid)).not.toContain(kid);
    expect(await database.issuerKeys.revoke('unknown')).toBe(false);
    // Not for a day: a backup of the data dir, or a thief's copy, may be used at any time.
    const report = (await database.issuerKeys.list()).find((key) => key.kid === kid);
    expect(report?.validUntil.getUTCFullYear()).toBe(9999);
  });

  it('leaves everything as it is when the others cannot be told', async () => {
    const dir = await freshDir();
    const before = await readFile(await keyFileOf(dir), 'utf8');
    await expect(replaceSigningKey(dir, () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    expect(await readFile(await keyFileOf(dir), 'utf8')).toBe(before);
    expect(await readdir(dir)).toEqual(['issuer-key.json']);
  });
});

describe('revoking an application', () => {
  it('ends its tokens, and after it is restored those from before stay ended', async () => {
    const application = await registered();
    const { appId } = application;
    const dir = await freshDir();
    const api = await openOn(dir);
    const { token: first } = await api.issueFor(application);
    const elsewhere = await api.issue({ ...REQUEST, tenantId: TENANT_B, appId });
    expect(await verify(api, first)).toBe('accepted');

    await database.applications.revoke(appId);
    const afterRevoking = await openOn(dir);
    expect(await verify(afterRevoking, first)).toBe('The application was revoked.');
    expect(await verify(afterRevoking, elsewhere)).toBe('accepted');

    await database.applications.restore(appId);
    const afterRestoring = await openOn(dir);
    const { token: second } = await afterRestoring.issueFor(await applicationOf(appId));
    expect(await verify(afterRestoring, first)).toBe('The application was revoked.');
    expect(await verify(afterRestoring, second)).toBe('accepted');
  });

  it('changes nothing of one that is not known', async () => {
    expect(await database.applications.revoke(randomUUID())).toBe(false);
    expect(await database.applications.restore(randomUUID())).toBe(false);
  });

  it('is not undone by restoring one that is in use', async () => {
    const { appId } = await registered();
    expect(await database.applications.restore(appId)).toBe(true);
    expect(await applicationOf(appId)).toMatchObject({ disabledAt: null, revokedAt: null });
  });
});

async function keyFileOf(dir: string): Promise<string> {
  await BuiltinIssuer.open(dir);
  return path.join(dir, 'issuer-key.json');
}

async function signedByStranger() {
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const { n = '', e = '' } = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint({ kty: 'RSA', n, e });
  const token = await new SignJWT({ tid: TENANT_A, azp: APP, roles: ROLES })
    .setProtectedHeader({ alg: 'RS256', kid })
    .setIssuer('urn:riposte:issuer')
    .setAudience('api://riposte')
    .setIssuedAt()
    .setNotBefore('0s')
    .setExpirationTime('1h')
    .sign(privateKey);
  return { token, key: { kid, n, e } };
}
