/** Characters of a request's path and query. */
export const URL_LIMIT = 4096;
