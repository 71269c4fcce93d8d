/** The start commands of the production image; docker-compose.yml is held equal to them, and end-to-end tests run them. */
export const API_COMMAND: readonly string[] = ['node', 'dist/apps/api/main.js'];
export const WORKER_COMMAND: readonly string[] = ['node', 'dist/apps/worker/main.js'];
