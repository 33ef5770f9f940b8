import test from "ava";
import { createExpiryQueue } from "../../../shard/store/expiryQueue.ts";

test("a queue drops replaced deadlines before it holds many more than there are keys", (t) => {
  const current = new Map<string, number>();
  const queue = createExpiryQueue(
    (key) => current.get(key),
    () => current.size,
  );
  for (let i = 0; i < 10_000; i++) {
    current.set(`key:${i % 100}`, i);
    queue.add(`key:${i % 100}`, i);
    t.true(queue.length() <= 1_024);
  }
  t.deepEqual(queue.due(9_901, 10), ["key:0", "key:1"]);
});
