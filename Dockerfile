# syntax=docker/dockerfile:1
# One image for every process of Riposte; the command says which one runs.
# By its whole version: what is built again is built of the same. To pin its content, too: --build-arg NODE_IMAGE=node:…@sha256:…
ARG NODE_IMAGE=node:26.10.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Nothing that is installed needs an install script, so none runs.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY apps ./apps
COPY libs ./libs
COPY plugins ./plugins
RUN npm run build \
  && find dist \( -name '*.map' -o -name '.tsbuildinfo' \) -delete \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund
# npm keeps the compiler for who may use it to build. What only people and compilers read is a third of what is left.
RUN rm -rf node_modules/typescript node_modules/.bin \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${NODE_IMAGE} AS run
# For what is run by `docker compose exec`, too: `__proto__` reaches no prototype.
ENV NODE_ENV=production \
    NODE_OPTIONS=--disable-proto=throw \
    HOST=0.0.0.0 \
    PORT=3000 \
    RIPOSTE_DATA_DIR=/var/lib/riposte
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY LICENSE THIRD_PARTY.md ./
# Nothing is installed from here on, so what installs is not there: it would bring packages of its own, with their flaws.
# A named volume takes over owner and mode of what it covers.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
  && install -d -o 1000 -g 1000 -m 0700 /var/lib/riposte /var/lib/riposte/archive /var/lib/riposte-keys
# The user `node` of the base image, by number so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 3000
# For the API, also where it serves TLS: its certificate is made for its public name, not for this address. A worker
# brings its own check, see docker-compose.yml.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "require(process.env.TLS_CERT ? 'node:https' : 'node:http').get({ host: '127.0.0.1', port: process.env.PORT || 3000, path: '/health/live', timeout: 4000, rejectUnauthorized: false }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('timeout', () => process.exit(1)).on('error', () => process.exit(1))"]
# The worker's command: node --disable-proto=throw --max-old-space-size=192 --min-semi-space-size=8 --max-semi-space-size=8 dist/apps/worker/main.js
CMD ["node", "--disable-proto=throw", "--max-old-space-size=192", "--min-semi-space-size=8", "--max-semi-space-size=8", "dist/apps/api/main.js"]
