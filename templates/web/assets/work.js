/* A second of work for each sign-up: costs a reader nothing, and whoever sends thousands a lot.
   Looks for a word so that SHA-256 of "stamp:address:word" begins with data-bits zero bits. */
"use strict";
(() => {
  const form = document.querySelector("form[data-bits]");
  const bits = Number(form.dataset.bits);
  const encoder = new TextEncoder();

  const begins = (digest) => {
    const bytes = new Uint8Array(digest);
    for (let bit = 0; bit < bits; bit++) {
      if (bytes[bit >> 3] & (128 >> (bit & 7))) return false;
    }
    return true;
  };

  const find = async (prefix) => {
    for (let from = 0; ; from += 512) {
      const words = Array.from({ length: 512 }, (_, each) => (from + each).toString(36));
      const digests = await Promise.all(
        words.map((word) => crypto.subtle.digest("SHA-256", encoder.encode(`${prefix}:${word}`))),
      );
      const found = digests.findIndex(begins);
      if (found >= 0) return words[found];
    }
  };

  const button = form.querySelector("button");

  // A page that is come back to is as it was left.
  addEventListener("pageshow", () => {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    form.elements.proof.value = await find(`${form.elements.stamp.value}:${form.elements.email.value}`);
    form.submit();
  });
})();
