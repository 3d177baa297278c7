// For editors and `tsc` only: what the build puts in place of import.meta.env, and a field that TypeScript's DOM types lack.

interface ImportMeta {
  readonly env: { readonly MODE: string; readonly PROD: boolean; readonly DEV: boolean };
}

interface PerformanceResourceTiming {
  readonly contentEncoding?: string;
}
