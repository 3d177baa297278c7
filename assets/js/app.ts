// The entry of every page. What is not needed for the first view is imported when it comes near.

import { environment } from "./environment.ts";
import { whenNear } from "./near.ts";
import { markArm } from "./signpost.ts";

markArm(environment);

whenNear("#live", async (section) => {
  const { mountPanel } = await import("./panel.ts");
  mountPanel(section, environment);
});

whenNear("#proof", async (section) => {
  const { mountProof } = await import("./proof.ts");
  mountProof(section);
});
