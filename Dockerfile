# One image: operator, shards and the edis command. Bundles only; `make image` builds them and then this.
FROM node:24-bookworm-slim

# npm and yarn are of no use here, and a package manager less is a risk less.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn*

# A wildcard, so that a missing bundle is said in words by the next step rather than as a missing path.
COPY LICENSE dist/*.cj[s] /edis/
RUN test -f /edis/operator.cjs -a -f /edis/shard.cjs -a -f /edis/edis.cjs \
  || { echo "The bundles are missing: run 'make build' before 'docker build .' (or 'make image' for both)." >&2; exit 1; } \
  && chmod 0755 /edis /edis/edis.cjs \
  && chmod 0644 /edis/operator.cjs /edis/shard.cjs \
  && ln -s /edis/edis.cjs /usr/local/bin/edis \
  && install -d -o 65532 -g 65532 -m 0750 /data

# Pages of 2 MiB where the C library maps that much, and the node allows it: the shards' stores are read at random. And two places
# to take memory from, not one for each thread (operator/local/process.ts says the same).
ENV NODE_ENV=production GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2
USER 65532:65532
WORKDIR /data
# client, replication, http, info
EXPOSE 6379 7379 7380 8080 7378
CMD ["edis", "--help"]
