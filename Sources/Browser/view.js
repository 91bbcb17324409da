// @ts-check
// Paints the screen into the page: rows are real text, so that they can be selected, found, read aloud and zoomed. Painted at most once per
// frame, and only what has changed.

import { attributes, flags } from "./screen.js";

/** Lines above the screen that stay in the page. */
const HISTORY_LINES = 1000;
/** Lines that come into the page at once, and the pause between, in milliseconds: a step is a few milliseconds of work. */
const HISTORY_STEP = 100;
const HISTORY_PAUSE = 50;
/** Between two paintings of a page that nobody sees, in milliseconds. */
const HIDDEN_PAUSE = 500;
/** The screen is read aloud when it has been still for so long, in milliseconds. */
const SPEECH_DELAY = 700;

/**
 * The first 16 colours are in the style sheet; the others of the 256 are computed (6 × 6 × 6, then greys). A program may change each.
 * @param {number} index
 */
function paletteColor(index) {
  return index < 16 ? `var(--color-${index})` : `var(--color-${index}, ${computedColor(index)})`;
}

/** @param {number} index */
function computedColor(index) {
  if (index >= 232) return `rgb(${Array(3).fill(8 + 10 * (index - 232)).join(" ")})`;
  const level = (/** @type {number} */ part) => part === 0 ? 0 : 55 + 40 * part;
  const value = index - 16;
  return `rgb(${level(Math.floor(value / 36))} ${level(Math.floor(value / 6) % 6)} ${level(value % 6)})`;
}

/**
 * A colour as programs write it (XParseColor): `rgb:ffff/80/0`, `#rgb` with one to four digits each, or a name.
 * @param {string} text
 * @returns {string | null} null for a name that the browser does not know
 */
export function programColor(text) {
  const parts = /^rgb:([^/]+)\/([^/]+)\/([^/]+)$/.exec(text)?.slice(1);
  // The digits of `rgb:` are a fraction of the greatest number with as many; those of `#` are the leading ones.
  if (parts) return `rgb(${parts.map((part) => Math.round(parseInt(part, 16) * 255 / (16 ** part.length - 1))).join(" ")})`;
  if (text.startsWith("#")) {
    const size = (text.length - 1) / 3;
    const leading = [0, 1, 2].map((part) => text.slice(1 + part * size, 1 + (part + 1) * size).padEnd(2, "0").slice(0, 2));
    return `#${leading.join("")}`;
  }
  return CSS.supports("color", text) ? text : null;
}

/**
 * @param {number} color as the screen has it
 * @param {string} standard
 */
function cssColor(color, standard) {
  switch (color >>> 24) {
    case 1: return paletteColor(color & 0xff);
    case 2: return `rgb(${color >> 16 & 0xff} ${color >> 8 & 0xff} ${color & 0xff})`;
    default: return standard;
  }
}

export class View {
  #isScheduled = false;
  #bells = 0;
  #title = "";
  /** @type {(() => void)[]} */
  #waiting = [];
  /**
   * Lines that are not in the page yet.
   * @type {import("./screen.js").Run[][]}
   */
  #pendingHistory = [];
  /** What the page has of the history does not belong to what is pending. */
  #historyIsVoid = false;
  /** @type {number | undefined} */
  #historyTimer;
  /** @type {HTMLElement[]} */
  #rows = [];
  /** @type {number | undefined} */
  #speech;
  /**
   * Colours that a program has changed.
   * @type {Map<number, string>}
   */
  #colours = new Map();
  /**
   * Properties that are set on the terminal for them.
   * @type {string[]}
   */
  #colourProperties = [];
  /** @type {import("./screen.js").Painting | null} */
  state = null;

  /**
   * @param {import("./screen.js").Screen} screen
   * @param {{terminal: HTMLElement, history: HTMLElement, screen: HTMLElement, cursor: HTMLElement, live: HTMLElement}} parts
   * @param {{bell: () => void, titled: (title: string) => void, resized: () => void}} events
   */
  constructor(screen, parts, events) {
    this.screen = screen;
    this.parts = parts;
    this.events = events;
    document.addEventListener("visibilitychange", () => {
      // The frame that was asked for does not come while the page is hidden.
      if (this.#isScheduled) this.#paint();
      else this.schedule();
    });
  }

  /** Paints in the next frame. */
  schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const paint = () => this.#isScheduled && this.#paint();
    // A hidden page has no frames: it is painted now and then, and what comes meanwhile counts as shown.
    if (document.hidden) setTimeout(paint, HIDDEN_PAUSE);
    else requestAnimationFrame(paint);
  }

  /** @returns {Promise<void>} resolves after the next painting */
  painted() {
    if (document.hidden) return Promise.resolve();
    this.schedule();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #paint() {
    this.#isScheduled = false;
    const wasAtEnd = this.#isAtEnd;
    const painting = this.screen.paint();
    const previous = this.state;
    this.state = painting;
    const { history, screen } = this.parts;
    this.#remember(painting);
    history.hidden = (painting.flags & flags.alternate) !== 0;
    while (this.#rows.length > painting.rows) this.#rows.pop()?.remove();
    while (this.#rows.length < painting.rows) {
      const row = document.createElement("div");
      this.#rows.push(row);
      screen.append(row);
    }
    for (const { index, runs } of painting.changed) this.#row(this.#rows[index], runs);
    this.#paintState(painting, previous);
    if (wasAtEnd) this.scrollToEnd();
    if (painting.changed.length > 0) this.#speak();
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve());
  }

  /**
   * Keeps lines that have scrolled off. They come into the page a little later and some at a time: of a burst, most are never looked at.
   * @param {import("./screen.js").Painting} painting
   */
  #remember(painting) {
    if (painting.historyIsVoid) {
      this.#pendingHistory = [];
      this.#historyIsVoid = true;
    }
    if (painting.history.length > 0) this.#pendingHistory.push(...painting.history);
    const excess = this.#pendingHistory.length - HISTORY_LINES;
    if (excess > 0) {
      this.#pendingHistory.splice(0, excess);
      this.#historyIsVoid = true;
    }
    const hasWork = this.#historyIsVoid || this.#pendingHistory.length > 0;
    if (hasWork && this.#historyTimer === undefined) this.#historyTimer = setTimeout(() => this.#addHistory(), HISTORY_PAUSE);
  }

  #addHistory() {
    this.#historyTimer = undefined;
    const wasAtEnd = this.#isAtEnd;
    const { history } = this.parts;
    if (this.#historyIsVoid) history.replaceChildren();
    this.#historyIsVoid = false;
    const lines = this.#pendingHistory.splice(0, HISTORY_STEP);
    history.append(...lines.map((runs) => this.#row(document.createElement("div"), runs)));
    while (history.childElementCount > HISTORY_LINES) history.firstElementChild?.remove();
    if (wasAtEnd) this.scrollToEnd();
    if (this.#pendingHistory.length > 0) this.#historyTimer = setTimeout(() => this.#addHistory(), HISTORY_PAUSE);
  }

  /**
   * @param {import("./screen.js").Painting} painting
   * @param {import("./screen.js").Painting | null} previous
   */
  #paintState(painting, previous) {
    const { terminal, cursor } = this.parts;
    const isReverse = (painting.flags & flags.reverse) !== 0;
    terminal.classList.toggle("reverse", isReverse);
    if (painting.colours) {
      const known = painting.colours.map(({ index, text }) => /** @type {const} */ ([index, programColor(text)]));
      this.#colours = new Map(known.flatMap(([index, color]) => color === null ? [] : [[index, color]]));
    }
    if (painting.colours || isReverse !== (((previous?.flags ?? 0) & flags.reverse) !== 0)) this.#paintColours(isReverse);
    cursor.hidden = (painting.flags & flags.cursorVisible) === 0;
    cursor.style.setProperty("--row", String(painting.cursorRow));
    cursor.style.setProperty("--column", String(painting.cursorColumn));
    cursor.dataset.shape = ["block", "block", "block", "underline", "underline", "bar", "bar"][painting.cursorShape] ?? "block";
    cursor.classList.toggle("steady", [2, 4, 6].includes(painting.cursorShape));
    if (previous?.rows !== painting.rows || previous?.columns !== painting.columns) {
      terminal.style.setProperty("--columns", String(painting.columns));
      terminal.style.setProperty("--rows", String(painting.rows));
      this.events.resized();
    }
    if (painting.bells !== this.#bells && previous) this.events.bell();
    this.#bells = painting.bells;
    if (painting.title !== this.#title) {
      this.#title = painting.title;
      this.events.titled(painting.title);
    }
  }

  /**
   * Sets the colours that a program has changed. Rows refer to them by name, so that those that are painted change too.
   * @param {boolean} isReverse
   */
  #paintColours(isReverse) {
    const { style } = this.parts.terminal;
    for (const name of this.#colourProperties) style.removeProperty(name);
    const [text, background] = isReverse ? ["--background", "--foreground"] : ["--foreground", "--background"];
    /** @type {Record<number, string>} */
    const names = { 266: text, 267: background, 268: "--cursor" };
    this.#colourProperties = [...this.#colours].map(([index, color]) => {
      const name = names[index] ?? `--color-${index}`;
      style.setProperty(name, color);
      return name;
    });
  }

  /**
   * @param {HTMLElement} row
   * @param {import("./screen.js").Run[]} runs
   */
  #row(row, runs) {
    /** @type {(Node | string)[]} */
    const nodes = [];
    let plain = "";
    for (const run of runs) {
      if (!run.isBoxed && !run.link && run.foreground === 0 && run.background === 0 && run.attributes === 0) {
        plain += run.text;
        continue;
      }
      if (plain) nodes.push(plain);
      plain = "";
      nodes.push(this.#span(run));
    }
    plain = plain.trimEnd();
    if (plain) nodes.push(plain);
    // A row without text keeps its height, and is an empty line when it is copied.
    row.replaceChildren(...nodes.length > 0 ? nodes : [document.createElement("br")]);
    return row;
  }

  /**
   * An element for a run of text: a link where the program made one that is safe to follow.
   * @param {string} address
   */
  #element(address) {
    if (!/^(https?|mailto):/i.test(address)) return document.createElement("span");
    const anchor = document.createElement("a");
    anchor.href = address;
    anchor.title = address;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
    return anchor;
  }

  /** @param {import("./screen.js").Run} run */
  #span(run) {
    const span = this.#element(run.link);
    span.textContent = run.text;
    let foreground = cssColor(run.foreground, "var(--foreground)");
    let background = cssColor(run.background, "var(--background)");
    // Bold text in one of the first eight colours is bright, as terminals have it.
    if (run.attributes & attributes.bold && run.foreground >>> 24 === 1 && (run.foreground & 0xff) < 8) {
      foreground = paletteColor((run.foreground & 0xff) + 8);
    }
    const isInverse = (run.attributes & attributes.inverse) !== 0;
    if (isInverse) [foreground, background] = [background, foreground];
    if (foreground !== "var(--foreground)") span.style.color = foreground;
    if (background !== "var(--background)") span.style.backgroundColor = background;
    for (const [name, bit] of Object.entries(attributes)) if (run.attributes & bit && name !== "inverse") span.classList.add(name);
    if (run.isBoxed) {
      span.classList.add("box");
      if (run.columns === 2) span.classList.add("wide");
    }
    return span;
  }

  /** Says what stands on the screen, once it has come to rest. */
  #speak() {
    clearTimeout(this.#speech);
    this.#speech = setTimeout(() => {
      const text = this.#rows.map((row) => row.textContent ?? "").join("\n").trimEnd();
      // The last lines are what has just happened.
      this.parts.live.textContent = text.split("\n").slice(-3).join("\n");
    }, SPEECH_DELAY);
  }

  get #isAtEnd() {
    const { terminal } = this.parts;
    return terminal.scrollTop + terminal.clientHeight >= terminal.scrollHeight - 4;
  }

  scrollToEnd() {
    this.parts.terminal.scrollTop = this.parts.terminal.scrollHeight;
  }

  /** Text of the screen's rows, without trailing blanks. */
  get text() {
    return this.#rows.map((row) => (row.textContent ?? "").trimEnd());
  }

  /**
   * The cell at a point of the page.
   * @param {number} x
   * @param {number} y
   * @returns {{row: number, column: number} | null}
   */
  cell(x, y) {
    if (!this.state) return null;
    const box = this.parts.screen.getBoundingClientRect();
    const column = Math.floor((x - box.left) / (box.width / this.state.columns));
    const row = Math.floor((y - box.top) / (box.height / this.state.rows));
    const isInside = column >= 0 && row >= 0 && column < this.state.columns && row < this.state.rows;
    return isInside ? { row, column } : null;
  }
}
