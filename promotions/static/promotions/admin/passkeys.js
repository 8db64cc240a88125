// Passkeys: asks the server what to do, the browser to do it, and the server whether it was right.
"use strict";

(() => {
  const decode = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const decodeIds = (list) => (list || []).map((entry) => ({ ...entry, id: decode(entry.id) }));

  async function post(address, token, body) {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.error);
    }
    return answer;
  }

  async function register(options) {
    options.challenge = decode(options.challenge);
    options.user.id = decode(options.user.id);
    options.excludeCredentials = decodeIds(options.excludeCredentials);
    const made = await navigator.credentials.create({ publicKey: options });
    return {
      id: made.id,
      rawId: encode(made.rawId),
      type: made.type,
      clientExtensionResults: {},
      response: {
        clientDataJSON: encode(made.response.clientDataJSON),
        attestationObject: encode(made.response.attestationObject),
      },
    };
  }

  async function signIn(options) {
    options.challenge = decode(options.challenge);
    options.allowCredentials = decodeIds(options.allowCredentials);
    const used = await navigator.credentials.get({ publicKey: options });
    return {
      id: used.id,
      rawId: encode(used.rawId),
      type: used.type,
      clientExtensionResults: {},
      response: {
        clientDataJSON: encode(used.response.clientDataJSON),
        authenticatorData: encode(used.response.authenticatorData),
        signature: encode(used.response.signature),
        userHandle: used.response.userHandle ? encode(used.response.userHandle) : null,
      },
    };
  }

  async function run(box) {
    const { begin, complete, token, failed } = box.dataset;
    const isRegistration = "register" in box.dataset;
    const note = box.querySelector("[role=alert]");
    note.hidden = true;
    try {
      const { publicKey } = await post(begin, token, {});
      const answer = isRegistration ? await register(publicKey) : await signIn(publicKey);
      const address = new URL(complete, window.location.href);
      const label = box.querySelector("[name=passkey_label]");
      if (label) {
        address.searchParams.set("label", label.value);
      }
      const { next } = await post(address, token, answer);
      window.location.assign(next);
    } catch (error) {
      // The browser's own errors are in its words and name no remedy.
      note.textContent = error instanceof DOMException || !error.message ? failed : error.message;
      note.hidden = false;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("[data-passkey]")) {
      if (window.PublicKeyCredential) {
        box.hidden = false;
        box.querySelector("button").addEventListener("click", () => run(box));
      }
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => navigator.clipboard.writeText(button.dataset.copy));
    }
  });
})();
