import type mongoose from 'mongoose';
import { DATABASE_ROLES, DATABASE_USERS, type DatabaseRole, type Privileges } from './database-roles.js';

/** A user of the database, who may do what its role says. */
export interface DatabaseUser {
  readonly name: string;
  readonly role: DatabaseRole;
  /** False: there was one already, who has the password from before. */
  readonly isNew: boolean;
}

/** The database's users with the privileges of one kind of process each. An administrator's connection is needed. */
export class DatabaseUsers {
  readonly #db: mongoose.mongo.Db;

  constructor(db: mongoose.mongo.Db) {
    this.#db = db;
  }

  /** The database that the users and their roles are in. */
  get databaseName(): string {
    return this.#db.databaseName;
  }

  /**
   * Makes the roles and a user of each, or gives those that are there the privileges of this version. Safe to repeat.
   * @param passwordOf called for users that are not there
   * @param renewed also the passwords of those that are there are made anew
   * @param tell told of each as soon as it is there: what fails after it does not undo it
   * @throws the driver's error, where this connection's user may not do so
   */
  async setUp(
    passwordOf: (name: string) => string,
    renewed: boolean,
    tell: (user: DatabaseUser) => void = () => undefined,
  ): Promise<readonly DatabaseUser[]> {
    for (const [role, privileges] of Object.entries(DATABASE_ROLES)) await this.#makeRole(role, privileges);
    const users: DatabaseUser[] = [];
    for (const [name, role] of Object.entries(DATABASE_USERS)) {
      const isThere = await this.#has('usersInfo', 'users', name);
      const hasPassword = isThere && !renewed;
      await this.#db.command({
        ...(isThere ? { updateUser: name } : { createUser: name }),
        ...(hasPassword ? {} : { pwd: passwordOf(name) }),
        roles: [{ role, db: this.databaseName }],
      });
      const user = { name, role, isNew: !hasPassword };
      users.push(user);
      tell(user);
    }
    return users;
  }

  async #makeRole(role: string, privileges: Privileges): Promise<void> {
    const isThere = await this.#has('rolesInfo', 'roles', role);
    await this.#db.command({
      ...(isThere ? { updateRole: role } : { createRole: role }),
      privileges: Object.entries(privileges).map(([collection, actions]) => ({
        resource: { db: this.databaseName, collection },
        actions: [...actions],
      })),
      roles: [],
    });
  }

  async #has(command: 'usersInfo' | 'rolesInfo', found: 'users' | 'roles', name: string): Promise<boolean> {
    const answer = await this.#db.command({ [command]: name });
    return (answer[found] as readonly unknown[]).length > 0;
  }
}
