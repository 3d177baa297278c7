// What the browser knows about the files that it loaded for this page.

export type Kind = "Page" | "CSS" | "JavaScript" | "Fonts" | "Images";

export interface Resource {
  readonly url: string;
  readonly kind: Kind;
  readonly encoding: string;
  /** How it got here; "" when the browser is not told. */
  readonly source: "network" | "cache" | "revalidated" | "";
  /** Bytes that crossed the network, headers included; null when the other origin does not say. */
  readonly transferred: number | null;
  /** Bytes after decoding; null as above. */
  readonly decoded: number | null;
}

const KINDS: readonly (readonly [RegExp, Kind])[] = [
  [/\.css$/, "CSS"],
  [/\.m?[jt]s$/, "JavaScript"],
  [/\.(woff2?|ttf|otf)$/, "Fonts"],
  [/\.(png|jpe?g|gif|webp|avif|svg|ico)$/, "Images"],
];

function kindOf(url: string): Kind | undefined {
  const path = new URL(url, document.baseURI).pathname;
  return KINDS.find(([pattern]) => pattern.test(path))?.[1];
}

function encodingOf(entry: PerformanceResourceTiming): string {
  if (entry.decodedBodySize === 0) return entry.contentEncoding || "";
  if (entry.contentEncoding) return entry.contentEncoding;
  if (entry.encodedBodySize < entry.decodedBodySize) return "compressed";
  return "identity";
}

function sourceOf(entry: PerformanceResourceTiming): Resource["source"] {
  if (entry.decodedBodySize === 0 && entry.transferSize === 0) return "";
  if (entry.transferSize === 0) return "cache";
  if (entry.encodedBodySize > 0 && entry.transferSize < entry.encodedBodySize) return "revalidated";
  return "network";
}

function toResource(entry: PerformanceResourceTiming, kind: Kind): Resource {
  const source = sourceOf(entry);
  return {
    url: entry.name,
    kind,
    encoding: encodingOf(entry),
    source,
    transferred: source ? entry.transferSize : null,
    decoded: source ? entry.decodedBodySize : null,
  };
}

/** Everything loaded so far: one entry a URL, and the page itself first. */
export function loaded(): Resource[] {
  const found = new Map<string, Resource>();
  const [page] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (page) found.set(page.name, toResource(page, "Page"));
  for (const entry of performance.getEntriesByType("resource") as PerformanceResourceTiming[]) {
    // Our own HEAD requests and checks of a file's name are not what the page loaded.
    if (entry.initiatorType === "fetch" || entry.initiatorType === "xmlhttprequest") continue;
    const kind = kindOf(entry.name);
    if (kind && !found.has(entry.name)) found.set(entry.name, toResource(entry, kind));
  }
  return [...found.values()];
}

/**
 * Asks the server itself which encoding it would send. Only the page's own origin is asked: another one may not let us read
 * its headers, and the browser would log that.
 */
export async function askEncoding(url: string): Promise<string> {
  const { origin, protocol } = new URL(url, document.baseURI);
  if (origin !== location.origin || !protocol.startsWith("http") || !navigator.onLine) return "";
  try {
    const answer = await fetch(url, { method: "HEAD" });
    return answer.ok ? (answer.headers.get("content-encoding") ?? "identity") : "";
  } catch {
    return "";
  }
}

const NAMES: Readonly<Record<string, string>> = {
  br: "Brotli",
  zstd: "Zstandard",
  gzip: "gzip",
  deflate: "deflate",
  dcb: "Brotli with a dictionary",
  dcz: "Zstandard with a dictionary",
  identity: "none",
};

export function encodingName(encoding: string): string {
  return NAMES[encoding] ?? encoding;
}
