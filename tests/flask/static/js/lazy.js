import { step } from "./count.js";

export const say = (count) => `${count} of ${step}`;
