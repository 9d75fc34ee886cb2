/*
 * A small host for the console prelude inside the js102 shell, so that formatting is tested without
 * the daemon:
 *
 *     js102 prelude_js102.js PROGRAM [ARG...]
 *
 * The program runs in a realm of its own and the prelude in a second realm of the same compartment,
 * as in a worker. The shell's own realm is in a third place: it drives timers, promise jobs and
 * `process`, and implements the prelude's native intrinsics by means of a Debugger.
 *
 * Timers use a virtual clock, so that no program makes the tests wait.
 */
"use strict";

const PRELUDE = "../../worker/engines/mozjs_prelude.js";

const guest = newGlobal({newCompartment: true});
const preludeRealm = newGlobal({sameCompartmentAs: guest});
const guestAccess = new Debugger().addDebuggee(guest);

// -- native intrinsics ---------------------------------------------------------------------------

const reference = (object) => guestAccess.makeDebuggeeValue(object);
const plain = (value) =>
    value instanceof Debugger.Object ? value.unsafeDereference() : value;

let skipped = 0;
const now = () => monotonicNow() + skipped;

// The shell cannot look into an iterator. It notes the kind of each where the guest makes it, and
// uses it up when it is printed: no program here goes on with an iterator it has printed.
const drainIterator = guest.eval(`{
    const pairIterators = new WeakMap();
    const {has, get, set} = WeakMap.prototype;
    for (const prototype of [Map.prototype, Set.prototype]) {
        for (const name of ["keys", "values", "entries", Symbol.iterator]) {
            const original = prototype[name];
            const pairs = name === "entries" || (name === Symbol.iterator && prototype === Map.prototype);
            Object.defineProperty(prototype, name, {value() {
                const iterator = original.call(this);
                set.call(pairIterators, iterator, pairs);
                return iterator;
            }});
        }
    }
    (iterator) => has.call(pairIterators, iterator)
        ? Object.assign([...iterator], {pairs: get.call(pairIterators, iterator)})
        : undefined;
}`);

const native = {
    write(stream, level, text) {
        (stream === 1 ? print : printErr)(text);
    },
    now,
    classOf(object) {
        const name = reference(object).class;
        // A namespace is a kind of proxy to the Debugger, which names those after their target.
        return name === "Object" && preludeRealm.isNamespace(object) ? "Module" : name;
    },
    proxyDetails(object) {
        const proxy = reference(object);
        return proxy.isProxy ? [plain(proxy.proxyTarget), plain(proxy.proxyHandler)] : undefined;
    },
    promiseDetails(object) {
        const promise = reference(object);
        switch (promise.promiseState) {
        case "fulfilled": return ["fulfilled", plain(promise.promiseValue)];
        case "rejected": return ["rejected", plain(promise.promiseReason)];
        default: return ["pending", undefined];
        }
    },
    previewEntries(object) {
        return drainIterator(object);
    },
    functionKind(object) {
        const fun = reference(object);
        if (fun.isClassConstructor)
            return "class";
        if (fun.isAsyncFunction)
            return fun.isGeneratorFunction ? "asyncgenerator" : "async";
        if (fun.isGeneratorFunction && fun.script !== undefined)
            return "generator";
        return fun.isArrowFunction ? "arrow" : "function";
    },
};

preludeRealm.isNamespace = preludeRealm.eval(`(object) =>
    Reflect.getPrototypeOf(object) === null && !Reflect.isExtensible(object) &&
    Object.prototype.toString.call(object) === "[object Module]"`);

const prelude = evaluate(os.file.readRelativeToScript(PRELUDE), {
    global: preludeRealm,
    fileName: "stillpoint:prelude",
})(native);

// -- the guest's globals -------------------------------------------------------------------------

// The shell takes each byte of an argument for a character.
const [program, ...programArguments] = scriptArgs.map((arg) => decodeURIComponent(escape(arg)));
const process = guest.eval("({argv: [], exitCode: undefined})");
process.argv.push("js102", program, ...programArguments);
process.exit = (code) => {
    leave(code === undefined ? process.exitCode : code);
};

function leave(code) {
    quit(code === undefined ? 0 : Number(code) & 255);
}

function fail(value) {
    native.write(2, "error", prelude.formatError(value));
    leave(1);
}

const timers = new Map();
let lastTimer = 0;

function requireFunction(value) {
    if (typeof value !== "function")
        throw new guest.TypeError("The callback is not a function");
    return value;
}

function addTimer(callback, delay, args, repeats) {
    requireFunction(callback);
    delay = Number(delay);
    delay = delay >= 1 && delay <= 0x7fffffff ? Math.trunc(delay) : 1;
    const id = ++lastTimer;
    timers.set(id, {id, callback, args, due: now() + delay, delay: repeats ? delay : undefined});
    return id;
}

const enqueueMicrotask = guest.eval("(f) => { Promise.resolve().then(() => f()); }");

const rejected = new Set();
setPromiseRejectionTrackerCallback((promise, state) => {
    if (state === 0)
        rejected.add(promise);
    else
        rejected.delete(promise);
});

// The guest sees functions of its own realm, each of which hands its arguments over as an array.
const makeNative = guest.eval("(f) => (...args) => f(args)");
const install = (object, name, f) =>
    guest.Object.defineProperty(object, name, Object.assign(guest.Object(), {
        value: makeNative(f), writable: true, configurable: true, enumerable: true,
    }));

const guestConsole = guest.eval("({})");
for (const name of Object.keys(prelude.console))
    install(guestConsole, name, prelude.console[name]);
guest.console = guestConsole;
guest.process = process;
guest.performance = guest.eval("({})");
install(guest.performance, "now", now);
install(guest, "setTimeout", ([f, delay, ...args]) => addTimer(f, delay, args, false));
install(guest, "setInterval", ([f, delay, ...args]) => addTimer(f, delay, args, true));
for (const name of ["clearTimeout", "clearInterval"])
    install(guest, name, ([id]) => void timers.delete(id));
// Unlike a promise reaction, a microtask that throws ends the program at once.
install(guest, "queueMicrotask", ([f]) => {
    requireFunction(f);
    enqueueMicrotask(() => {
        try {
            f();
        } catch (error) {
            fail(error);
        }
    });
});

// Names of the shell's that would hide an undeclared use of something a worker does not have.
for (const name of ["print", "printErr", "load", "evaluate", "readline", "quit", "gc", "scriptArgs"])
    delete guest[name];

// -- running ---------------------------------------------------------------------------------------

/** Runs the jobs, then reports a rejection that nobody handled by then. */
function settle() {
    drainJobQueue();
    for (const promise of rejected)
        fail(native.promiseDetails(promise)[1]);
}

function guarded(run) {
    try {
        run();
    } catch (error) {
        fail(error);
    }
    settle();
}

// Relative specifiers need a referrer, which evaluated code does not have in the shell.
guarded(() => {
    if (program.endsWith(".mjs")) {
        const path = program.startsWith("/") ? program : `${os.getenv("PWD")}/${program}`;
        evaluate(`import(${JSON.stringify(path)})`, {global: guest, fileName: program});
    } else {
        const source = os.file.readFile(program).replaceAll('import("./', `import("${os.getenv("PWD")}/`);
        evaluate(source, {global: guest, fileName: program});
    }
});

while (timers.size > 0) {
    const next = [...timers.values()].reduce((a, b) => b.due < a.due ? b : a);
    if (next.due > now())
        skipped += next.due - now();
    if (next.delay === undefined)
        timers.delete(next.id);
    else
        next.due = now() + next.delay;
    guarded(() => next.callback.apply(undefined, next.args));
}
leave(process.exitCode);
