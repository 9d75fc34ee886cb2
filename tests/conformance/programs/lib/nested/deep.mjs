import {PI} from "../shapes.mjs";
export default `deep knows ${PI}`;
export const path = import.meta.url.split("/").slice(-2).join("/");
