// What pages do beyond HTML: times in the reader's zone, copy buttons, and parts that follow what goes on. Everything works without it.

/** @param {ParentNode} root */
function localTimes(root) {
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.getAttribute("datetime") ?? "");
    if (Number.isNaN(at.getTime())) continue;
    time.setAttribute("title", time.textContent ?? "");
    time.textContent = (time.hasAttribute("data-day") ? day : minute).format(at);
  }
}

/** @param {ParentNode} root */
function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (root.querySelectorAll("button.copy"))) {
    button.hidden = false;
    button.onclick = async () => {
      const text = button.parentElement?.querySelector("code")?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
  }
}

/** @param {ParentNode} root */
function prepare(root) {
  localTimes(root);
  copyButtons(root);
}

/** Whether somebody is in the middle of something there: an open question, or a field.
 * @param {Element} part */
function isBusy(part) {
  return part.contains(document.activeElement) && document.activeElement !== document.body
    || part.querySelector("details[open]") !== null;
}

let isLoading = false;
let isStale = false;

/** Takes the live parts of this page from the server again. */
async function reload() {
  if (isLoading) { isStale = true; return; }
  isLoading = true;
  isStale = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    // Signed out, or gone: the browser shows what the server says of it.
    if (answer.redirected || answer.status === 404) return location.reload();
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(part.id);
        if (!next) continue;
        if (isBusy(part)) { isStale = true; continue; }
        prepare(next);
        part.replaceChildren(...next.childNodes);
      }
    }
  } catch {
    // The server is away; the stream says when it is there again.
  }
  isLoading = false;
  if (isStale) setTimeout(reload, 3000);
}

/** Follows the server while somebody looks: a page that is hidden holds no connection, of which browsers have six. */
function follow() {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const topics = (part.getAttribute("data-live") ?? "").split(" ").join(",");
  let seen = part.getAttribute("data-seen") ?? "";
  let timer = 0;
  /** @type {EventSource | undefined} */
  let events;

  /** @param {Event} event */
  function changed(event) {
    if (event instanceof MessageEvent && event.lastEventId) seen = event.lastEventId;
    clearTimeout(timer);
    timer = setTimeout(reload, 150);
  }

  function begin() {
    if (events || document.hidden) return;
    events = new EventSource(`/events?topics=${topics}&seen=${encodeURIComponent(seen)}`);
    events.addEventListener("changed", changed);
    events.addEventListener("reset", changed);
    events.addEventListener("error", () => {
      // An answer that is no stream ends it for good: a web server in front that does not find us, or too many pages.
      if (events?.readyState !== EventSource.CLOSED) return;
      end();
      setTimeout(begin, 30000);
    });
  }

  function end() {
    events?.close();
    events = undefined;
  }

  document.addEventListener("visibilitychange", () => document.hidden ? end() : begin());
  addEventListener("pagehide", end);
  addEventListener("pageshow", begin);
  begin();
}

prepare(document);
follow();
