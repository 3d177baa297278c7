export const start = 0;
export const step = 1;
