// The bar that refines a search: the commonest values of all matches as filters, and an order by a number.

import { ask } from "./api.js";
import { element, find, text } from "./dom.js";

const NUM_VALUES = 12;

export class Refiner {
  #filters = new Set();
  #changed;
  #underWay = null;

  /** @param {() => void} changed called when a person chose something */
  constructor(changed) {
    this.#changed = changed;
    find("sort").addEventListener("change", changed);
  }

  /** What a search is to add to its question. */
  get request() {
    return { filters: [...this.#filters], sort: find("sort").value };
  }

  /** Forgets what was chosen, as for another question. */
  clear() {
    this.#filters.clear();
    find("sort").value = "";
  }

  hide() {
    this.#underWay?.abort();
    find("refine").hidden = true;
  }

  /** Asks what the matches are, and shows it; an answer that comes too late is not shown. */
  async show(body) {
    this.#underWay?.abort();
    const mine = (this.#underWay = new AbortController());
    const { query, filters, spell } = body;
    const asked = { query, filters, spell, k: NUM_VALUES };
    let answer;
    try {
      ({ answer } = await ask("/api/facets", asked, mine.signal));
    } catch {
      // The results are there without it, and they say what is wrong.
      this.hide();
      return;
    }
    if (mine !== this.#underWay) return;
    const counts = { ...Object.fromEntries(filters.map((pair) => [pair, 0])), ...answer.counts };
    find("values").replaceChildren(...Object.entries(counts).map(([pair, count]) => this.#value(pair, count)));
    this.#offerOrders(Object.keys(answer.histograms));
    text("num-matches", answer.num_matches === 1 ? "1 match" : `${answer.num_matches.toLocaleString()} matches`);
    find("refine").hidden = false;
  }

  #value(pair, count) {
    const box = element("input", { type: "checkbox" });
    box.checked = this.#filters.has(pair);
    box.addEventListener("change", () => {
      if (box.checked) this.#filters.add(pair);
      else this.#filters.delete(pair);
      this.#changed();
    });
    const [column, ...value] = pair.split("=");
    return element("label", { title: column }, box, `${value.join("=")} (${count.toLocaleString()})`);
  }

  #offerOrders(columns) {
    const chosen = find("sort").value;
    const orders = columns.flatMap((name) => [
      [name, `${name}, lowest first`],
      [`-${name}`, `${name}, highest first`],
    ]);
    find("sort").replaceChildren(
      element("option", { value: "" }, "best first"),
      ...orders.map(([value, words]) => element("option", { value }, words)),
    );
    find("sort").value = chosen;
    find("order").hidden = !columns.length;
  }
}
