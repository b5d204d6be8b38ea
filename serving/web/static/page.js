// The page, which decides what is asked and when, and shows the answer.

import { ApiError, ask, hasKey, keepKey } from "./api.js";
import { Asker } from "./asker.js";
import { button, element, find, text } from "./dom.js";
import { Refiner } from "./refine.js";
import { focusedButton, numNew, restoreFocus, showResults } from "./results.js";

const PAUSE_MS = 250;
const NUM_TRIES = 5;

const NUM_SUGGESTIONS = 8;

let completing = null;
let similarTo = null;
// The query that a person wants searched for as they typed it.
let asTyped = null;
let waiting = null;
let underWay = null;
let last = { question: null, ranks: new Map() };

const refiner = new Refiner(update);
const asker = new Asker((isTyping) => (isTyping ? updateSoon() : update()));

/** The question as it stands: where to, with what, and what to call it. */
function question() {
  const k = Number(find("k").value);
  if (similarTo) {
    const title = similarTo.title || similarTo.item_id;
    return { path: "/api/similar", body: { item_id: similarTo.item_id, k }, heading: `Similar to ${title}` };
  }
  const query = find("query").value.trim();
  const body = { ...asker.request, k, exclude_seen: find("exclude-seen").checked };
  if (query) {
    const spell = query !== asTyped;
    const refined = { ...body, query, spell, ...refiner.request };
    return { path: "/api/search", body: refined, heading: `Results for “${query}”` };
  }
  const who = asker.userId ? `customer ${asker.userId}` : asker.history.length ? "this history" : "";
  return { path: "/api/recommend", body, heading: who ? `Recommended for ${who}` : "Popular with everybody" };
}

/** Asks now; what is asked meanwhile takes the place of what is under way. */
async function update() {
  clearTimeout(waiting);
  underWay?.abort();
  const mine = (underWay = new AbortController());
  const asked = question();
  find("results").setAttribute("aria-busy", "true");
  try {
    const { answer, tookMs } = await ask(asked.path, asked.body, mine.signal);
    show(asked, answer, tookMs);
  } catch (error) {
    if (error.name === "AbortError") return;
    complain(error);
  }
  if (mine === underWay) find("results").removeAttribute("aria-busy");
}

/** Asks once the person has paused. */
function updateSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(update, PAUSE_MS);
}

function show(asked, answer, tookMs) {
  // If somebody else, or another history, asks the same question again, the page shows what moved.
  const subject = `${asked.path} ${asked.body.query ?? asked.body.item_id ?? ""}`;
  const before = last.subject === subject ? last.ranks : null;
  const focused = focusedButton();
  showResults(answer.results, before, {
    inHistory: (id) => asker.has(id),
    toggle: (item) => (asker.has(item.item_id) ? asker.remove(item.item_id) : asker.add(item)),
    similar,
  });
  restoreFocus(focused);
  last = { subject, ranks: new Map(answer.results.map((item) => [item.item_id, item.rank])) };

  const corrected = answer.corrected_query;
  if (corrected) asked.heading = `Results for “${corrected}”`;
  find("corrected").replaceChildren(
    ...(corrected
      ? [
          button(`Search instead for “${asked.body.query}”`, `Search instead for ${asked.body.query}`, () => {
            asTyped = asked.body.query;
            find("results-heading").focus();
            update();
          }),
        ]
      : []),
  );
  find("corrected").hidden = !corrected;
  if (asked.path === "/api/search") refiner.show(asked.body);
  else refiner.hide();

  const count = answer.results.length === 1 ? "1 result" : `${answer.results.length || "No"} results`;
  const fresh = numNew(answer.results, before);
  text("results-heading", asked.heading);
  text("facts", `${count} in ${ms(tookMs)}, of which the model took ${ms(answer.model_ms)}`);
  text("server-text", `${answer.model.name}, version ${answer.model.version}`);
  text("announcement", `${asked.heading}: ${count} in ${ms(tookMs)}${fresh ? `, ${fresh} new` : ""}.`);
  find("server").dataset.state = "ready";
  find("problem").hidden = true;
  find("back").hidden = !similarTo;
}

function ms(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function complain(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) {
    askForKey();
    return;
  }
  text("problem-text", error.message);
  find("problem").hidden = false;
  if (error.status === 0 || error.status >= 500) {
    find("server").dataset.state = "away";
    text("server-text", "The model does not answer");
  }
}

function askForKey() {
  const dialog = find("key-dialog");
  const refused = hasKey() ? "The gateway does not know this key; try another." : "";
  text("key-refused", refused);
  text("problem-text", refused || "This gateway answers with a key only.");
  text("server-text", "A key is needed");
  find("problem").hidden = false;
  if (!dialog.open) dialog.showModal();
}

function similar(item) {
  similarTo = item;
  find("results-heading").focus();
  update();
}

/** Offers completions of what is typed; without them the box is as it was. */
async function suggest() {
  completing?.abort();
  const mine = (completing = new AbortController());
  const typed = find("query").value;
  if (!typed.trim()) return;
  try {
    const { answer } = await ask("/api/suggest", { text: typed, k: NUM_SUGGESTIONS }, mine.signal);
    find("suggestions").replaceChildren(
      ...answer.suggestions.map((suggestion) => element("option", { value: suggestion.text })),
    );
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof ApiError)) throw error;
  }
}

function leaveSimilar() {
  similarTo = null;
}

/** Fills in what the model's own data suggests; a gateway without it offers nothing. */
async function offerExamples() {
  const { answer } = await ask("/api/examples");
  asker.offer(answer.users);
  find("tries").replaceChildren(
    ...answer.queries.slice(0, NUM_TRIES).map((query) =>
      button(query, `Search for ${query}`, () => {
        find("query").value = query;
        leaveSimilar();
        refiner.clear();
        update();
      }),
    ),
  );
  find("tries").hidden = !answer.queries.length;
}

async function begin() {
  try {
    await offerExamples();
  } catch (error) {
    complain(error);
    if (error.status === 401) return;
  }
  update();
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  leaveSimilar();
  update();
});
find("query").addEventListener("input", () => {
  leaveSimilar();
  refiner.clear();
  updateSoon();
  suggest();
});
find("k").addEventListener("change", update);
find("exclude-seen").addEventListener("change", update);
find("again").addEventListener("click", begin);
find("back").addEventListener("click", () => {
  leaveSimilar();
  find("results-heading").focus();
  update();
});
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(find("key").value.trim());
  find("key").value = "";
  find("key-dialog").close();
  find("problem").hidden = true;
  begin();
});
// On a phone the asker is closed at first, so that the results are in sight.
if (matchMedia("(max-width: 55rem)").matches) find("asker").open = false;
begin();
