import test from "ava";
import { durationMs, settingsOf } from "../../cli/settings.ts";
import { exitCodeOf } from "../../cli/exit.ts";
import { jsonValue, shown, table } from "../../cli/output.ts";
import { EdisError, errorCodes, isErrorCode } from "../../core/errors.ts";

test("on a terminal text is shown as it is, and bytes that would act on it are escaped", (t) => {
  t.is(shown(Buffer.from("grün\n\tok")), "grün\n\tok");
  t.is(shown(Buffer.from([0x1b, 0x5b, 0x32, 0x4a])), '"\\x1b[2J"');
  t.is(shown(Buffer.from([0xff, 0x22, 0x41])), '"\\xff\\x22A"');
});

test("in JSON text is text and bytes are base64", (t) => {
  t.deepEqual(jsonValue(Buffer.from("é")), { value: "é" });
  t.deepEqual(jsonValue(Buffer.from([0xff])), { value: "/w==", encoding: "base64" });
  t.deepEqual(jsonValue(null), { value: null });
});

test("columns of a table line up", (t) => {
  t.is(
    table([
      ["A", "LONG", "C"],
      ["aaaa", "b", ""],
    ]),
    "A     LONG  C\naaaa  b\n",
  );
});

test("durations have a unit, seconds by default", (t) => {
  t.deepEqual(
    ["500ms", "10s", "1.5s", "5m", "2h", "1d", "7"].map(durationMs),
    [500, 10_000, 1_500, 300_000, 7_200_000, 86_400_000, 7_000],
  );
  for (const wrong of ["", "s", "-1s", "0", "1w", "1e3s"])
    t.throws(() => durationMs(wrong), { instanceOf: EdisError }, wrong);
});

test("every error code has an exit code other than 0 and 1", (t) => {
  for (const code of Object.keys(errorCodes).filter(isErrorCode)) {
    t.true([2, 3, 4].includes(exitCodeOf(new EdisError(code, ""))), code);
  }
  t.is(exitCodeOf(new EdisError("outcome-unknown", "")), 4);
  t.is(exitCodeOf(new EdisError("timeout", "")), 3);
});

test("options go before the environment, and a pod's own shard comes last", (t) => {
  const options = { output: "text", timeout: 5_000 } as const;
  t.deepEqual(settingsOf(options, {}).info, ["ws://127.0.0.1:7378"]);
  const env = { EDIS_INFO: "ws://a:1, ws://b:2", EDIS_CLUSTER: "x/y", EDIS_POD: "y-write-0" };
  t.deepEqual(settingsOf(options, env).info, ["ws://a:1", "ws://b:2", "ws://127.0.0.1:7379"]);
  t.is(settingsOf(options, env).cluster, "x/y");
  t.is(settingsOf(options, { ...env, EDIS_CLUSTER_NAME: "u/v" }).cluster, "u/v");
  const named = settingsOf({ ...options, info: "ws://c:3", cluster: "p/q" }, env);
  t.deepEqual([named.info, named.cluster], [["ws://c:3"], "p/q"]);
});
