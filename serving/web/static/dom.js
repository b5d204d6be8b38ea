// The functions on the document that every part of the page uses.

export const find = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text nodes, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A button whose name for a screen reader may say more than what is written on it. */
export function button(label, name, clicked) {
  const made = element("button", { type: "button", "aria-label": name }, label);
  made.addEventListener("click", clicked);
  return made;
}

export function text(id, words) {
  find(id).textContent = words;
}
