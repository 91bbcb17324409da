// @ts-check
// Carries out what GuestEngine decides: one WebSocket to the relay at a time, and the screen. Events are handled one after the other.

import { GuestEngine } from "./engine.js";
import { kinds } from "./frames.js";

/** Waits between attempts to reconnect, in milliseconds; a half more at random, so that not everybody comes at once. */
const BACKOFF = [100, 250, 500, 1000, 2000, 5000];
/** Connection attempts before giving up, while no join has succeeded. */
const FIRST_ATTEMPTS = 3;
/** How long to try to come back, in milliseconds: the relay keeps a host's seat for five minutes. */
const PATIENCE = 6 * 60_000;
/** From the first packet to the finished upgrade, in milliseconds. */
const OPEN_TIMEOUT = 15_000;
/** A page sees no pings: after so much silence, in milliseconds, it asks for a sign of life, and after as much again the server counts as
 *  gone. */
const SILENCE = 10_000;
/** Frames that wait to be opened, in bytes: far above the window of a lossless share, and a second or two of work for a phone. */
const QUEUE_LIMIT = 4 << 20;
/** How long the host may take to confirm input before the person is told, in milliseconds. */
const CONFIRMATION_TIME = 5_000;

/**
 * @typedef {object} Display
 * @property {(rows: number, columns: number) => void} restart
 * @property {(rows: number, columns: number) => void} resize
 * @property {(bytes: Uint8Array) => void} show
 * @property {() => Promise<void>} painted resolves when what was shown is on the screen
 * @property {(status: import("./engine.js").Status | {name: "unconfirmed"}) => void} tell
 * @property {(ending: import("./engine.js").Ending | {name: "unreachable", why: string} | {name: "left"}) => void} end
 */

export class Connection {
  #attempt = 0;
  #failures = 0;
  #hasJoined = false;
  /** @type {number | null} */
  #lostAt = null;
  /** @type {WebSocket | null} */
  #socket = null;
  #isDone = false;
  #queue = Promise.resolve();
  #hasUnpainted = false;
  #isUnconfirmed = false;
  #queuedBytes = 0;
  #isAway = false;
  /** @type {number | undefined} */
  #watch;
  /** When the socket last brought something, and whether it was asked since. */
  #heardAt = 0;
  #hasAsked = false;

  /**
   * @param {string} url of the relay
   * @param {GuestEngine} engine
   * @param {Display} display
   */
  constructor(url, engine, display) {
    this.url = url;
    this.engine = engine;
    this.display = display;
    // A phone that slept comes back at once, not when the next wait is over.
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  start() {
    this.#connect();
    this.#listening = setInterval(() => this.#listen(), SILENCE / 4);
  }

  /** @type {number | undefined} */
  #listening;

  /** Notices a server that has gone without a word. */
  #listen() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || Date.now() - this.#heardAt < SILENCE) return;
    if (!this.#hasAsked) {
      this.#hasAsked = true;
      this.#heardAt = Date.now();
      // The answer is an error, which is a sign of life: this connection has its seat.
      return this.#send(JSON.stringify({ type: "resume", id: "alive", resumeToken: "-", binary: true }));
    }
    this.#lose(socket);
  }

  /**
   * Gives a socket up; closing it in order would wait for a server that does not answer.
   * @param {WebSocket} socket
   */
  #lose(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    this.#run(() => this.#closed(1006, "the connection was lost"));
  }

  /** @type {number | undefined} */
  #retry;

  #wake() {
    if (this.#isDone) return;
    if (this.#socket) {
      // A question is on its way already.
      if (this.#hasAsked) return;
      // It may be dead since the machine slept: asked now, and not when the silence has lasted.
      this.#heardAt = Math.min(this.#heardAt, Date.now() - SILENCE);
      return this.#listen();
    }
    if (this.#retry === undefined) return;
    clearTimeout(this.#retry);
    this.#connect();
  }

  #connect() {
    this.#retry = undefined;
    if (this.#isDone) return;
    const socket = new WebSocket(this.url, "postern.v1");
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const timeout = setTimeout(() => this.#lose(socket), OPEN_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(timeout);
      this.#heard();
      this.#run(() => this.engine.opened());
    };
    socket.onmessage = (event) => {
      this.#heard();
      if (typeof event.data !== "string") {
        const frame = new Uint8Array(event.data);
        // A page cannot stop reading. What it cannot keep up with is skipped: the gap makes the engine ask for a snapshot.
        if (this.#queuedBytes > QUEUE_LIMIT && frame[1] === kinds.broadcast) return;
        this.#queuedBytes += frame.length;
        return this.#run(() => {
          this.#queuedBytes -= frame.length;
          return this.engine.frame(frame);
        });
      }
      /** @type {any} */
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return;
      }
      if (message?.type === "ack" && message.success === true) this.#connected();
      if (message && typeof message === "object") this.#run(() => this.engine.received(message));
    };
    socket.onclose = (event) => {
      clearTimeout(timeout);
      if (this.#socket === socket) this.#socket = null;
      this.#run(() => this.#closed(event.code, event.reason));
    };
  }

  #heard() {
    this.#heardAt = Date.now();
    this.#hasAsked = false;
  }

  #connected() {
    this.#hasJoined = true;
    this.#failures = 0;
    this.#lostAt = null;
    this.#attempt = 0;
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @returns {import("./engine.js").Action[]}
   */
  #closed(code, reason) {
    this.#failures += 1;
    if (!this.#hasJoined && this.#failures >= FIRST_ATTEMPTS) {
      this.#finish({ name: "unreachable", why: "The server cannot be reached." });
      return [];
    }
    // Nobody has seen anything yet that could be lost. 1006: no close frame came.
    if (!this.#hasJoined && code === 1006) {
      this.#reconnect();
      return [];
    }
    return this.engine.closed(code, reason);
  }

  #reconnect() {
    this.#lostAt ??= Date.now();
    if (Date.now() - this.#lostAt > PATIENCE) {
      return this.#finish({ name: "unreachable", why: "The connection was lost. Open the link again when the server is available." });
    }
    const base = BACKOFF[Math.min(this.#attempt++, BACKOFF.length - 1)];
    this.#retry = setTimeout(() => this.#connect(), base + Math.random() * base / 2);
  }

  /**
   * Handles one event behind those before it.
   * @param {() => import("./engine.js").Action[] | Promise<import("./engine.js").Action[]>} event
   */
  #run(event) {
    this.#queue = this.#queue.then(async () => {
      if (this.#isDone) return;
      for (const action of await event()) this.#carryOut(action);
    }).catch((error) => {
      console.error(error);
      this.#finish({ name: "tampering", why: "this page failed: " + error.message });
    });
  }

  /** @param {import("./engine.js").Action} action */
  #carryOut(action) {
    if (this.#isDone) return;
    switch (action.do) {
      case "send": return this.#send(JSON.stringify(action.message));
      case "frame": return this.#send(action.bytes);
      case "show":
        this.display.show(action.bytes);
        return this.#acknowledgeWhenPainted();
      case "restart": return this.display.restart(action.rows, action.columns);
      case "resize": return this.display.resize(action.rows, action.columns);
      case "status": return this.#tell(action.status);
      case "reconnect": return this.#reconnect();
      case "finish": return this.#finish(action.ending);
    }
  }

  /** @param {string | Uint8Array} data */
  #send(data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  #acknowledgeWhenPainted() {
    if (this.#hasUnpainted) return;
    this.#hasUnpainted = true;
    this.display.painted().then(() => {
      this.#hasUnpainted = false;
      this.#run(() => this.engine.shown());
    });
  }

  /** @param {import("./engine.js").Status | {name: "unconfirmed"}} status */
  #tell(status) {
    this.#isUnconfirmed = status.name === "unconfirmed";
    if (["disconnected", "hostAway", "waitingForHost"].includes(status.name)) this.#isAway = true;
    if (["back", "joined"].includes(status.name)) this.#isAway = false;
    // The word about lost input stays until the person has answered it.
    if (status.name === "back" && this.engine.lostInput > 0) status = { name: "inputLost", bytes: this.engine.lostInput };
    this.display.tell(status);
  }

  /** @param {Uint8Array} bytes what the person typed */
  type(bytes) {
    this.#run(() => this.engine.typed(bytes));
    this.#watchConfirmation();
  }

  /** @param {string} name */
  rename(name) {
    this.#run(() => this.engine.rename(name));
  }

  /** The person has seen that input was lost. */
  continueInput() {
    this.#run(() => {
      this.engine.continueInput();
      return [{ do: "status", status: { name: "back" } }];
    });
  }

  /** A relay can hold keystrokes back for as long as it likes; at least the person knows. */
  #watchConfirmation() {
    if (this.#watch !== undefined) return;
    const before = this.engine.confirmations;
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      if (this.#isDone) return;
      const now = this.engine.unconfirmedInput;
      const hasMoved = now === 0 || this.engine.confirmations !== before;
      if (hasMoved && this.#isUnconfirmed) this.#tell({ name: "back" });
      if (!hasMoved && now > 0 && !this.#isUnconfirmed && !this.#isAway && this.engine.canType) this.#tell({ name: "unconfirmed" });
      if (now > 0) this.#watchConfirmation();
    }, CONFIRMATION_TIME);
  }

  leave() {
    this.#finish({ name: "left" });
  }

  /** @param {import("./engine.js").Ending | {name: "unreachable", why: string} | {name: "left"}} ending */
  #finish(ending) {
    if (this.#isDone) return;
    this.#isDone = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#watch);
    clearInterval(this.#listening);
    // Code 1000: the seat is free at once.
    this.#socket?.close(1000);
    this.display.end(ending);
  }
}
