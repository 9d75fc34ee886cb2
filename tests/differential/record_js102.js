// Runs a program in the shell under the engine's own Debugger and prints what its hooks saw, one
// event a line: js102 record_js102.js FOLDER PROGRAM. differential.py has the other half.
"use strict";

const [folder, program] = scriptArgs;
const guest = newGlobal({newCompartment: true});
const dbg = new Debugger(guest);
dbg.allowUnobservedWasm = false;
const events = [];

// The shell knows modules by their whole path.
const urlOf = (script) => script.format === "wasm" ? "wasm"
    : script.source.url.replace(`${folder}/`, "");
const isOurs = (url) => url === "wasm" || url.startsWith(program) || url.endsWith(".mjs");

function placeOf(script, offset) {
    if (script.format === "wasm")
        return `wasm +${offset}`;
    const at = script.getOffsetMetadata(offset);
    return `${script.displayName || "-"} ${urlOf(script)}:${at.lineNumber}:${at.columnNumber + 1}`;
}

function textOf(value) {
    return value instanceof Debugger.Object ? (value.callable ? "function" : "object")
        : typeof value === "symbol" ? "symbol" : Object.is(value, -0) ? "-0" : String(value);
}

function report(kind, frame, more = "") {
    const script = frame && frame.script;
    if (!frame)
        events.push(`${kind} nowhere${more}`);
    else if (isOurs(urlOf(script)))
        events.push(`${kind} ${placeOf(script, frame.offset)}${more}`);
}

function onStep() {
    const {script, offset} = this;
    if (script.format === "wasm" || script.getOffsetMetadata(offset).isStepStart)
        report("step", this);
}

function onPop(completion) {
    const how = completion === null ? "terminated" : "throw" in completion ? "throw"
        : completion.yield ? "yield" : completion.await ? "await" : "return";
    const value = completion === null ? ""
        : textOf("throw" in completion ? completion.throw : completion.return);
    report("pop", this, ` ${how} ${value}`);
}

dbg.onEnterFrame = (frame) => {
    frame.onStep = onStep;
    frame.onPop = onPop;
    report("enter-frame", frame);
};
dbg.onDebuggerStatement = (frame) => report("debugger-statement", frame);
dbg.onExceptionUnwind = (frame, value) => report("unwind", frame, ` ${textOf(value)}`);
dbg.onNewScript = (script) => {
    if (isOurs(urlOf(script)))
        events.push(`new-script ${urlOf(script)}${script.format === "wasm" ? "" : `:${script.startLine}`}`);
};
dbg.onNewPromise = () => report("new-promise", dbg.getNewestFrame());
dbg.onPromiseSettled = (promise) => {
    const state = promise.promiseState;
    const value = state === "fulfilled" ? promise.promiseValue : promise.promiseReason;
    report("promise-settled", dbg.getNewestFrame(), ` ${state} ${textOf(value)}`);
};

const text = (name) => os.file.readFile(`${folder}/${name}`);
try {
    if (program.endsWith(".mjs")) {
        guest.evaluate(`import("${folder}/${program}")`, {fileName: `${folder}/glue`});
    } else {
        guest.evaluate(text(program), {fileName: program, lineNumber: 1, noScriptRval: true});
    }
} catch (e) {
    // A program that fails has been reported so.
}
drainJobQueue();
dbg.removeAllDebuggees();
print(events.join("\n"));
