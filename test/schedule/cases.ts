// All cases.
import { contractSpecs } from "./cases-contract.ts";
import { elementwiseSpecs } from "./cases-elementwise.ts";
import { moveSpecs } from "./cases-move.ts";
import { poolSpecs } from "./cases-pool.ts";
import { reduceSpecs } from "./cases-reduce.ts";
import type { Spec } from "./spec.ts";

export const specs: readonly Spec[] = [
  ...contractSpecs,
  ...poolSpecs,
  ...reduceSpecs,
  ...moveSpecs,
  ...elementwiseSpecs,
];
