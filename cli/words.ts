/** A line that cannot be split, and why. */
export class LineError extends Error {}

/**
 * Splits a line of the prompt into words, as a shell would: blanks part words, 'single' quotes keep everything, "double"
 * quotes know \n \t \r \" \\, and a backslash outside quotes keeps the next character. Throws a LineError for an open quote.
 */
export const wordsOf = (line: string): string[] => {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (isBlank(line[at])) at++;
    if (at >= line.length) return words;
    let word = "";
    while (at < line.length && !isBlank(line[at])) {
      const part = partAt(line, at);
      word += part.text;
      at = part.end;
    }
    words.push(word);
  }
};

type Part = { readonly text: string; readonly end: number };

const partAt = (line: string, at: number): Part => {
  const char = line.charAt(at);
  if (char === "'") {
    const close = line.indexOf("'", at + 1);
    if (close === -1) throw new LineError("Cannot read the line: a ' is not closed");
    return { text: line.slice(at + 1, close), end: close + 1 };
  }
  if (char === '"') return doubleQuoted(line, at + 1);
  if (char !== "\\") return { text: char, end: at + 1 };
  if (at + 1 === line.length) throw new LineError("Cannot read the line: nothing follows the \\ at its end");
  return { text: line.charAt(at + 1), end: at + 2 };
};

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

const doubleQuoted = (line: string, start: number): Part => {
  let text = "";
  for (let at = start; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '"') return { text, end: at + 1 };
    if (char === "\\" && at + 1 < line.length) {
      const next = line.charAt(++at);
      text += escapes[next] ?? next;
    } else {
      text += char;
    }
  }
  throw new LineError('Cannot read the line: a " is not closed');
};

const isBlank = (char: string | undefined): boolean => char === " " || char === "\t";

/** A word so that the prompt reads it back. */
export const quoted = (word: string): string =>
  /^[^\s'"\\]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
