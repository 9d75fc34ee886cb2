import {nameA, seen} from "./cycle-a.mjs";
export function nameB() { return "b"; }
export const early = (() => {
    try {
        return seen;
    } catch (error) {
        return error instanceof ReferenceError ? "not yet initialized" : "?";
    }
})();
export const describeA = () => `${nameA()}: ${seen}; early: ${early}`;
