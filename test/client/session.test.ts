import test from "ava";
import fc from "fast-check";
import { EdisError } from "../../core/errors.ts";
import { epoch, shardId, version } from "../../core/ids.ts";
import { createPlaces, decodeToken, encodeToken } from "../../client/session.ts";

const places = fc.array(
  fc.tuple(
    fc.nat(1023).map(shardId),
    fc.record({
      epoch: fc
        .maxSafeNat()
        .filter((n) => n < Number.MAX_SAFE_INTEGER)
        .map(epoch),
      version: fc
        .maxSafeNat()
        .filter((n) => n < Number.MAX_SAFE_INTEGER)
        .map(version),
    }),
  ),
);

test("a token gives back every place that was seen", (t) => {
  fc.assert(
    fc.property(places, (seen) => {
      const session = createPlaces("uid", seen);
      const again = decodeToken("uid", encodeToken("uid", session));
      t.deepEqual(again.entries("uid"), session.entries("uid"));
    }),
  );
});

test("a place never goes back", (t) => {
  const session = createPlaces("uid");
  const shard = shardId(3);
  session.raise("uid", shard, { epoch: epoch(2), version: version(10) });
  session.raise("uid", shard, { epoch: epoch(2), version: version(9) });
  session.raise("uid", shard, { epoch: epoch(1), version: version(99) });
  t.deepEqual(session.of("uid", shard), { epoch: epoch(2), version: version(10) });
  session.raise("uid", shard, { epoch: epoch(3), version: version(1) });
  t.deepEqual(session.of("uid", shard), { epoch: epoch(3), version: version(1) });
  t.deepEqual(session.of("uid", shardId(0)), { epoch: epoch(0), version: version(0) });
});

test("in a cluster that was made anew a session starts from nothing", (t) => {
  const session = createPlaces("old", [[shardId(0), { epoch: epoch(7), version: version(7) }]]);
  t.deepEqual(session.of("new", shardId(0)), { epoch: epoch(0), version: version(0) });
  session.raise("new", shardId(0), { epoch: epoch(1), version: version(2) });
  t.deepEqual(session.entries("new"), [[shardId(0), { epoch: epoch(1), version: version(2) }]]);
});

test("a token of another cluster and anything else is refused as a bad argument", (t) => {
  const token = encodeToken(
    "uid",
    createPlaces("uid", [[shardId(0), { epoch: epoch(1), version: version(2) }]]),
  );
  t.is(token, "1;uid;0.1.2");
  for (const wrong of [
    "",
    "1;uid",
    "2;uid;",
    "1;other;0.1.2",
    "1;uid;0.1",
    "1;uid;9999.1.2",
    "1;uid;0.-1.2",
    "1;uid;0.1.2;x",
  ]) {
    const error = t.throws(() => decodeToken("uid", wrong), { instanceOf: EdisError }, wrong);
    t.is(error.code, "bad-argument");
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        decodeToken("uid", text);
        return text.startsWith("1;uid;");
      } catch (error) {
        return error instanceof EdisError;
      }
    }),
  );
});
