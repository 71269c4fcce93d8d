// Makes the roles and users of Riposte in the database of the connection, or brings them to this version's privileges:
//
//   mongosh 'mongodb://ADMINISTRATOR@HOST/riposte?authSource=admin' deploy/mongodb/users.js
//
// It asks for the password of each user that is not there yet. "riposte setup users" does the same without mongosh.
const roles = {
  riposteApi: {
    '': ['find', 'changeStream', 'listIndexes'],
    actions: ['find', 'insert', 'update'],
    actionFigures: ['find', 'insert', 'update'],
    auditConfigurations: ['find', 'insert', 'update'],
    auditInbox: ['find', 'insert'],
    blastCounts: ['find', 'insert', 'update'],
    feedConsumers: ['find', 'insert', 'update'],
    health: ['find', 'insert', 'update'],
    idempotencyKeys: ['find', 'insert', 'update'],
    instances: ['find', 'insert', 'update'],
    issuerKeys: ['find', 'insert', 'update'],
    keys: ['find', 'insert'],
    notifications: ['find', 'update', 'remove'],
    operators: ['find', 'insert', 'update', 'remove'],
    operatorTenants: ['find', 'insert', 'update'],
    questions: ['find', 'insert', 'update', 'remove'],
    sessions: ['find', 'insert', 'update', 'remove'],
    subscriptions: ['find', 'insert', 'update', 'remove'],
    views: ['find', 'insert', 'update'],
  },
  riposteWorker: {
    '': ['listIndexes', 'dbStats'],
    actions: ['find', 'insert', 'update'],
    audit: ['find', 'insert'],
    auditCheckpoints: ['find', 'insert'],
    auditConfigurations: ['find', 'insert', 'update'],
    auditInbox: ['find', 'insert', 'remove'],
    auditKeys: ['find', 'insert', 'update'],
    auditProgress: ['find', 'insert', 'update'],
    entries: ['find', 'insert', 'update'],
    feedConsumers: ['find'],
    health: ['find', 'insert', 'update'],
    instances: ['find', 'insert', 'update'],
    issuerKeys: ['find'],
    keys: ['find', 'insert'],
    leases: ['find', 'insert', 'update', 'remove'],
    notifications: ['find', 'insert', 'update'],
    questions: ['find', 'update'],
    subscriptions: ['find', 'update'],
    workers: ['find', 'insert', 'update', 'remove'],
  },
  riposteRetention: {
    '': ['listIndexes'],
    actions: ['find', 'remove'],
    audit: ['find'],
    leases: ['find', 'insert', 'update', 'remove'],
  },
  riposteOperator: {
    '': ['find', 'listIndexes', 'dbStats'],
    actions: ['find', 'insert', 'update'],
    applications: ['find', 'insert', 'update'],
    auditInbox: ['find', 'insert'],
    auditProgress: ['find', 'insert', 'update'],
    health: ['find', 'insert', 'update'],
    issuerKeys: ['find', 'insert', 'update'],
    keys: ['find', 'insert', 'update'],
    operators: ['find', 'insert', 'update', 'remove'],
    operatorTenants: ['find', 'insert', 'update'],
    subscriptions: ['find', 'update'],
  },
};
const users = {
  'riposte-api': 'riposteApi',
  'riposte-worker': 'riposteWorker',
  'riposte-retention': 'riposteRetention',
  'riposte-operator': 'riposteOperator',
};

const database = db.getName();
for (const [role, collections] of Object.entries(roles)) {
  const privileges = Object.entries(collections).map(([collection, actions]) => ({
    resource: { db: database, collection },
    actions,
  }));
  if (db.getRole(role) === null) db.createRole({ role, privileges, roles: [] });
  else db.updateRole(role, { privileges, roles: [] });
}
for (const [user, role] of Object.entries(users)) {
  if (db.getUser(user) === null) {
    print(`Password of ${user}:`);
    db.createUser({ user, pwd: passwordPrompt(), roles: [{ role, db: database }] });
  } else db.updateUser(user, { roles: [{ role, db: database }] });
}
