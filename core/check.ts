/** Throws where a promise inside the program is broken: a defect, never an answer to the outside world. */
export function check(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new Error(`Broken promise: ${promise}`);
}
