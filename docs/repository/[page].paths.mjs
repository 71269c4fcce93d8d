import { publishedPages } from '../.vitepress/repository.mjs';

/** Pages of what lies beside `docs` in the repository. */
export default {
  paths: () => publishedPages().map(({ page, content }) => ({ params: { page }, content })),
};
