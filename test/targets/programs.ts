// Small programs, built by hand, that every target runs: each with inputs and the outputs expected of them, computed apart
// from any printer. See programs/draft.ts for what a Fixture says.
import { actionPrograms } from "./programs/actions.ts";
import type { Fixture } from "./programs/draft.ts";
import { fuzzPrograms } from "./programs/fuzz.ts";
import { memoryPrograms } from "./programs/memory.ts";
import { scalarPrograms } from "./programs/scalars.ts";
import { structurePrograms } from "./programs/structure.ts";
import { vectorPrograms } from "./programs/vectors.ts";

export type { Fixture, Layout, Run } from "./programs/draft.ts";
export { linearMemory } from "./programs/draft.ts";

export const programs: readonly Fixture[] = [
  ...scalarPrograms,
  ...structurePrograms,
  ...memoryPrograms,
  ...actionPrograms,
  ...vectorPrograms,
  ...fuzzPrograms,
];
