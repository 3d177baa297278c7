const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 812 B, 14.2 kB, 1.3 MB: decimal units, as networks count. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${plain.format(count / 1000)} kB`;
  return `${plain.format(count / 1e6)} MB`;
}

/** The part of a URL that tells one file from another. */
export function fileName(url: string): string {
  const { pathname } = new URL(url, document.baseURI);
  return pathname.split("/").pop() || "/";
}

/** The host, with its port if it is unusual. */
export function originName(url: string): string {
  return new URL(url, document.baseURI).host;
}
