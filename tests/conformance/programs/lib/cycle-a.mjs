import {nameB, describeA} from "./cycle-b.mjs";
export function nameA() { return "a"; }
export const seen = `a sees ${nameB()}`;
export const described = () => describeA();
