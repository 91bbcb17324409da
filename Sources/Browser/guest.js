// @ts-check
// The page of an invitation, /j/CODE#secret: joins the session, and is its terminal.

import { utf8 } from "./bytes.js";
import { Connection } from "./connection.js";
import { missing } from "./cryptography.js";
import { GuestEngine } from "./engine.js";
import { keyText, mouseBytes, pasteText } from "./keys.js";
import { Screen } from "./screen.js";
import { View } from "./view.js";

/** Font sizes that a person can choose, in pixels. */
const FONT = { least: 6, most: 40, comfortable: 7.5, largest: 20 };
/** The bell is seen for so long, in milliseconds. */
const BELL_TIME = 150;

/**
 * @param {string} id
 * @returns {any}
 */
const element = (id) => document.getElementById(id);
const body = document.body;
const code = body.dataset.code ?? "";

/**
 * What the person is told for each status.
 * @type {Record<string, string>}
 */
const sentences = {
  waitingForHost: "The host is not connected yet. Waiting for it.",
  waitingForApproval: "Waiting for the host to admit you.",
  hostAway: "The host is disconnected. Waiting for it to reconnect; the screen may be out of date.",
  disconnected: "The connection was lost. Reconnecting; the screen may be out of date.",
  unconfirmed: "The host has not confirmed what you typed.",
};

/** The secret that stands behind the #. It is taken out of the address at once, and kept for a reload of this tab only. */
function takeSecret() {
  const fragment = location.hash.slice(1);
  if (fragment) history.replaceState({ secret: fragment }, "", location.pathname);
  const secret = (fragment || history.state?.secret || "").split(".")[0].toLowerCase();
  return /^[0-9a-f]{32}$/.test(secret) ? secret : null;
}

/**
 * @param {string} name
 * @param {string} text
 */
function show(name, text = "") {
  body.dataset.state = name;
  element("message").textContent = text;
  element("again").hidden = true;
}

class Guest {
  #scale = 1;
  #ratio = 0.6;
  #watchesOnly = false;
  #controlIsHeld = false;
  #needsReturn = false;
  #hasScreen = false;

  /** @param {Screen} screen */
  constructor(screen) {
    this.screen = screen;
    this.terminal = element("terminal");
    this.keyboard = element("keyboard");
    this.view = new View(
      screen,
      { terminal: this.terminal, history: element("history"), screen: element("screen"), cursor: element("cursor"), live: element("live") },
      { bell: () => this.#bell(), titled: (title) => this.#titled(title), resized: () => this.#fit() });
    this.#listen();
  }

  /** @param {import("./handshake.js").Invitation} invitation */
  join(invitation) {
    show("waiting", "Joining …");
    let name = "";
    try {
      name = localStorage.getItem("postern-name") ?? "";
    } catch { /* A browser that stores nothing. */ }
    element("name").value = name;
    this.engine = new GuestEngine(invitation, name, this.screen.elligator);
    const url = new URL("/relay", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.connection = new Connection(url.href, this.engine, this);
    this.connection.start();
  }

  // Connection's display

  /**
   * @param {number} rows
   * @param {number} columns
   */
  restart(rows, columns) {
    this.screen.restart(rows, columns);
    this.view.schedule();
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  resize(rows, columns) {
    this.screen.resize(rows, columns);
    this.view.schedule();
  }

  /** @param {Uint8Array} bytes */
  show(bytes) {
    this.screen.feed(bytes);
    this.view.schedule();
  }

  painted() {
    return this.view.painted();
  }

  /** @param {import("./engine.js").Status | {name: "unconfirmed"}} status */
  tell(status) {
    if (status.name === "skipped") return;
    this.#needsReturn = status.name === "inputLost";
    if (status.name === "joined" || status.name === "back") {
      const isFirst = !this.#hasScreen;
      this.#hasScreen = this.#hasScreen || status.name === "joined";
      this.terminal.classList.toggle("used", this.#hasScreen);
      if (isFirst && this.#hasScreen) this.view.painted().then(() => performance.mark("first-screen"));
      show(this.#hasScreen ? "joined" : "waiting", this.#hasScreen ? "" : "Joining …");
      this.#describe();
      if (isFirst) this.keyboard.focus({ preventScroll: true });
      return;
    }
    const text = status.name === "inputLost"
      ? `The last ${status.bytes} bytes you typed did not arrive. Check the screen, then press Return to continue.`
      : sentences[status.name] ?? "";
    show(this.#hasScreen ? "stale" : "waiting", text);
  }

  /** @param {Parameters<import("./connection.js").Display["end"]>[0]} ending */
  end(ending) {
    const [text, canTryAgain] = endingText(ending);
    show("ended", text);
    element("again").hidden = !canTryAgain;
    element("badge").textContent = "ended";
    document.title = "Ended · Postern";
  }

  #describe() {
    const { engine } = this;
    if (!engine) return;
    const isWatching = engine.permission !== "control" || this.#watchesOnly;
    element("badge").textContent = isWatching ? "read-only" : "you can type";
    element("host").textContent = engine.hostName;
    element("session").textContent = engine.title;
    element("give-back").hidden = engine.permission !== "control";
    element("give-back").textContent = this.#watchesOnly ? "Type again" : "Give control back";
    body.classList.toggle("watching", isWatching);
    this.#titled("");
  }

  /** @param {string} title */
  #titled(title) {
    document.title = `${title || this.engine?.title || "Shared terminal"} · Postern`;
  }

  #bell() {
    this.terminal.classList.add("bell");
    setTimeout(() => this.terminal.classList.remove("bell"), BELL_TIME);
  }

  // The person

  #listen() {
    document.addEventListener("keydown", (event) => this.#keydown(event));
    this.keyboard.addEventListener("input", (/** @type {InputEvent} */ event) => event.isComposing || this.#composed());
    this.keyboard.addEventListener("compositionend", () => this.#composed());
    document.addEventListener("paste", (event) => this.#paste(event));
    this.terminal.addEventListener("mousedown", (/** @type {MouseEvent} */ event) => this.#mouse("down", event));
    this.terminal.addEventListener("mouseup", (/** @type {MouseEvent} */ event) => this.#mouse("up", event));
    this.terminal.addEventListener("mousemove", (/** @type {MouseEvent} */ event) => this.#mouse("move", event));
    this.terminal.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.#wheel(event), { passive: false });
    this.terminal.addEventListener("click", () => {
      if (getSelection()?.isCollapsed ?? true) this.keyboard.focus({ preventScroll: true });
    });
    for (const name of ["focus", "blur"]) {
      addEventListener(name, () => {
        if (this.view.state && this.view.state.flags & 16) this.#type(name === "focus" ? "\x1b[I" : "\x1b[O");
      });
    }
    // Also when a line above it comes or goes.
    new ResizeObserver(() => this.#fit()).observe(this.terminal);
    this.#pinch();
    element("keys").addEventListener("click", (/** @type {Event} */ event) => this.#softKey(event));
    // The keyboard of a phone stays where it is.
    element("keys").addEventListener("mousedown", (/** @type {Event} */ event) => event.preventDefault());
    element("menu-button").addEventListener("click", () => this.#openMenu());
    element("leave").addEventListener("click", () => this.connection?.leave());
    element("give-back").addEventListener("click", () => {
      this.#watchesOnly = !this.#watchesOnly;
      this.#describe();
    });
    element("larger").addEventListener("click", () => this.#zoom(1.15));
    element("smaller").addEventListener("click", () => this.#zoom(1 / 1.15));
    element("again").addEventListener("click", () => location.reload());
    element("menu").addEventListener("close", () => {
      const name = element("name").value.trim();
      try {
        localStorage.setItem("postern-name", name);
      } catch { /* A browser that stores nothing. */ }
      this.connection?.rename(name);
      this.keyboard.focus({ preventScroll: true });
    });
  }

  #openMenu() {
    this.#describe();
    element("menu").showModal();
  }

  /** @param {KeyboardEvent} event */
  #keydown(event) {
    if (body.dataset.state !== "joined" && body.dataset.state !== "stale") return;
    if (element("menu").open || event.target instanceof HTMLElement && event.target.closest("header, #keys, form")) return;
    // As on the command line; and the way out of a page that takes every key.
    if (event.ctrlKey && event.key === "]") {
      event.preventDefault();
      return this.#openMenu();
    }
    const isCopy = event.ctrlKey && !event.shiftKey && event.key.toLowerCase() === "c" && !(getSelection()?.isCollapsed ?? true);
    if (isCopy || event.ctrlKey && event.key.toLowerCase() === "v") return;
    if (this.#needsReturn) {
      if (event.key === "Enter") this.connection?.continueInput();
      return event.preventDefault();
    }
    // Who may not type needs the keys for the page: to scroll, to search, to go on.
    if (!this.engine?.canType || this.#watchesOnly) return;
    const text = keyText(this.#controlIsHeld ? withControl(event) : event, this.view.state?.flags ?? 0);
    if (text === null) return;
    event.preventDefault();
    this.#releaseControl();
    getSelection()?.removeAllRanges();
    this.#type(text);
  }

  /** What an input method, a dead key or a phone's keyboard wrote. */
  #composed() {
    const { value } = this.keyboard;
    if (!value) return;
    this.keyboard.value = "";
    const text = value.replaceAll("\n", "\r");
    if (this.#controlIsHeld && [...text].length === 1) {
      this.#releaseControl();
      const control = keyText({ key: text, ctrlKey: true, altKey: false, shiftKey: false, metaKey: false }, 0);
      return this.#type(control ?? text);
    }
    this.#type(text);
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    if (event.target instanceof HTMLInputElement || !this.#hasScreen) return;
    event.preventDefault();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (text) this.#type(pasteText(text, this.view.state?.flags ?? 0));
  }

  /** @param {string | Uint8Array} text */
  #type(text) {
    if (!this.connection || !this.engine?.canType || this.#watchesOnly) return;
    this.connection.type(typeof text === "string" ? utf8(text) : text);
    this.view.scrollToEnd();
  }

  /**
   * @param {"down" | "up" | "move"} kind
   * @param {MouseEvent} event
   */
  #mouse(kind, event) {
    const { state } = this.view;
    // With Shift the mouse selects text, whatever the program wants.
    if (!state?.mouse || event.shiftKey || !this.engine?.canType || this.#watchesOnly) return;
    const cell = this.view.cell(event.clientX, event.clientY);
    if (!cell) return;
    if (kind === "move" && cell.row === this.#lastCell?.row && cell.column === this.#lastCell?.column) return;
    this.#lastCell = cell;
    const bytes = mouseBytes(kind, cell, event, state.mouse, state.mouseEncoding);
    if (!bytes) return;
    event.preventDefault();
    this.keyboard.focus({ preventScroll: true });
    this.#type(bytes);
  }

  /** @type {{row: number, column: number} | null} */
  #lastCell = null;
  /** Turned since the last step. */
  #wheeled = 0;

  /** @param {WheelEvent} event */
  #wheel(event) {
    const { state } = this.view;
    if (!state || event.ctrlKey || event.shiftKey || !this.engine?.canType || this.#watchesOnly) return;
    const isMeant = state.mouse !== 0 || (state.flags & 64) !== 0;
    if (!isMeant || event.deltaY === 0) return;
    event.preventDefault();
    // One step for a line's height: touch pads send many small ones.
    const line = event.deltaMode === 0 ? element("screen").getBoundingClientRect().height / state.rows : 1;
    this.#wheeled = Math.sign(this.#wheeled) === Math.sign(event.deltaY) ? this.#wheeled + event.deltaY : event.deltaY;
    if (Math.abs(this.#wheeled) < line) return;
    this.#wheeled = 0;
    const cell = this.view.cell(event.clientX, event.clientY);
    const isUp = event.deltaY < 0;
    if (state.mouse && cell) {
      const bytes = mouseBytes(isUp ? "wheelUp" : "wheelDown", cell, event, state.mouse, state.mouseEncoding);
      if (bytes) this.#type(bytes);
    } else if (state.flags & 64) {
      // A full-screen program that does not know the mouse: arrows, as other terminals send.
      this.#type((keyText({ key: isUp ? "ArrowUp" : "ArrowDown", ctrlKey: false, altKey: false, shiftKey: false, metaKey: false }, state.flags) ?? "").repeat(3));
    }
  }

  /** @param {Event} event of the row of keys on a phone */
  #softKey(event) {
    const button = event.target instanceof HTMLElement ? event.target.closest("button") : null;
    const key = button?.dataset.key;
    if (!key) return;
    this.keyboard.focus({ preventScroll: true });
    if (key === "Control") {
      this.#controlIsHeld = !this.#controlIsHeld;
      button.setAttribute("aria-pressed", String(this.#controlIsHeld));
      return;
    }
    const pressed = { key, ctrlKey: this.#controlIsHeld, altKey: false, shiftKey: false, metaKey: false };
    const text = keyText(pressed, this.view.state?.flags ?? 0);
    this.#releaseControl();
    if (text !== null) this.#type(text);
  }

  #releaseControl() {
    this.#controlIsHeld = false;
    document.querySelector("[data-key=Control]")?.setAttribute("aria-pressed", "false");
  }

  // Size

  /** The host's window fits into the page where that stays readable. */
  #fit() {
    const { state } = this.view;
    if (!state) return;
    const probe = element("probe");
    this.#ratio = probe.getBoundingClientRect().width / 100 / parseFloat(getComputedStyle(probe).fontSize);
    const { clientWidth, clientHeight } = this.terminal;
    const fitting = Math.min((clientWidth - 18) / (state.columns * this.#ratio), (clientHeight - 18) / (state.rows * 1.2));
    const size = Math.min(Math.max(fitting, FONT.comfortable), FONT.largest) * this.#scale;
    this.terminal.style.setProperty("--font-size", `${Math.min(Math.max(size, FONT.least), FONT.most).toFixed(2)}px`);
    this.view.scrollToEnd();
  }

  /** @param {number} factor */
  #zoom(factor) {
    this.#scale = Math.min(Math.max(this.#scale * factor, 0.4), 4);
    this.#fit();
  }

  #pinch() {
    let distance = 0;
    const between = (/** @type {TouchEvent} */ event) => Math.hypot(
      event.touches[0].clientX - event.touches[1].clientX, event.touches[0].clientY - event.touches[1].clientY);
    this.terminal.addEventListener("touchstart", (/** @type {TouchEvent} */ event) => {
      distance = event.touches.length === 2 ? between(event) : 0;
    }, { passive: true });
    this.terminal.addEventListener("touchmove", (/** @type {TouchEvent} */ event) => {
      if (event.touches.length !== 2 || !distance) return;
      event.preventDefault();
      const now = between(event);
      this.#zoom(now / distance);
      distance = now;
    }, { passive: false });
  }
}

/** @param {KeyboardEvent} event as if Ctrl were held */
const withControl = (event) => ({
  key: event.key, ctrlKey: true, altKey: event.altKey, shiftKey: event.shiftKey, metaKey: event.metaKey, isComposing: event.isComposing });

/**
 * @param {Parameters<import("./connection.js").Display["end"]>[0]} ending
 * @returns {[string, boolean]} and whether to offer another try
 */
function endingText(ending) {
  switch (ending.name) {
    case "ended": return [`The session has ended${ending.status === null ? "." : `; the command's exit status was ${ending.status}.`}`, false];
    case "left": return ["You left the session.", true];
    case "impostor": return ["The other side does not know the secret. Do not trust this server, and tell the host.", false];
    case "cutShort": return [`The server ended the session (${ending.why}), and the host did not: output may be missing.`, true];
    case "removed": return [`Disconnected: ${ending.why || "the server closed the connection"}.`, true];
    case "refused": return [refusals(ending.why), ending.why.includes("try again")];
    case "tampering": return [`The connection was tampered with (${ending.why}). Do not trust this server.`, false];
    case "unreachable": return [ending.why, true];
    case "rejected": return [rejections[ending.why] ?? "The host refused.", false];
  }
}

/** @type {Record<string, string>} */
const rejections = {
  wrongSecret: "The words, or the link, are wrong. Check them with the host; a code is disabled after five wrong tries.",
  codeDead: "This code was tried too often with wrong words. Ask the host for a new one.",
  notApproved: "The host did not admit you.",
  wrongVersion: "The host runs another version of Postern than this server. Update the older one.",
  unknownCode: "The host does not know this code. Ask for a new one.",
  tampered: "Some of your input was removed in transit. Do not trust this server, and tell the host.",
};

/** @param {string} why the server's sentence */
function refusals(why) {
  const known = {
    "Code not found": "This code does not exist. Check the link, or ask the host for a new one.",
    "Code has been revoked": "This code has been revoked. Ask the host for a new one.",
    "Code has expired": "This code has expired. Ask the host for a new one.",
    "Code usage limit reached": "This code has been used up to its limit. Ask the host for a new one.",
    "Session has ended": "This session has ended.",
  }[why];
  if (known) return known;
  if (why.includes("account only")) {
    return "This session takes guests with an account only. Join it from the command line, signed in: postern join '…this link…'";
  }
  return why;
}

/**
 * Two words, as they are told by phone.
 * @param {string} text
 */
const spokenWords = (text) => text.toLowerCase().split(/[\s-]+/).filter(Boolean);

/**
 * Asks for the words where the address carries no secret.
 * @param {(secret: string) => void} then
 */
function askForWords(then) {
  show("words");
  let isJoining = false;
  element("words-form").addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const words = spokenWords(element("words").value);
    // People paste the whole invitation, too.
    const two = words.slice(-2);
    const problem = element("words-problem");
    if (words.length < 2 || !two.every((word) => /^\p{L}+$/u.test(word))) {
      problem.textContent = "Enter two words, for example: cactus violin";
      return element("words").focus();
    }
    if (isJoining) return;
    isJoining = true;
    const { mistake } = await import("./words.js");
    const found = two.map((word) => ({ word, meant: mistake(word) })).find(({ meant }) => meant);
    if (found) {
      problem.textContent = `“${found.word}” is not one of the words; did you mean “${found.meant}”?`;
      isJoining = false;
      return element("words").focus();
    }
    then(two.join("-"));
  });
  element("words").focus();
}

async function start() {
  // Another invitation for the same code, put into this tab.
  addEventListener("hashchange", () => location.hash && location.reload());
  const without = await missing();
  if (without) {
    body.dataset.state = "unable";
    element("missing").textContent = without;
    return;
  }
  const secret = takeSecret();
  const guest = new Guest(await Screen.load(new URL("terminal.wasm", import.meta.url)));
  // For tests, and for whoever looks.
  Object.assign(globalThis, { postern: guest });
  if (secret) guest.join({ code, secret, kind: 1 });
  else askForWords((words) => guest.join({ code, secret: words, kind: 0 }));
}

start().catch((error) => {
  console.error(error);
  show("ended", `This page could not start: ${error.message}`);
  element("again").hidden = false;
});
