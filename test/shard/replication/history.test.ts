import test from "ava";
import { epoch, version } from "../../../core/ids.ts";
import { historyUpTo, historyWith, isPartOf } from "../../../shard/replication/history.ts";

const history = [
  { epoch: epoch(1), startVersion: version(0) },
  { epoch: epoch(4), startVersion: version(480) },
];
const at = (e: number, v: number) => ({ epoch: epoch(e), version: version(v) });
const end = version(600);

test("a place is part of the data up to where its epoch ended, and not beyond", (t) => {
  t.true(isPartOf(at(1, 0), history, end));
  t.true(isPartOf(at(1, 480), history, end));
  t.false(isPartOf(at(1, 481), history, end), "written in epoch 1 after epoch 4 had begun: lost");
  t.true(isPartOf(at(4, 480), history, end));
  t.true(isPartOf(at(4, 600), history, end));
  t.false(isPartOf(at(4, 601), history, end));
  t.false(isPartOf(at(4, 479), history, end));
  t.false(isPartOf(at(2, 100), history, end), "an epoch that this data never had");
  t.false(isPartOf(at(0, 0), history, end), "nothing at all takes a full copy");
});

test("one who got as far as an epoch knows nothing of later ones", (t) => {
  t.deepEqual(historyUpTo(history, epoch(3)), history.slice(0, 1));
  t.deepEqual(historyWith(historyUpTo(history, epoch(3)), epoch(5), version(470)), [
    { epoch: epoch(1), startVersion: version(0) },
    { epoch: epoch(5), startVersion: version(470) },
  ]);
});
