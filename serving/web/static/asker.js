// The asker, a customer with a history, and the part of the page that shows them.

import { button, element, find, text } from "./dom.js";

/** @typedef {{item_id: string, title: string}} NamedItem */

export class Asker {
  /** @param {(isTyping: boolean) => void} changed called after each change by the person */
  constructor(changed) {
    this.changed = changed;
    /** @type {Map<string, NamedItem[]>} what the model remembers of the customers it came with */
    this.known = new Map();
    /** @type {NamedItem[] | null} what is sent; null leaves it to what the model remembers */
    this.own = null;
    find("customer").addEventListener("change", () => this.chooseCustomer());
    find("customer-id").addEventListener("input", () => {
      this.show();
      this.changed(true);
    });
    find("start-over").addEventListener("click", () => {
      this.reset();
      find("history-heading").focus();
    });
    this.show();
  }

  /** Customers that can be chosen, from the model's examples. */
  offer(users) {
    if (!users.length || this.known.size) return;
    const group = element("optgroup", { label: "Customers the model knows" });
    for (const user of users) {
      this.known.set(user.user_id, user.history);
      group.append(element("option", { value: `known ${user.user_id}` }, user.user_id));
    }
    find("customer").insertBefore(group, find("customer").lastElementChild);
  }

  get userId() {
    const choice = find("customer").value;
    return choice === "new" ? find("customer-id").value.trim() : choice.replace(/^known /, "");
  }

  get history() {
    return this.own ?? this.known.get(this.userId) ?? [];
  }

  /** The part of a request that says who asks. */
  get request() {
    return { user_id: this.userId, history: (this.own ?? []).map((item) => item.item_id) };
  }

  has(itemId) {
    return this.history.some((item) => item.item_id === itemId);
  }

  add(item) {
    this.own = [item, ...this.history.filter((other) => other.item_id !== item.item_id)];
    this.show();
    this.changed(false);
  }

  remove(itemId) {
    const left = this.history.filter((item) => item.item_id !== itemId);
    // With an empty list the model would use the history that it remembers.
    this.own = left.length ? left : null;
    this.show();
    this.changed(false);
  }

  chooseCustomer() {
    const isNew = find("customer").value === "new";
    find("invented").hidden = !isNew;
    // A made-up customer may keep the history that was just clicked together.
    if (!isNew) this.own = null;
    this.show();
    this.changed(false);
    if (isNew) find("customer-id").focus();
  }

  reset() {
    this.own = null;
    this.show();
    this.changed(false);
  }

  show() {
    const history = this.history;
    const remembered = this.known.get(this.userId);
    find("history").replaceChildren(...history.map((item, place) => this.entry(item, place)));
    find("start-over").hidden = this.own === null;
    text("history-note", note(this.own, remembered, this.userId));
    const items = history.length === 1 ? "1 item" : `${history.length || "no"} items`;
    const who = this.userId ? `Customer ${this.userId}` : "Nobody in particular";
    text("asker-summary", `${who}, ${items} in the history`);
  }

  entry(item, place) {
    const title = item.title || item.item_id;
    const remove = button("×", `Remove ${title} from the history`, () => {
      this.remove(item.item_id);
      const others = find("history").querySelectorAll("button");
      (others[Math.min(place, others.length - 1)] ?? find("history-heading")).focus();
    });
    remove.className = "remove";
    return element("li", {}, element("span", {}, title), remove);
  }
}

function note(own, remembered, userId) {
  if (own) return remembered ? "Yours, the latest first; sent instead of what the model remembers." : "Yours, the latest first.";
  if (remembered) return "The latest of what the model remembers. Add or remove, and yours is sent instead.";
  if (userId) return "None of yours: if the model knows this customer, it takes what it remembers.";
  return "Empty. Add items from the results, and see them change.";
}
