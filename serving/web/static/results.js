// The list of results. Each shows the item, what brought it, how it moved, and what can be done with it.

import { button, element, find } from "./dom.js";

const SCORE = new Intl.NumberFormat(undefined, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const BECAUSE = { again: "They had it before", popular: "Popular now", new: "New: nobody has chosen it yet" };
const BROUGHT_BY = { text: "by text", behaviour: "by behaviour", both: "by both" };

/**
 * @param {object[]} items as the API gives them
 * @param {Map<string, number> | null} before ranks of the last answer to the same question
 * @param {{inHistory: (id: string) => boolean, toggle: (item: object) => void, similar: (item: object) => void}} actions
 */
export function showResults(items, before, actions) {
  find("results").replaceChildren(...items.map((item) => card(item, before, actions)));
  find("legend").hidden = !items.some((item) => item.brought_by);
}

/** How many items were not in the last answer. */
export function numNew(items, before) {
  return before ? items.filter((item) => !before.has(item.item_id)).length : 0;
}

/** The place of a result's button that has the focus, so that it can be found again in another list. */
export function focusedButton() {
  const focused = document.activeElement?.closest?.("#results button");
  if (!focused) return null;
  const place = [...find("results").children].indexOf(focused.closest("li"));
  return { place, itemId: focused.closest("li").dataset.itemId, action: focused.dataset.action };
}

/** Gives the focus back: to the same item, else to what took its place, else to the heading. */
export function restoreFocus(saved) {
  if (!saved) return;
  const cards = [...find("results").children];
  const same = cards.find((li) => li.dataset.itemId === saved.itemId);
  const next = same ?? cards[Math.min(saved.place, cards.length - 1)];
  (next?.querySelector(`[data-action="${saved.action}"]`) ?? find("results-heading")).focus();
}

function card(item, before, actions) {
  const title = item.title || item.item_id;
  const inHistory = actions.inHistory(item.item_id);
  const label = inHistory ? "Remove from history" : "Add to history";
  const add = button(label, `${label}: ${title}`, () => actions.toggle(item));
  add.dataset.action = "history";
  if (inHistory) add.className = "is-in";
  const similar = button("Similar", `Similar to ${title}`, () => actions.similar(item));
  similar.dataset.action = "similar";

  const li = element(
    "li",
    { "data-item-id": item.item_id },
    element("span", { class: "rank", "aria-hidden": "true" }, String(item.rank), ...movement(item, before)),
    element("div", { class: "what" }, element("h3", {}, title), facts(item), ...because(item)),
    why(item),
    element("div", { class: "buttons" }, add, similar),
  );
  return li;
}

/** Where the item was before: up, down or not there. */
function movement(item, before) {
  if (!before) return [];
  const last = before.get(item.item_id);
  if (last === undefined) return [element("span", { class: "move new" }, "new")];
  const up = last - item.rank;
  if (!up) return [];
  return [element("span", { class: up > 0 ? "move up" : "move down" }, `${up > 0 ? "↑" : "↓"}${Math.abs(up)}`)];
}

/** The item's id and its columns, whatever the catalogue calls them. */
function facts(item) {
  const list = element("dl", { class: "columns" });
  for (const [name, value] of Object.entries(item.columns)) {
    const shown = typeof value === "number" ? number(value) : value;
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, shown)));
  }
  list.append(element("div", { class: "id" }, element("dt", {}, "Item"), element("dd", {}, item.item_id)));
  return list;
}

/** 4 for 4, 2.10 for 2.1, and of what is small its first digits. */
function number(value) {
  const digits = Math.abs(value) < 0.1 ? { maximumSignificantDigits: 3 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return value.toLocaleString(undefined, Number.isInteger(value) ? {} : digits);
}

/** Why the item is in the answer: the item of the history, or the words of the query that it has. */
function because(item) {
  let words = BECAUSE[item.reason];
  if (item.reason === "history") words = `Because of ${item.reason_title || item.reason_item_id}`;
  if (item.reason === "words") words = `Has ${item.matches.map(([word, column]) => `“${word}” (${column})`).join(", ")}`;
  if (item.reason === "text") words = "Near in meaning";
  return words ? [element("p", { class: "because" }, words)] : [];
}

/** The score, the part that brought the item, and the parts' shares as a bar and in words. */
function why(item) {
  const box = element("div", { class: "why" });
  const score = item.score === null ? "not in the catalogue" : `Score ${SCORE.format(item.score)}`;
  box.append(element("span", { class: "score" }, score));
  if (!item.brought_by) return box;
  box.append(element("span", { class: `badge ${item.brought_by}` }, BROUGHT_BY[item.brought_by]));
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const words = [];
  for (const [name, part] of Object.entries(item.parts)) {
    const percent = Math.round(part.share * 100);
    words.push(`${name} ${percent} %`);
    const piece = element("span", { class: name });
    piece.style.flexGrow = String(part.share);
    if (percent) bar.append(piece);
  }
  box.append(bar, element("span", { class: "shares" }, words.join(" · ")));
  return box;
}
