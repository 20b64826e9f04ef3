// Checks the cases that its parent sends, in a process of its own: a crash or an endless loop ends no more than that.
import { fromText } from "./case.ts";
import { checkAll, type Verdict } from "./check.ts";

/** Cases as text, which keeps the alignment of tensors. */
export type Request = { readonly cases: readonly string[]; readonly only: readonly string[] | null };
/** started: what it works at, null for the C of all. done: what came of each. */
export type Reply =
  | { readonly kind: "started"; readonly index: number | null }
  | { readonly kind: "done"; readonly verdicts: readonly Verdict[] };

const tell = (r: Reply): void => {
  process.send!(r);
};
process.on("message", ({ cases, only }: Request) => {
  checkAll(cases.map(fromText), { only }, (index) => tell({ kind: "started", index })).then(
    (verdicts) => tell({ kind: "done", verdicts }),
    (e: unknown) => {
      console.error(e);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit());
