const units: Readonly<Record<string, number>> = {
  ...{ "": 1, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};
const pattern = /^([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE]([+-]?[0-9]{1,2})|([A-Za-z]{0,2}))$/;

/** The bytes that a Kubernetes quantity means, rounded up; undefined where it is none. */
export const bytesOfQuantity = (text: string): number | undefined => {
  const [, number = "", exponent, unit = ""] = pattern.exec(text) ?? [];
  const scale = exponent === undefined ? units[unit] : 10 ** Number(exponent);
  const bytes = number === "" || scale === undefined ? NaN : Math.ceil(Number(number) * scale);
  return Number.isFinite(bytes) ? bytes : undefined;
};
