import { createHmac, timingSafeEqual } from "node:crypto";
import type { Hello } from "../core/message.ts";

/**
 * How two ends show each other that they know the cluster's token without sending it: HMAC-SHA256 under the token over
 * both nonces and all that the hello claims. The acceptor's nonce makes the hello fresh, the dialer's nonce the welcome;
 * the leading word keeps one from being replayed as the other.
 */
export type Exchange = {
  /** The cluster's shared secret, any bytes. */
  readonly token: Uint8Array;
  /** The acceptor's. */
  readonly challenge: Uint8Array;
  readonly hello: Omit<Hello, "kind" | "proof">;
};

/** 32 bytes that only a dialer with the token can make. */
export const helloProof = (exchange: Exchange): Uint8Array => sign("hello", exchange);

/** 32 bytes that only an acceptor with the token can make. `pod` and `incarnation` are the acceptor's. */
export const welcomeProof = (
  exchange: Exchange,
  acceptor: { readonly pod: string; readonly incarnation: string },
): Uint8Array => sign(JSON.stringify(["welcome", acceptor.pod, acceptor.incarnation]), exchange);

/** Compares in constant time. */
export const sameProof = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b);

const sign = (purpose: string, { token, challenge, hello }: Exchange): Uint8Array =>
  createHmac("sha256", token)
    .update(
      JSON.stringify([
        purpose,
        Buffer.from(challenge).toString("hex"),
        Buffer.from(hello.nonce).toString("hex"),
        hello.protocol,
        hello.cluster,
        hello.role,
        hello.pod,
        hello.incarnation,
        hello.to,
      ]),
    )
    .digest();
