// What the program wrote into the page when it pointed it at an environment.

export interface Environment {
  /** The environment's name, or "" if the page was not bound to any. */
  readonly name: string;
  readonly release: string;
  /** The mode of the build, not of the environment: one build serves them all. */
  readonly mode: string;
  readonly minified: boolean;
}

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="fingerpost:${name}"]`)?.content.trim() ?? "";
}

export const environment: Environment = {
  name: meta("environment"),
  release: meta("release"),
  mode: import.meta.env.MODE,
  minified: import.meta.env.PROD,
};
