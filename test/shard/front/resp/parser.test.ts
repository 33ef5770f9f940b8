import test from "ava";
import fc from "fast-check";
import { valueBytesMax } from "../../../../core/limits.ts";
import { createParser, ProtocolError } from "../../../../shard/front/resp/parser.ts";

const encode = (args: readonly Uint8Array[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${args.length}\r\n`),
    ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from("\r\n")]),
  ]);

/** Everything that comes out when the pieces are fed one after the other, each in one buffer behind `head` bytes of room. */
const parseWith = (pieces: readonly Buffer[], head: number): string[][] => {
  const parser = createParser();
  const found: string[][] = [];
  const buffer = Buffer.alloc(head + Math.max(0, ...pieces.map(({ length }) => length)));
  for (const piece of pieces) {
    piece.copy(buffer, head);
    parser.feed(buffer, head, head + piece.length);
    while (parser.read() > 0) found.push(parser.args().map((arg) => arg.toString("latin1")));
    parser.keep();
    // The next read of another connection.
    buffer.fill(0x2a);
  }
  return found;
};

/** The same with much room, little and none. */
const parseAll = (pieces: readonly Buffer[]): string[][] => {
  const [found = [], ...others] = [1024, 20, 0].map((head) => parseWith(pieces, head));
  for (const other of others)
    if (JSON.stringify(other) !== JSON.stringify(found)) throw new Error("the room makes a difference");
  return found;
};
const texts = (commands: readonly (readonly Uint8Array[])[]): string[][] =>
  commands.map((args) => args.map((arg) => Buffer.from(arg).toString("latin1")));

const commands = fc.array(fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 5 }), {
  maxLength: 6,
});

test("a stream of commands is read the same wherever it is cut once", (t) => {
  fc.assert(
    fc.property(commands, (sent) => {
      const bytes = Buffer.concat(sent.map(encode));
      for (let cut = 0; cut <= bytes.length; cut++)
        t.deepEqual(parseAll([bytes.subarray(0, cut), bytes.subarray(cut)]), texts(sent));
    }),
    { numRuns: 30 },
  );
});

test("a stream that comes byte by byte, or in any pieces, is read the same", (t) => {
  fc.assert(
    fc.property(commands, fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 40 }), (sent, sizes) => {
      const bytes = Buffer.concat(sent.map(encode));
      const pieces: Buffer[] = [];
      let at = 0;
      for (const size of sizes) pieces.push(bytes.subarray(at, (at = Math.min(bytes.length, at + size))));
      pieces.push(bytes.subarray(at));
      t.deepEqual(parseAll(pieces), texts(sent));
      t.deepEqual(parseAll([...bytes].map((byte) => Buffer.from([byte]))), texts(sent));
    }),
    { numRuns: 100 },
  );
});

test("inline commands are words with quotes and escapes; empty ones ask for nothing", (t) => {
  const line = Buffer.from("\r\n*0\r\nSET a \"x y\\x41\\n\"\r\nGET 'it\\'s'\nPING\r\n");
  t.deepEqual(parseAll([line]), [["SET", "a", "x yA\n"], ["GET", "it's"], ["PING"]]);
  for (let cut = 0; cut <= line.length; cut++)
    t.is(parseAll([line.subarray(0, cut), line.subarray(cut)]).length, 3);
});

for (const [what, sent, message] of [
  ["a bulk that is too long", `*1\r\n$${valueBytesMax + 1}\r\n`, "invalid bulk length"],
  ["a negative bulk", "*1\r\n$-1\r\n", "invalid bulk length"],
  ["too many arguments", "*1048577\r\n", "invalid multibulk length"],
  ["a count that is no number", "*x\r\n", "invalid multibulk length"],
  ["something else than a bulk", "*1\r\n:1\r\n", "expected '$', got ':'"],
  ["a quote that is not closed", 'SET "a\r\n', "unbalanced quotes in request"],
  ["an endless line", "x".repeat(70_000), "too big inline request"],
  ["an endless count", `*${"1".repeat(70_000)}`, "too big mbulk count string"],
] as const) {
  test(`${what} is refused with Redis's words`, (t) => {
    t.throws(() => parseAll([Buffer.from(sent)]), { instanceOf: ProtocolError, message });
  });
}

test("mutated streams are read or refused, and hold no more than was sent", (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      const parser = createParser();
      let sent = 0;
      try {
        for (const piece of pieces) {
          sent += piece.length;
          parser.feed(Buffer.from(piece), 0, piece.length);
          while (parser.read() > 0);
          t.true(parser.held() <= sent);
        }
      } catch (error) {
        t.true(error instanceof ProtocolError);
      }
    }),
  );
});
