// Lets node run the TypeScript sources as they are: `import "../source.mjs"` first, or `node --import ./test/source.mjs FILE.ts`.
import { register } from "node:module";

register("./source-hooks.mjs", import.meta.url);
