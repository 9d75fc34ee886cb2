export * from "./shapes.mjs";
export {default as Shape, PI as tau} from "./shapes.mjs";
export * as counter from "./counter.mjs";
export {default} from "./nested/deep.mjs";
