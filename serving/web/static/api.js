// The questions to the gateway. If a key is needed, it is kept as long as the tab is open.

const KEY = "tandem-api-key";

/** An answer that is an error: the gateway's sentence, and the HTTP status (0 when there was no answer). */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/** POSTs `body` if there is one, else GETs; gives the answer and the milliseconds until it was here. */
export async function ask(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers["Authorization"] = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const started = performance.now();
  let response, answer;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
    });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A proxy in between may have answered with something that is not JSON.
    const sentence = response ? `The gateway answered ${response.status}.` : "The gateway does not answer.";
    throw new ApiError(sentence, response?.status ?? 0);
  }
  if (!response.ok) throw new ApiError(answer.error ?? `The gateway answered ${response.status}.`, response.status);
  return { answer, tookMs: performance.now() - started };
}
