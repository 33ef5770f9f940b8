import fc from "fast-check";

/** Valid messages with bytes changed, cut off, put in or taken out. */
export const mutated = (valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(4), fc.nat(255)), { maxLength: 4 }))
    .map(([bytes, changes]) => changes.reduce(change, bytes));

const change = (bytes: Uint8Array, [where, how, byte]: [number, number, number]): Uint8Array => {
  const at = bytes.length === 0 ? 0 : where % bytes.length;
  const before = bytes.subarray(0, at);
  switch (how) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, Buffer.from([byte]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([before, bytes.subarray(at + 1)]);
    default:
      // The first bytes of items: where most decisions fall.
      return Buffer.concat([
        before,
        Buffer.from([how === 3 ? byte : (interesting[byte % interesting.length] ?? 0)]),
        bytes.subarray(at + 1),
      ]);
  }
};

const interesting = [
  0x00, 0x17, 0x18, 0x1a, 0x1b, 0x1c, 0x1f, 0x20, 0x3b, 0x40, 0x5a, 0x5b, 0x5f, 0x60, 0x80, 0x82, 0x83, 0x84,
  0x86, 0x87, 0x9a, 0x9b, 0x9f, 0xa1, 0xc2, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xff,
];
