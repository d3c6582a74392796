/** Bytes, a text, or a value that JSON can tell. */
export type Contents = ArrayBuffer | ArrayBufferView | string | number | boolean | null | object;

/** A message of a peer. It is consumed when the next one is asked for, or by `consume`. */
export interface Message {
  readonly from: string;
  /** The number that the sender's `send` gave. */
  readonly sequence: number;
  /** The number among all of this peer in this side's store: it only grows. */
  readonly index: number;
  readonly bytes: Uint8Array;
  /** The content type that the sender set: `application/json`, a text's, or empty for bytes. */
  readonly type: string;
  text(): string;
  json(): unknown;
  /** Completes when the store knows that this message, and those before, are done with. */
  consume(): Promise<void>;
}

export interface Event {
  /** `peer_connected`, `store_lost` and so on: the names of ilm::event_kind. */
  readonly kind: string;
  /** Empty for an event of no peer. */
  readonly peer: string;
  /** A line for people. */
  readonly text: string;
  readonly error: string;
}

/** Why something failed; its message says what to do. */
export class IlmError extends Error {
  readonly category: string;
  readonly number: number;
}

export interface Messenger {
  readonly id: string;
  /** Dials a peer at a URL, `wss://chat.example/ilm` say, from now on. */
  addPeer(peer: string, url: string): Promise<void>;
  /** Completes with the message's number once it is stored: it arrives, whatever happens. */
  send(peer: string, contents: Contents): Promise<number>;
  /** Completes when the peer's application has consumed the message with this number. */
  delivered(peer: string, sequence: number): Promise<void>;
  /** Messages of all peers, each once, those of one peer in order. A loop that is left can be entered anew. */
  readonly inbox: AsyncIterableIterator<Message>;
  /** What happens to sessions and to the store. Those that nobody reads are kept, within bounds: more are counted and dropped. */
  readonly events: AsyncIterableIterator<Event>;
  /** A hint that peers may be reachable now. */
  reconnect(): Promise<void>;
  /** Ends it; up to `timeout` ms for messages on their way. The others stay in the store. */
  close(options?: { timeout?: number }): Promise<{ undelivered: number }>;
}

export interface Options {
  /** The name under which peers know this side. */
  id: string;
  /** Where peers are dialed that have no URL of their own. */
  url?: string;
  /** The URLs of peers that are dialed at once. */
  peers?: Record<string, string>;
  /** The name of the store in IndexedDB, one messenger's; without it messages are gone with the page. */
  store?: string;
  /** A worker of the page's own that runs the package's worker.mjs. */
  worker?: Worker;
}

/** Opens the store and begins. Fails where another tab has the store. */
export function open(options: Options): Promise<Messenger>;
