// "Check the names": computes in the browser what the build promised, that a name carries the SHA-256 of its bytes.

import { bytes, fileName } from "./format.ts";
import { askEncoding, encodingName } from "./resources.ts";

const NAME = /-([0-9a-f]{16})\.[^./]+$/;

/** Files that a script may read from any origin: those the page asked for with CORS, and all of its own origin. */
function readable(): string[] {
  const elements = document.querySelectorAll<HTMLLinkElement | HTMLScriptElement>(
    'link[rel="stylesheet"][href], script[type="module"][src], link[rel="preload"][as="font"][href]',
  );
  const urls = [...elements].flatMap((element) => {
    const url = element instanceof HTMLLinkElement ? element.href : element.src;
    const own = new URL(url, document.baseURI).origin === location.origin;
    return own || element.crossOrigin !== null ? [url] : [];
  });
  return [...new Set(urls)];
}

async function sha256(data: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function check(url: string): Promise<{ good: boolean | null; text: string }> {
  const promised = NAME.exec(new URL(url).pathname)?.[1];
  if (!promised) return { good: null, text: "This name carries no fingerprint." };
  const answer = await fetch(url);
  if (!answer.ok) return { good: null, text: "The file could not be read." };
  const data = await answer.arrayBuffer();
  const found = (await sha256(data)).slice(0, promised.length);
  const encoding = await askEncoding(url);
  const how = encoding && encoding !== "identity" ? `, sent as ${encodingName(encoding)}` : "";
  return found === promised
    ? { good: true, text: `${bytes(data.byteLength)}${how}; SHA-256 begins ${found}. The name holds.` }
    : { good: false, text: `SHA-256 begins ${found}, but the name says ${promised}.` };
}

export function mountProof(section: HTMLElement): void {
  const button = section.querySelector<HTMLButtonElement>("button");
  const list = section.querySelector<HTMLElement>("[data-proof]");
  if (!button || !list) return;
  if (!globalThis.crypto?.subtle) {
    list.textContent = "This needs HTTPS or localhost: elsewhere browsers don't offer SHA-256 to scripts.";
    return;
  }
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const results = await Promise.all(
      readable().map(async (url) => {
        const result = await check(url).catch(() => ({ good: null, text: "The file could not be read." }));
        const item = document.createElement("li");
        item.dataset.result = result.good === null ? "unknown" : result.good ? "good" : "bad";
        const name = document.createElement("code");
        name.textContent = fileName(url);
        const text = document.createElement("span");
        text.textContent = result.text;
        item.append(name, text);
        return item;
      }),
    );
    list.replaceChildren(...results);
    button.disabled = false;
  });
}
