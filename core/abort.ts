/**
 * Aborts the controller when the signal is; answers what ends that, to be called when the controller is of no more use. Instead of
 * `AbortSignal.any`: Node.js keeps the signals of that, and all that listens to them, for as long as none of them is aborted.
 */
export const abortWith = (controller: AbortController, signal: AbortSignal): (() => void) => {
  const abort = (): void => {
    controller.abort(signal.reason);
  };
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return () => {
    signal.removeEventListener("abort", abort);
  };
};
