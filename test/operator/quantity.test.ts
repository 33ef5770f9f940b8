import test from "ava";
import { bytesOfQuantity } from "../../operator/quantity.ts";

test("a quantity is read as Kubernetes reads it", (t) => {
  const cases: Readonly<Record<string, number | undefined>> = {
    ...{ "1": 1, "0": 0, "1.5Ki": 1536, "2k": 2000, "1Gi": 2 ** 30, "1e3": 1000, "1E": 1e18, "1500m": 2 },
    ...{ ".5Mi": 2 ** 19, "12E2": 1200, "1Ei": 2 ** 60 },
    ...{
      "": undefined,
      "-1": undefined,
      "1 Gi": undefined,
      "1gi": undefined,
      Gi: undefined,
      "1Kib": undefined,
    },
  };
  for (const [text, bytes] of Object.entries(cases)) t.is(bytesOfQuantity(text), bytes, text);
});
