/*
 * The console of a SpiderMonkey VM: object inspection, %-formats, tables, groups, counters and the
 * text of uncaught errors, laid out as node 20 prints them when its output is not a terminal.
 *
 * The script is evaluated once per VM, in a realm of its own inside the guest's compartment, before
 * any guest code runs. Its completion value is `(native) => exports`; `native` is implemented by the
 * adapter:
 *
 *   write(stream, level, text)   one console record; stream 1 is stdout, 2 is stderr
 *   now()                        monotonic world clock, milliseconds
 *   classOf(object)              the engine's class name ("Map", "Error", "Arguments", ...)
 *   proxyDetails(object)         undefined, or [target, handler]; both null once revoked
 *   promiseDetails(promise)      ["pending" | "fulfilled" | "rejected", value]
 *   previewEntries(iterator)     what a Map or Set iterator has left, without advancing it: an array
 *                                whose `pairs` property is true where the items are [key, value];
 *                                undefined when the engine cannot tell
 *   functionKind(function)       "function", "class", "async", "generator", "asyncgenerator",
 *                                "arrow" or "native"
 *   filePlace(text)              a file's name in a stack, as it is: the engine takes each of its
 *                                bytes for a character
 *
 * Two rules follow from living beside a hostile realm:
 *
 *  - A guest object is never asked what it is by `instanceof` (its constructors are not ours), nor by
 *    calling its methods (they may be replaced). classOf() names the kind, and the accessors of *our*
 *    realm, which work on any object of the right kind in the compartment, read the contents.
 *  - Whatever the guest can reach from an object we hand out (the options and the inspect function
 *    given to a custom inspector, a TypeError thrown in here) must not let it alter this realm, so
 *    the intrinsics are frozen before the first guest object is seen (see hardenRealm). That is also
 *    what makes plain method calls on our own strings and arrays safe.
 */
(function () {
    "use strict";

    // ------------------------------------------------------------------------------------------
    // Intrinsics that are applied to guest objects: uncurry(f)(receiver, ...args).

    const uncurry = Function.prototype.bind.bind(Function.prototype.call);
    const getterOf = (prototype, key) =>
        uncurry(Object.getOwnPropertyDescriptor(prototype, key).get);

    const TypedArray = Object.getPrototypeOf(Uint8Array);

    const hasOwn = uncurry(Object.prototype.hasOwnProperty);
    const isEnumerable = uncurry(Object.prototype.propertyIsEnumerable);
    const apply = Reflect.apply;
    const ownKeys = Reflect.ownKeys;
    const descriptorOf = Reflect.getOwnPropertyDescriptor;
    const prototypeOf = Reflect.getPrototypeOf;

    const functionCaller = getterOf(Function.prototype, "caller");
    const errorToString = uncurry(Error.prototype.toString);
    const errorStack = getterOf(Error.prototype, "stack");
    const regExpToString = uncurry(RegExp.prototype.toString);
    const regExpSource = getterOf(RegExp.prototype, "source");
    // Not `flags`, whose accessor asks the object for its properties one by one.
    const regExpFlags = [
        ["d", "hasIndices"], ["g", "global"], ["i", "ignoreCase"], ["m", "multiline"],
        ["s", "dotAll"], ["u", "unicode"], ["y", "sticky"],
    ].map(([letter, key]) => [letter, getterOf(RegExp.prototype, key)]);
    const dateToString = uncurry(Date.prototype.toString);
    const dateToISOString = uncurry(Date.prototype.toISOString);
    const dateGetTime = uncurry(Date.prototype.getTime);
    const symbolToString = uncurry(Symbol.prototype.toString);
    const symbolDescription = getterOf(Symbol.prototype, "description");
    const mapEntries = uncurry(Map.prototype.entries);
    const mapSize = getterOf(Map.prototype, "size");
    const setValues = uncurry(Set.prototype.values);
    const setSize = getterOf(Set.prototype, "size");
    const typedArrayLength = getterOf(TypedArray.prototype, "length");
    const bufferLengths = {
        __proto__: null,
        ArrayBuffer: getterOf(ArrayBuffer.prototype, "byteLength"),
        SharedArrayBuffer: typeof SharedArrayBuffer === "function"
            ? getterOf(SharedArrayBuffer.prototype, "byteLength")
            : undefined,
    };

    const unboxers = {
        __proto__: null,
        Number: uncurry(Number.prototype.valueOf),
        String: uncurry(String.prototype.valueOf),
        Boolean: uncurry(Boolean.prototype.valueOf),
        BigInt: uncurry(BigInt.prototype.valueOf),
        Symbol: uncurry(Symbol.prototype.valueOf),
    };

    const setOf = (words) => new Set(words.split(" "));

    const TYPED_ARRAYS = setOf(
        "Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array " +
        "Float32Array Float64Array BigInt64Array BigUint64Array");

    const ERRORS = setOf(
        "Error AggregateError EvalError InternalError RangeError ReferenceError SyntaxError " +
        "TypeError URIError CompileError LinkError RuntimeError");

    // Constructors whose toString() is the language's own: %s inspects their instances.
    const BUILT_INS = setOf(
        "Object Function Array Number Boolean String Symbol BigInt Date Promise RegExp Error " +
        "AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError " +
        "ArrayBuffer SharedArrayBuffer DataView Map Set WeakMap WeakSet WeakRef Proxy " +
        "FinalizationRegistry " + [...TYPED_ARRAYS].join(" "));

    // What SpiderMonkey keeps as own properties of an error and node's engine does not have.
    const ERROR_LOCATION = setOf("fileName lineNumber columnNumber");

    const CUSTOM_INSPECT = Symbol.for("nodejs.util.inspect.custom");

    const SHORT_STRING = 16;            // no longer string is ever split over lines
    const GROUPED_FROM = 7;             // list entries from which columns are tried
    const MOST_COLUMNS = 15;
    const BUDGET = 2 ** 27;             // characters on one level after which depth is cut off
    const SCAN_LIMIT = 100000;          // elements up to which a list is searched for named keys

    // The file name under which this script was compiled: its frames are left out of stacks.
    const OWN_FILE = (/@(.*?):\d+:\d+$/m.exec(new Error().stack) || ["", ""])[1];

    const isObject = (value) =>
        (typeof value === "object" && value !== null) || typeof value === "function";

    /** A copy of an array of another realm, whose own methods and iterator are not to be trusted. */
    const tail = (array, from) => {
        const rest = [];
        for (let i = from; i < array.length; i++)
            rest.push(array[i]);
        return rest;
    };

    const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

    /**
     * Freezes what the guest can get at from an object of ours. The constructors of functions are
     * made unreachable altogether: code compiled by them would run in this realm, out of sight of
     * the debuggers that watch the guest's.
     */
    function hardenRealm() {
        const functionPrototypes = [
            Function.prototype,
            prototypeOf(function* () {}),
            prototypeOf(async function () {}),
            prototypeOf(async function* () {}),
        ];
        for (const prototype of functionPrototypes)
            delete prototype.constructor;

        const roots = [
            Object, Function, Array, String, Number, Boolean, Symbol, BigInt, RegExp, Date, Promise,
            Map, Set, WeakMap, WeakSet, Proxy, ArrayBuffer, DataView, TypedArray, Uint8Array,
            Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError,
            URIError, InternalError,
        ];
        const shared = [
            ...functionPrototypes, Reflect, Math, JSON,
            prototypeOf([][Symbol.iterator]()),
            prototypeOf(prototypeOf([][Symbol.iterator]())),
            prototypeOf(""[Symbol.iterator]()),
            prototypeOf(new Map().entries()),
            prototypeOf(new Set().values()),
            prototypeOf("".matchAll(/x/g)),
        ];
        for (const root of roots) {
            if (root.prototype !== undefined)
                Object.freeze(root.prototype);
            Object.freeze(root);
        }
        for (const object of shared)
            Object.freeze(object);
    }

    // ------------------------------------------------------------------------------------------
    // Text: columns, quoting, numbers.

    // East Asian wide and full-width characters, and what is drawn as an emoji by default.
    const WIDE = new RegExp("[" +
        "\\u1100-\\u115f\\u2329\\u232a\\u2630-\\u2637\\u268a-\\u268f\\u2e80-\\u303e\\u3041-\\u3247" +
        "\\u3250-\\ua4cf\\ua960-\\ua97f\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f" +
        "\\uff01-\\uff60\\uffe0-\\uffe6\\u{16fe0}-\\u{18cff}\\u{1aff0}-\\u{1b2ff}" +
        "\\u{1d300}-\\u{1d376}\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}" +
        "\\p{Emoji_Presentation}]", "u");
    const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;
    const SOFT_HYPHEN = "\u00ad";
    const ASCII_PRINTABLE = /^[ -~]*$/;

    /** Columns a terminal needs for the text. */
    function displayWidth(text) {
        if (ASCII_PRINTABLE.test(text))
            return text.length;
        let width = 0;
        for (const character of text.normalize("NFC")) {
            if (WIDE.test(character))
                width += 2;
            else if (!ZERO_WIDTH.test(character) || character === SOFT_HYPHEN)
                width += 1;
        }
        return width;
    }

    const UNSAFE = /[\x00-\x1f\x7f-\x9f'\\]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
    const UNSAFE_ALL = new RegExp(UNSAFE.source, "g");
    const UNSAFE_UNQUOTED_ALL = new RegExp(UNSAFE.source.replace("'", ""), "g");

    const SHORT_ESCAPES = {
        "__proto__": null,
        "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "'": "\\'", "\\": "\\\\",
    };

    function escapeCharacter(character) {
        const known = SHORT_ESCAPES[character];
        if (known !== undefined)
            return known;
        const code = character.charCodeAt(0);
        return code > 0xff
            ? `\\u${code.toString(16)}`
            : `\\x${code.toString(16).toUpperCase().padStart(2, "0")}`;
    }

    /** The text as a literal, in the first kind of quotes that needs no escape, else in '. */
    function quote(text) {
        if (!UNSAFE.test(text))
            return `'${text}'`;
        let mark = "'";
        if (text.includes("'")) {
            if (!text.includes('"'))
                mark = '"';
            else if (!text.includes("`") && !text.includes("${"))
                mark = "`";
        }
        const unsafe = mark === "'" ? UNSAFE_ALL : UNSAFE_UNQUOTED_ALL;
        return mark + text.replace(unsafe, escapeCharacter) + mark;
    }

    /** Inserts _ between groups of three digits, from the point outwards. */
    function separateDigits(digits) {
        const [, sign, whole, fraction] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(digits) || [];
        if (whole === undefined)
            return digits;
        const left = sign + whole.replace(/\B(?=(\d{3})+$)/g, "_");
        return fraction === undefined ? left : `${left}.${fraction.replace(/(\d{3})(?=\d)/g, "$1_")}`;
    }

    function numberText(number, separated) {
        if (separated)
            return separateDigits(`${number}`);
        return number === 0 && 1 / number < 0 ? "-0" : `${number}`;
    }

    const bigIntText = (bigint, separated) =>
        `${separated ? separateDigits(`${bigint}`) : bigint}n`;

    const indented = (text, columns) =>
        columns === 0 ? text : text.replaceAll("\n", `\n${" ".repeat(columns)}`);

    return function prelude(native) {
        // --------------------------------------------------------------------------------------
        // Inspection.
        //
        // A Job carries what one call of inspect() needs: the options, the indentation of the line
        // being produced, the objects being visited and the references given to circular ones.

        const DEFAULTS = {
            __proto__: null,
            showHidden: false,
            depth: 2,
            colors: false,
            customInspect: true,
            showProxy: false,
            maxArrayLength: 100,
            maxStringLength: 10000,
            breakLength: 80,
            compact: 3,
            sorted: false,
            getters: false,
            numericSeparator: false,
        };

        function makeJob(options) {
            const job = {
                __proto__: null,
                indent: 0,
                visiting: [],
                references: undefined,
                entered: 0,             // level of the object entered last
                budget: {__proto__: null},
                withoutBytes: false,
                given: options,
            };
            for (const key in DEFAULTS)
                job[key] = DEFAULTS[key];
            if (isObject(options)) {
                for (const key in DEFAULTS) {
                    if (hasOwn(options, key))
                        job[key] = options[key];
                }
            }
            if (job.maxArrayLength === null)
                job.maxArrayLength = Infinity;
            if (job.maxStringLength === null)
                job.maxStringLength = Infinity;
            return job;
        }

        /** The options in force; without a prototype, since custom inspectors get them. */
        function optionsOf(job) {
            const options = {__proto__: null};
            for (const key in DEFAULTS)
                options[key] = job[key];
            return options;
        }

        function inspectWith(value, options) {
            return inspectValue(makeJob(options), value, 0);
        }

        /** The function custom inspectors are given; also node's older (value, showHidden, depth). */
        function inspect(value, options, depth) {
            if (typeof options === "boolean")
                options = {__proto__: null, showHidden: options, depth: depth === undefined ? 2 : depth};
            return inspectWith(value, options);
        }
        inspect.custom = CUSTOM_INSPECT;
        Object.freeze(inspect);

        /** `level` is the number of objects around the value. */
        function inspectValue(job, value, level) {
            if (!isObject(value))
                return inspectPrimitive(job, value);

            const original = value;
            for (let proxy; (proxy = native.proxyDetails(value)) !== undefined; value = proxy[0]) {
                if (proxy[0] === null)
                    return "<Revoked Proxy>";
                if (job.showProxy)
                    return inspectProxy(job, proxy, level);
            }

            if (job.customInspect) {
                const custom = customText(job, original, value, level);
                if (custom !== undefined)
                    return custom;
            }

            if (job.visiting.includes(value)) {
                job.references = job.references || new Map();
                let number = job.references.get(value);
                if (number === undefined) {
                    number = job.references.size + 1;
                    job.references.set(value, number);
                }
                return `[Circular *${number}]`;
            }
            return inspectObject(job, value, level);
        }

        function inspectPrimitive(job, value) {
            switch (typeof value) {
            case "string": return inspectString(job, value);
            case "number": return numberText(value, job.numericSeparator);
            case "bigint": return bigIntText(value, job.numericSeparator);
            case "symbol": return symbolToString(value);
            default: return `${value}`;
            }
        }

        function inspectString(job, text) {
            let rest = "";
            if (text.length > job.maxStringLength) {
                const left = text.length - job.maxStringLength;
                text = text.slice(0, job.maxStringLength);
                rest = `... ${plural(left, "more character")}`;
            }
            if (job.compact !== true && text.length > SHORT_STRING &&
                text.length > job.breakLength - job.indent - 4 && text.includes("\n")) {
                return text.split(/(?<=\n)/).map(quote)
                    .join(` +\n${" ".repeat(job.indent + 2)}`) + rest;
            }
            return quote(text) + rest;
        }

        function inspectProxy(job, proxy, level) {
            if (job.depth !== null && level > job.depth)
                return "Proxy [Array]";
            const parts = nested(job, () => [
                inspectValue(job, proxy[0], level + 1),
                inspectValue(job, proxy[1], level + 1),
            ]);
            return layOut(job, {open: "Proxy [", close: "]", base: "", list: true, source: undefined},
                parts, level + 1);
        }

        /** What the object's own inspector makes of it; undefined where there is none. */
        function customText(job, original, value, level) {
            const inspector = value[CUSTOM_INSPECT];
            if (typeof inspector !== "function" || inspector === inspect)
                return undefined;
            // A prototype shows itself plainly: its inspector is meant for instances.
            const constructor = value.constructor;
            if (constructor && constructor.prototype === value)
                return undefined;

            const depth = job.depth === null ? null : job.depth - level;
            const options = optionsOf(job);
            options.stylize = (text) => `${text}`;
            if (isObject(job.given)) {
                for (const key of Object.keys(job.given))
                    options[key] = job.given[key];
            }
            const result = apply(inspector, original, [depth, options, inspect]);
            if (result === original)
                return undefined;
            return isObject(result)
                ? indented(inspectValue(job, result, level), job.indent)
                : indented(`${String(result)}`, job.indent);
        }

        function nested(job, produce) {
            job.indent += 2;
            const result = produce();
            job.indent -= 2;
            return result;
        }

        function inspectObject(job, value, level) {
            const shape = describe(job, value, level);
            if (shape.text !== undefined)
                return shape.text;
            if (job.depth !== null && level > job.depth)
                return abbreviation(shape, "");

            let parts;
            const depth = job.visiting.length;
            job.visiting.push(value);
            job.entered = level + 1;
            const indent = job.indent;
            try {
                parts = shape.contents === undefined ? [] : shape.contents(level + 1);
                for (const key of shape.keys)
                    parts.push(inspectProperty(job, value, key, level + 1, shape.list));
                for (const [holder, key] of shape.inherited)
                    parts.push(inspectProperty(job, holder, key, level + 1, false));
            } catch (error) {
                if (!isStackOverflow(error))
                    throw error;
                // One frame of the exhausted stack was just given back: enough for this text.
                job.indent = indent;
                job.withoutBytes = false;
                job.visiting.length = depth;
                return abbreviation(shape,
                    ": Inspection interrupted prematurely. Maximum call stack size exceeded.");
            }
            job.visiting.pop();

            const number = job.references && job.references.get(value);
            if (number !== undefined) {
                const mark = `<ref *${number}>`;
                if (job.compact === true)
                    shape.open = `${mark} ${shape.open}`;
                else
                    shape.base = shape.base === "" ? mark : `${mark} ${shape.base}`;
            }
            if (job.sorted) {
                const order = typeof job.sorted === "function" ? job.sorted : undefined;
                const fixed = shape.list ? parts.splice(0, parts.length - shape.keys.length) : [];
                parts = fixed.concat(parts.sort(order));
            }

            const text = layOut(job, shape, parts, level + 1);
            const spent = (job.budget[job.indent] || 0) + text.length;
            job.budget[job.indent] = spent;
            if (spent > BUDGET)
                job.depth = -1;
            return text;
        }

        /** The object's name in brackets, which a null prototype's name has already. */
        function abbreviation(shape, remark) {
            const name = prefixOf(shape.constructor, shape.tag, "Object").slice(0, -1);
            return shape.constructor === null && remark === ""
                ? name
                : `[${name}${remark}]`;
        }

        function isStackOverflow(error) {
            return isObject(error) && native.classOf(error) === "InternalError" &&
                error.message === "too much recursion";
        }

        // --------------------------------------------------------------------------------------
        // What an object is: its name, its braces, what it contains besides its properties.

        /** The name of the constructor the object was made by; null where it has no prototype. */
        function constructorName(job, value, level) {
            const first = prototypeOf(value);
            for (let object = value; object !== null; object = prototypeOf(object)) {
                const own = descriptorOf(object, "constructor");
                if (own !== undefined && typeof own.value === "function") {
                    const {name} = own.value;
                    if (name !== "" && inherits(value, own.value))
                        return String(name);
                }
            }
            if (first === null)
                return null;

            // A chain that names no constructor and ends without Object.prototype.
            const kind = engineName(value);
            if (job.depth !== null && level > job.depth)
                return `${kind} <Complex prototype>`;
            const inner = constructorName(job, first, level + 1);
            if (inner !== null)
                return `${kind} <${inner}>`;
            const options = {...optionsOf(job), customInspect: false, depth: -1};
            return `${kind} <${inspectWith(first, options)}>`;
        }

        /**
         * With showHidden: what the guest's classes keep in prototypes besides methods, mostly
         * accessors; from at most three prototypes up.
         */
        function inheritedProperties(value) {
            const found = [];
            const seen = new Set(["constructor"]);
            let holder = prototypeOf(value);
            for (let i = 0; i < 3 && holder !== null; i++, holder = prototypeOf(holder)) {
                const own = descriptorOf(holder, "constructor");
                if (own !== undefined && typeof own.value === "function" && BUILT_INS.has(own.value.name))
                    break;
                for (const key of ownKeys(holder)) {
                    if (seen.has(key) || hasOwn(value, key))
                        continue;
                    seen.add(key);
                    if (typeof descriptorOf(holder, key).value !== "function")
                        found.push([holder, key]);
                }
            }
            return found;
        }

        /** `value instanceof constructor` without the guest's Symbol.hasInstance. */
        function inherits(value, constructor) {
            const own = descriptorOf(constructor, "prototype");
            if (own === undefined || !isObject(own.value))
                return false;
            for (let object = prototypeOf(value); object !== null; object = prototypeOf(object)) {
                if (object === own.value)
                    return true;
            }
            return false;
        }

        /** The class name, with the names node's engine would not use mapped to Object. */
        function engineName(value) {
            const kind = native.classOf(value);
            return kind === "Arguments" || kind.includes(".") || kind.includes(" ") ? "Object" : kind;
        }

        function prefixOf(constructor, tag, fallback, size) {
            const count = size === undefined ? "" : `(${size})`;
            const name = constructor === null
                ? `[${fallback}${count}: null prototype]`
                : `${constructor}${count}`;
            const plain = constructor === null ? fallback : constructor;
            return tag !== "" && tag !== plain ? `${name} [${tag}] ` : `${name} `;
        }

        function isError(value, kind) {
            if (ERRORS.has(kind))
                return true;
            if (kind !== "Object" && !kind.endsWith("Error.prototype"))
                return false;
            // An ordinary object made from Error.prototype counts too.
            for (let object = prototypeOf(value); object !== null; object = prototypeOf(object)) {
                if (native.classOf(object) === "Error.prototype")
                    return true;
            }
            return false;
        }

        function propertyKeys(job, value) {
            return ownKeys(value).filter((key) => job.showHidden || isEnumerable(value, key));
        }

        /** Keys of a list other than its indices. */
        function namedKeys(job, value, length) {
            // Listing the keys of a huge list would cost a string for each of its elements.
            const keys = length > SCAN_LIMIT
                ? [...(hasOwn(value, "length") ? ["length"] : []), ...Object.getOwnPropertySymbols(value)]
                : ownKeys(value);
            return keys.filter((key) => {
                if (typeof key === "string" && isIndex(key))
                    return false;
                return job.showHidden || isEnumerable(value, key);
            });
        }

        function isIndex(key) {
            const first = key.charCodeAt(0);
            return first >= 48 && first <= 57 && String(key >>> 0) === key && key >>> 0 !== 0xffffffff;
        }

        /**
         * The shape of an object: either its whole `text`, or
         *   base          what stands before the brace, open, close: the braces
         *   list          properties are the elements of a list: laid out in columns
         *   keys          properties to print after the contents
         *   inherited     [holder, key] of the prototypes' properties, printed last
         *   contents      (level) => array of parts
         *   source        the list itself, to align numbers to the right
         *   constructor, tag: for the abbreviation below the depth limit
         */
        function describe(job, value, level) {
            const kind = native.classOf(value);
            const constructor = constructorName(job, value, level);
            let tag = value[Symbol.toStringTag];
            // A tag that is a visible property of the object is printed as such.
            if (typeof tag !== "string" || (tag !== "" &&
                (job.showHidden ? hasOwn : isEnumerable)(value, Symbol.toStringTag)))
                tag = "";

            const shape = {
                __proto__: null,
                text: undefined,
                base: "",
                open: "{",
                close: "}",
                list: false,
                keys: undefined,
                contents: undefined,
                source: undefined,
                inherited: job.showHidden && (job.depth === null || level <= job.depth)
                    ? inheritedProperties(value)
                    : [],
                constructor,
                tag,
            };
            const describer = describerOf(value, kind);
            const bare = describer(job, value, shape, kind, level);
            if (shape.keys === undefined)
                shape.keys = propertyKeys(job, value);
            if (bare !== undefined && shape.keys.length === 0 && shape.inherited.length === 0)
                shape.text = bare;
            return shape;
        }

        /*
         * A describer fills in the shape; the text it returns, if any, stands for an object that
         * has no property to show.
         */
        function describerOf(value, kind) {
            if (typeof value === "function")
                return describeFunction;
            if (TYPED_ARRAYS.has(kind))
                return describeTypedArray;
            if (isError(value, kind))
                return describeError;
            return DESCRIBERS[kind] || describePlain;
        }

        function describePlain(job, value, shape) {
            const {constructor, tag} = shape;
            if (constructor !== "Object" || tag !== "")
                shape.open = `${prefixOf(constructor, tag, "Object")}{`;
            return `${shape.open}}`;
        }

        function describeArguments(job, value, shape) {
            shape.open = "[Arguments] {";
            return "[Arguments] {}";
        }

        function describeArray(job, value, shape) {
            const {constructor, tag} = shape;
            const prefix = constructor !== "Array" || tag !== ""
                ? prefixOf(constructor, tag, "Array", value.length)
                : "";
            shape.open = `${prefix}[`;
            shape.close = "]";
            shape.list = true;
            shape.source = value;
            shape.keys = namedKeys(job, value, value.length);
            shape.contents = (level) => arrayParts(job, value, level);
            return value.length === 0 ? `${shape.open}]` : undefined;
        }

        function arrayParts(job, array, level) {
            const {length} = array;
            const parts = [];
            let index = 0;
            while (index < length && parts.length < job.maxArrayLength) {
                if (hasOwn(array, index)) {
                    parts.push(inspectProperty(job, array, index, level, true));
                    index++;
                } else {
                    const end = endOfHole(array, index, length);
                    parts.push(`<${plural(end - index, "empty item")}>`);
                    index = end;
                }
            }
            if (index < length)
                parts.push(`... ${plural(length - index, "more item")}`);
            return parts;
        }

        function endOfHole(array, start, length) {
            let index = start + 1;
            for (; index < length && !hasOwn(array, index); index++) {
                // After a long run the keys are cheaper than one question per index.
                if (index - start === 1000) {
                    for (const key of ownKeys(array)) {
                        if (typeof key === "string" && isIndex(key) && key >>> 0 > index)
                            return key >>> 0;
                    }
                    return length;
                }
            }
            return index;
        }

        const ELEMENT_LAYOUT = ["BYTES_PER_ELEMENT", "length", "byteLength", "byteOffset", "buffer"];

        function describeTypedArray(job, value, shape, kind) {
            const length = typedArrayLength(value);
            shape.open = `${prefixOf(shape.constructor, shape.tag, kind, length)}[`;
            shape.close = "]";
            shape.list = true;
            shape.source = value;
            shape.keys = namedKeys(job, value, length);
            shape.contents = (level) => {
                const parts = [];
                const shown = Math.min(length, job.maxArrayLength);
                for (let i = 0; i < shown; i++)
                    parts.push(inspectPrimitive(job, value[i]));
                if (length > shown)
                    parts.push(`... ${plural(length - shown, "more item")}`);
                if (job.showHidden) {
                    nested(job, () => {
                        // The elements have been shown: not again as the bytes of the buffer.
                        job.withoutBytes = true;
                        for (const key of ELEMENT_LAYOUT)
                            parts.push(`[${key}]: ${inspectValue(job, value[key], level)}`);
                        job.withoutBytes = false;
                    });
                }
                return parts;
            };
            return length === 0 && !job.showHidden ? `${shape.open}]` : undefined;
        }

        /** Entries of a collection, cut at maxArrayLength. */
        function collectionParts(job, size, entries, render) {
            const parts = [];
            nested(job, () => {
                for (const entry of entries) {
                    if (parts.length >= job.maxArrayLength)
                        break;
                    parts.push(render(entry));
                }
            });
            if (size > parts.length)
                parts.push(`... ${plural(size - parts.length, "more item")}`);
            return parts;
        }

        function entryText(job, entry, level) {
            const key = inspectValue(job, entry[0], level);
            return `${key} => ${inspectValue(job, entry[1], level)}`;
        }

        function describeMap(job, value, shape) {
            const size = mapSize(value);
            const prefix = prefixOf(shape.constructor, shape.tag, "Map", size);
            shape.open = `${prefix}{`;
            shape.contents = (level) => collectionParts(job, size, mapEntries(value), (entry) =>
                entryText(job, entry, level));
            return size === 0 ? `${prefix}{}` : undefined;
        }

        function describeSet(job, value, shape) {
            const size = setSize(value);
            const prefix = prefixOf(shape.constructor, shape.tag, "Set", size);
            shape.open = `${prefix}{`;
            shape.contents = (level) => collectionParts(job, size, setValues(value), (item) =>
                inspectValue(job, item, level));
            return size === 0 ? `${prefix}{}` : undefined;
        }

        function describeCollectionIterator(job, value, shape, kind) {
            const entries = native.previewEntries(value);
            const pairs = entries !== undefined && entries.pairs === true;
            let name = pairs ? kind.replace("Iterator", "Entries") : kind;
            if (shape.tag !== "" && shape.tag !== kind)
                name = `${shape.tag}] [${name}`;
            shape.open = `[${name}] {`;
            shape.list = !pairs;
            shape.contents = (level) => {
                if (entries === undefined)
                    return ["<items unknown>"];
                const items = tail(entries, 0);
                return collectionParts(job, items.length, items, (item) => pairs
                    ? nested(job, () => `[ ${inspectValue(job, item[0], level)}, ` +
                        `${inspectValue(job, item[1], level)} ]`)
                    : inspectValue(job, item, level));
            };
            return undefined;
        }

        function describeWeakCollection(job, value, shape, kind) {
            shape.open = `${prefixOf(shape.constructor, shape.tag, kind)}{`;
            shape.contents = (level) => {
                const entries = job.showHidden ? native.previewEntries(value) : undefined;
                if (entries === undefined)
                    return ["<items unknown>"];
                const items = tail(entries, 0);
                return collectionParts(job, items.length, items, (item) => entries.pairs === true
                    ? entryText(job, item, level)
                    : inspectValue(job, item, level));
            };
            return undefined;
        }

        function describeBuffer(job, value, shape, kind) {
            shape.open = `${prefixOf(shape.constructor, shape.tag, kind)}{`;
            const size = `byteLength: ${numberText(bufferLengths[kind](value), job.numericSeparator)}`;
            if (job.withoutBytes) {
                shape.contents = () => [size];
                return `${shape.open} ${size} }`;
            }
            shape.contents = () => {
                let bytes;
                try {
                    bytes = new Uint8Array(value);
                } catch {
                    return ["(detached)", size];
                }
                const shown = Math.min(bytes.length, job.maxArrayLength);
                const hex = [];
                for (let i = 0; i < shown; i++)
                    hex.push(bytes[i].toString(16).padStart(2, "0"));
                if (bytes.length > shown)
                    hex.push(`... ${plural(bytes.length - shown, "more byte")}`);
                return [`[Uint8Contents]: <${hex.join(" ")}>`, size];
            };
            return undefined;
        }

        function describeDataView(job, value, shape) {
            shape.open = `${prefixOf(shape.constructor, shape.tag, "DataView")}{`;
            shape.contents = (level) => ["byteLength", "byteOffset", "buffer"].map((key) =>
                nested(job, () => `${key}: ${inspectValue(job, value[key], level)}`));
            return undefined;
        }

        function describePromise(job, value, shape) {
            shape.open = `${prefixOf(shape.constructor, shape.tag, "Promise")}{`;
            shape.contents = (level) => {
                const details = native.promiseDetails(value);
                if (details[0] === "pending")
                    return ["<pending>"];
                const result = nested(job, () => inspectValue(job, details[1], level));
                return [details[0] === "rejected" ? `<rejected> ${result}` : result];
            };
            return undefined;
        }

        function describeModule(job, value, shape) {
            // Without the tag, which every namespace has.
            shape.open = `${prefixOf(shape.constructor, shape.tag, "Module")}{`;
            const names = ownKeys(value).filter((key) => typeof key === "string");
            shape.keys = [];
            shape.contents = (level) => names.map((key) => isInitialized(value, key)
                ? inspectProperty(job, value, key, level, false)
                : `${keyText(key, true)}: <uninitialized>`);
            return undefined;
        }

        /** Whether the module has got as far as the declaration of the exported name. */
        function isInitialized(namespace, key) {
            try {
                return descriptorOf(namespace, key) !== undefined;
            } catch {
                return false;
            }
        }

        function describeDate(job, value, shape) {
            const text = Number.isNaN(dateGetTime(value)) ? dateToString(value) : dateToISOString(value);
            const prefix = prefixOf(shape.constructor, shape.tag, "Date");
            shape.base = prefix === "Date " ? text : prefix + text;
            return shape.base;
        }

        function describeRegExp(job, value, shape, kind, level) {
            const text = shape.constructor === null
                ? `/${regExpSource(value)}/` +
                    regExpFlags.map(([letter, isSet]) => isSet(value) ? letter : "").join("")
                : regExpToString(value);
            const prefix = prefixOf(shape.constructor, shape.tag, "RegExp");
            shape.base = prefix === "RegExp " ? text : prefix + text;
            if (job.depth !== null && level > job.depth)
                shape.text = shape.base;
            return shape.base;
        }

        function describeBoxed(job, value, shape, kind) {
            const {constructor, tag} = shape;
            let base = `[${kind}`;
            if (constructor !== kind)
                base += constructor === null ? " (null prototype)" : ` (${constructor})`;
            const primitive = unboxers[kind](value);
            base += `: ${inspectPrimitive(makeJob(undefined), primitive)}]`;
            if (tag !== "" && tag !== constructor)
                base += ` [${tag}]`;
            shape.base = base;
            if (kind === "String") {
                shape.keys = propertyKeys(job, value).filter((key) =>
                    typeof key !== "string" || !isIndex(key) || key >>> 0 >= primitive.length);
            }
            return base;
        }

        const FUNCTION_KINDS = {
            __proto__: null,
            async: "AsyncFunction",
            generator: "GeneratorFunction",
            asyncgenerator: "AsyncGeneratorFunction",
        };

        function describeFunction(job, value, shape) {
            const {constructor, tag} = shape;
            const kind = native.functionKind(value);
            if (job.showHidden)
                shape.keys = functionKeysInOrder(value);

            if (kind === "class") {
                const name = hasOwn(value, "name") ? nameText(value.name) : "";
                let base = `[class ${name === "" ? "(anonymous)" : name}`;
                if (constructor !== "Function" && constructor !== null)
                    base += ` [${constructor}]`;
                if (tag !== "" && tag !== constructor)
                    base += ` [${tag}]`;
                if (constructor === null) {
                    base += " extends [null prototype]";
                } else {
                    const parent = prototypeOf(value).name;
                    if (parent)
                        base += ` extends ${nameText(parent)}`;
                }
                shape.base = `${base}]`;
                return shape.base;
            }

            const type = FUNCTION_KINDS[kind] || "Function";
            let base = `[${type}`;
            if (constructor === null)
                base += " (null prototype)";
            base += value.name === "" ? " (anonymous)]" : `: ${nameText(value.name)}]`;
            if (constructor !== type && constructor !== null)
                base += ` ${constructor}`;
            if (tag !== "" && tag !== constructor)
                base += ` [${tag}]`;
            shape.base = base;
            return base;
        }

        const nameText = (name) => typeof name === "symbol" ? symbolToString(name) : `${name}`;

        /** SpiderMonkey adds length, name and prototype on first use, in an order of its own. */
        function functionKeysInOrder(value) {
            const keys = ownKeys(value);
            const first = ["length", "name", "prototype"].filter((key) => keys.includes(key));
            if (isSloppy(value))
                first.splice(-1, 0, "arguments", "caller");
            return first.concat(keys.filter((key) => !first.includes(key)));
        }

        /** Non-strict functions have `arguments` and `caller`; the accessor throws for the others. */
        function isSloppy(fun) {
            try {
                functionCaller(fun);
                return hasOwn(fun, "prototype");
            } catch {
                return false;
            }
        }

        const DESCRIBERS = {
            "__proto__": null,
            "Array": describeArray,
            "Map": describeMap,
            "Set": describeSet,
            "Map Iterator": describeCollectionIterator,
            "Set Iterator": describeCollectionIterator,
            "WeakMap": describeWeakCollection,
            "WeakSet": describeWeakCollection,
            "ArrayBuffer": describeBuffer,
            "SharedArrayBuffer": describeBuffer,
            "DataView": describeDataView,
            "Promise": describePromise,
            "Module": describeModule,
            "Date": describeDate,
            "RegExp": describeRegExp,
            "Arguments": describeArguments,
            "Number": describeBoxed,
            "String": describeBoxed,
            "Boolean": describeBoxed,
            "BigInt": describeBoxed,
            "Symbol": describeBoxed,
        };

        // --------------------------------------------------------------------------------------
        // Errors.

        /**
         * The stack as `    at f (file:line:col)` lines. SpiderMonkey writes `f@file:line:col`, marks
         * frames behind an await or a promise reaction as `async*f`, and names functions by the
         * expression they stand in (`f/<` is a function inside f).
         */
        function frameLines(stack) {
            const lines = [];
            for (const line of stack.split("\n")) {
                const at = line.indexOf("@");
                if (at < 0)
                    continue;
                const location = native.filePlace(line.slice(at + 1));
                if (OWN_FILE !== "" && location.startsWith(`${OWN_FILE}:`))
                    continue;
                let name = line.slice(0, at);
                let mode = "";
                const star = name.indexOf("*");
                if (star >= 0) {
                    mode = "async ";
                    name = name.slice(star + 1);
                }
                if (name.endsWith("<"))
                    name = "";
                lines.push(name === "" ? `    at ${mode}${location}` : `    at ${mode}${name} (${location})`);
            }
            return lines;
        }

        /** Header and frames, or the text the guest has put into `stack`. */
        function stackText(error) {
            if (hasOwn(error, "stack")) {
                const {stack} = error;
                return stack ? String(stack) : errorToString(error);
            }
            const header = errorToString(error);
            const frames = ERRORS.has(native.classOf(error)) ? frameLines(errorStack(error)) : [];
            return frames.length === 0 ? header : `${header}\n${frames.join("\n")}`;
        }

        /** Puts the constructor's name into the header where `name` alone would hide it. */
        function withConstructor(stack, name, constructor, tag, kind) {
            if (constructor === null) {
                const fallback = /^([A-Z][A-Za-z_0-9[\]()-]*)(?=:|\n\s+at|$)/.exec(stack);
                const shown = fallback === null ? (ERRORS.has(kind) ? kind : "Error") : fallback[1];
                const rest = fallback === null ? `: ${stack}` : stack.slice(shown.length);
                return prefixOf(null, tag, shown).slice(0, -1) + rest;
            }
            const next = stack[name.length];
            if (!name.endsWith("Error") || !stack.startsWith(name) ||
                (next !== undefined && next !== ":" && next !== "\n"))
                return stack;
            const rest = stack.slice(name.length);
            if (constructor.includes(name))
                return constructor + rest;
            return `${constructor} [${name}]${rest}`;
        }

        function describeError(job, value, shape, kind) {
            const name = value.name === undefined || value.name === null ? "Error" : String(value.name);
            let text = stackText(value);

            let keys = propertyKeys(job, value).filter((key) =>
                !ERROR_LOCATION.has(key) || isEnumerable(value, key));
            if (job.showHidden) {
                // In the order in which node's engine makes them; the stack is no property here.
                const stack = text;
                shape.contents = () => [`[stack]: ${nested(job, () => inspectPrimitive(job, stack))}`];
                keys = keys.filter((key) => key !== "stack" && key !== "message");
                if (hasOwn(value, "message"))
                    keys.unshift("message");
            } else {
                // Not again what the text shows; `stack` is the text itself.
                keys = keys.filter((key) => key !== "stack" &&
                    ((key !== "name" && key !== "message") ||
                     typeof value[key] !== "string" || !text.includes(value[key])));
            }
            if ("cause" in value && !keys.includes("cause"))
                keys.push("cause");
            if (hasOwn(value, "errors") && Array.isArray(value.errors) && !keys.includes("errors"))
                keys.push("errors");
            shape.keys = keys;

            text = withConstructor(text, name, shape.constructor, shape.tag, kind);

            // A header without frames goes into brackets, or it would read like a string.
            const {message} = value;
            const end = typeof message === "string" && message !== "" ? text.indexOf(message) : -1;
            const frames = text.indexOf("\n    at", end < 0 ? 0 : end + message.length);
            if (frames < 0)
                text = `[${text}]`;
            shape.base = indented(text, job.indent);
            return job.showHidden ? undefined : shape.base;
        }

        // --------------------------------------------------------------------------------------
        // Properties and layout.

        const IDENTIFIER = /^[a-zA-Z_][a-zA-Z_0-9]*$/;

        function keyText(key, enumerable) {
            if (typeof key === "symbol")
                return `[${symbolToString(key).replace(UNSAFE_UNQUOTED_ALL, escapeCharacter)}]`;
            if (key === "__proto__")
                return "['__proto__']";
            if (!enumerable)
                return `[${key.replace(UNSAFE_UNQUOTED_ALL, escapeCharacter)}]`;
            return IDENTIFIER.test(key) ? key : quote(key);
        }

        function inspectProperty(job, object, key, level, list) {
            const own = descriptorOf(object, key) || absentProperty(object, key);
            const element = list && typeof key === "number";
            let text;
            if (own.get !== undefined)
                text = accessorText(job, object, own, level);
            else if (own.set !== undefined)
                text = "[Setter]";
            else
                text = nestedProperty(job, own.value, level, list);
            if (element)
                return text;
            return `${keyText(key, own.enumerable)}:${text.startsWith("\n") ? "" : " "}${text}`;
        }

        function absentProperty(object, key) {
            // Of a function these two are accessors of its prototype here, own properties in node.
            if (typeof object === "function" && (key === "arguments" || key === "caller"))
                return {value: null, enumerable: false};
            return {value: object[key], enumerable: key !== "cause" && key !== "errors"};
        }

        function nestedProperty(job, value, level, list) {
            // With `compact: true` a property's value stands one column further to the right.
            const columns = job.compact === true && !list ? 3 : 2;
            job.indent += columns;
            let text = inspectValue(job, value, level);
            if (columns === 3 && displayWidth(text) > job.breakLength)
                text = `\n${" ".repeat(job.indent)}${text}`;
            job.indent -= columns;
            return text;
        }

        function accessorText(job, object, own, level) {
            const label = own.set === undefined ? "Getter" : "Getter/Setter";
            const {getters} = job;
            if (!(getters === true || (getters === "get" && own.set === undefined) ||
                  (getters === "set" && own.set !== undefined)))
                return `[${label}]`;
            let value;
            try {
                value = apply(own.get, object, []);
            } catch (error) {
                if (isStackOverflow(error))
                    throw error;
                const message = isObject(error) ? error.message : undefined;
                return `[${label}: <Inspection threw (${message})>]`;
            }
            return nested(job, () => isObject(value)
                ? `[${label}] ${inspectValue(job, value, level)}`
                : `[${label}: ${inspectPrimitive(job, value)}]`);
        }

        /** Braces around the parts: on one line where the rules allow it. */
        function layOut(job, shape, parts, level) {
            const {open, close, base} = shape;
            const head = base === "" ? open : `${base} ${open}`;
            const margin = `\n${" ".repeat(job.indent)}`;

            if (job.compact === true) {
                if (fits(job, parts, 0, base))
                    return `${open}${base === "" ? "" : ` ${base}`} ${parts.join(", ")} ${close}`;
                const lead = base === "" && open.length === 1
                    ? " "
                    : `${base === "" ? "" : ` ${base}`}${margin}  `;
                return `${open}${lead}${parts.join(`,${margin}  `)} ${close}`;
            }

            if (typeof job.compact === "number" && job.compact >= 1) {
                const columns = shape.list && parts.length >= GROUPED_FROM
                    ? inColumns(job, parts, shape.source)
                    : parts;
                // An object that holds more than `compact` levels gets lines of its own, and so
                // does a list that was put into columns.
                if (job.entered - level < job.compact && columns === parts) {
                    const used = parts.length + job.indent + open.length + base.length + 10;
                    if (fits(job, parts, used, base)) {
                        const line = parts.join(", ");
                        if (!line.includes("\n"))
                            return parts.length === 0 && line === ""
                                ? `${head}  ${close}`
                                : `${head} ${line} ${close}`;
                    }
                }
                parts = columns;
            }
            return `${head}${margin}  ${parts.join(`,${margin}  `)}${margin}${close}`;
        }

        function fits(job, parts, used, base) {
            let total = parts.length + used;
            if (total + parts.length > job.breakLength)
                return false;
            for (const part of parts) {
                total += part.length;
                if (total > job.breakLength)
                    return false;
            }
            return base === "" || !base.includes("\n");
        }

        /**
         * Arranges the elements of a list in columns, numbers to the right; gives back the same
         * array where columns would not help. The number of columns aims at a block about two and a
         * half times as wide as high, counted in characters.
         */
        function inColumns(job, parts, source) {
            const gap = 2;
            let count = parts.length;
            // "... n more items" gets a line of its own.
            const elided = job.maxArrayLength < parts.length;
            if (elided)
                count--;

            const widths = [];
            let total = 0;
            let longest = 0;
            for (let i = 0; i < count; i++) {
                const width = displayWidth(parts[i]);
                widths.push(width);
                total += width + gap;
                longest = Math.max(longest, width);
            }
            const slot = longest + gap;
            if (slot * 3 + job.indent >= job.breakLength || (total / slot <= 5 && longest > 6))
                return parts;

            const biased = Math.max(slot - 3 - Math.sqrt(slot - total / parts.length), 1);
            const columns = Math.min(
                Math.round(Math.sqrt(2.5 * biased * count) / biased),
                Math.floor((job.breakLength - job.indent) / slot),
                job.compact * 4,
                MOST_COLUMNS);
            if (columns <= 1)
                return parts;

            const columnWidths = [];
            for (let column = 0; column < columns; column++) {
                let width = 0;
                for (let i = column; i < count; i += columns)
                    width = Math.max(width, widths[i]);
                columnWidths.push(width + gap);
            }

            const numeric = source !== undefined && allNumbers(source, parts.length);
            const lines = [];
            for (let start = 0; start < count; start += columns) {
                const end = Math.min(start + columns, count);
                let line = "";
                for (let i = start; i < end; i++) {
                    const last = i === end - 1;
                    const cell = last ? parts[i] : `${parts[i]}, `;
                    const width = columnWidths[i - start] - (last ? gap : 0);
                    const filler = " ".repeat(Math.max(width - widths[i] - (last ? 0 : gap), 0));
                    if (numeric)
                        line += filler + cell;
                    else
                        line += last ? cell : cell + filler;
                }
                lines.push(line);
            }
            if (elided)
                lines.push(parts[count]);
            return lines;
        }

        function allNumbers(source, count) {
            for (let i = 0; i < count; i++) {
                if (typeof source[i] !== "number" && typeof source[i] !== "bigint")
                    return false;
            }
            return true;
        }

        // --------------------------------------------------------------------------------------
        // %-formats.

        function printable(value) {
            return typeof value === "string" ? value : inspectWith(value, undefined);
        }

        /** Whether %s shows the object by inspection, not by a toString() of the guest's. */
        function hasLanguageToString(value) {
            for (let proxy; (proxy = native.proxyDetails(value)) !== undefined; value = proxy[0]) {
                if (proxy[0] === null)
                    return true;
            }
            if (typeof value.toString !== "function")
                return true;
            if (hasOwn(value, "toString"))
                return false;
            let holder = value;
            do
                holder = prototypeOf(holder);
            while (holder !== null && !hasOwn(holder, "toString"));
            if (holder === null)
                return true;
            const own = descriptorOf(holder, "constructor");
            return own !== undefined && typeof own.value === "function" && BUILT_INS.has(own.value.name);
        }

        function formatAsString(value) {
            switch (typeof value) {
            case "number": return numberText(value, false);
            case "bigint": return bigIntText(value, false);
            case "object":
                if (value !== null && hasLanguageToString(value))
                    return inspectWith(value, {__proto__: null, depth: 0});
                return String(value);
            default: return String(value);
            }
        }

        function formatAsJSON(value) {
            try {
                return `${JSON.stringify(value)}`;
            } catch (error) {
                if (isObject(error) && native.classOf(error) === "TypeError" &&
                    error.message === "cyclic object value")
                    return "[Circular]";
                throw error;
            }
        }

        const formatAsNumber = (convert) => (value) => {
            if (typeof value === "symbol")
                return "NaN";
            return typeof value === "bigint" ? bigIntText(value, false) : numberText(convert(value), false);
        };

        const CONVERSIONS = {
            __proto__: null,
            s: formatAsString,
            j: formatAsJSON,
            d: formatAsNumber((value) => Number(value)),
            i: formatAsNumber((value) => parseInt(value)),
            f: (value) => typeof value === "symbol" ? "NaN" : numberText(parseFloat(value), false),
            o: (value) => inspectWith(value, {__proto__: null, showHidden: true, showProxy: true, depth: 4}),
            O: (value) => inspectWith(value, undefined),
            c: () => "",
        };

        /** The arguments of console.log as one string; `args` is only indexed. */
        function format(args) {
            const count = args.length;
            const first = args[0];
            if (count === 1)
                return printable(first);
            if (count === 0)
                return "";

            let text = "";
            let next = 0;
            if (typeof first === "string") {
                next = 1;
                let done = 0;
                for (let at = first.indexOf("%"); at >= 0 && at + 1 < first.length;
                    at = first.indexOf("%", at + 2)) {
                    const letter = first[at + 1];
                    let replacement;
                    if (letter === "%")
                        replacement = "%";
                    else if (next < count && CONVERSIONS[letter] !== undefined)
                        replacement = CONVERSIONS[letter](args[next++]);
                    else
                        continue;
                    text += first.slice(done, at) + replacement;
                    done = at + 2;
                }
                text += first.slice(done);
            }
            for (; next < count; next++)
                text += (next === 0 ? "" : " ") + printable(args[next]);
            return text;
        }

        // --------------------------------------------------------------------------------------
        // console.

        const STDOUT = 1;
        const STDERR = 2;
        const counts = new Map();
        const timers = new Map();
        let margin = "";

        function emit(stream, level, text) {
            if (margin !== "")
                text = margin + (text.includes("\n") ? text.replaceAll("\n", `\n${margin}`) : text);
            native.write(stream, level, text);
        }

        function warnOfMisuse(text) {
            native.write(STDERR, "warn", `Warning: ${text}`);
        }

        /** A method that prints its arguments. */
        const printer = (stream, level) => (args) => {
            const first = args[0];
            if (args.length === 1 && typeof first === "string" && margin === "")
                native.write(stream, level, first);
            else
                emit(stream, level, format(args));
        };

        const labelOf = (args) => args.length === 0 || args[0] === undefined ? "default" : `${args[0]}`;

        function group(args) {
            if (args.length > 0)
                emit(STDOUT, "log", format(args));
            margin += "  ";
        }

        function durationText(milliseconds) {
            if (milliseconds < 1000)
                return `${Number(milliseconds.toFixed(3))}ms`;
            const pad = (n, width) => String(n).padStart(width, "0");
            const seconds = milliseconds / 1000;
            if (seconds < 60)
                return `${seconds.toFixed(3)}s`;
            const whole = Math.floor(seconds);
            const rest = (seconds % 60).toFixed(3).padStart(6, "0");
            const minutes = Math.floor(whole / 60);
            if (minutes < 60)
                return `${minutes}:${rest} (m:ss.mmm)`;
            return `${Math.floor(minutes / 60)}:${pad(minutes % 60, 2)}:${rest} (h:mm:ss.mmm)`;
        }

        function logTimer(method, args, ended) {
            const label = labelOf(args);
            const started = timers.get(label);
            if (started === undefined) {
                warnOfMisuse(`No such label '${label}' for console.${method}()`);
                return;
            }
            const parts = [`${label}: ${durationText(native.now() - started)}`];
            if (!ended)
                parts.push(...tail(args, 1).map(printable));
            else
                timers.delete(label);
            emit(STDOUT, "log", parts.join(" "));
        }

        // -- console.table

        const TABLE_CELL = {__proto__: null, maxArrayLength: 3, breakLength: Infinity};

        function cellText(value) {
            const wide = typeof value === "object" && value !== null && !Array.isArray(value) &&
                !ArrayBuffer.isView(value) && Object.keys(value).length > 2;
            return inspectWith(value, {__proto__: TABLE_CELL, ...TABLE_CELL, depth: wide ? -1 : 0});
        }

        function drawTable(headers, columns) {
            const rows = Math.max(0, ...columns.map((column) => column.length));
            const cell = (column, row) => column[row] === undefined ? "" : column[row];
            const widths = columns.map((column, i) => {
                let width = displayWidth(headers[i]);
                for (let row = 0; row < rows; row++)
                    width = Math.max(width, displayWidth(cell(column, row)));
                return width + 2;
            });
            const rule = (left, middle, right) =>
                left + widths.map((width) => "─".repeat(width)).join(middle) + right;
            const line = (cells) => `│${cells.map((text, i) =>
                ` ${text}${" ".repeat(widths[i] - displayWidth(text) - 1)}`).join("│")}│`;

            const lines = [rule("┌", "┬", "┐"), line(headers), rule("├", "┼", "┤")];
            for (let row = 0; row < rows; row++)
                lines.push(line(columns.map((column) => cell(column, row))));
            lines.push(rule("└", "┴", "┘"));
            return lines.join("\n");
        }

        const numbers = (count) => Array.from({length: count}, (_, i) => `${i}`);

        function collectionTable(data, kind) {
            const index = "(iteration index)";
            if (kind === "Map") {
                const entries = [...mapEntries(data)];
                return drawTable([index, "Key", "Values"], [numbers(entries.length),
                    entries.map((entry) => cellText(entry[0])), entries.map((entry) => cellText(entry[1]))]);
            }
            if (kind === "Set") {
                const items = [...setValues(data)];
                return drawTable([index, "Values"], [numbers(items.length), items.map(cellText)]);
            }
            const entries = native.previewEntries(data);
            if (entries === undefined)
                return undefined;
            const items = tail(entries, 0);
            if (entries.pairs === true) {
                return drawTable([index, "Key", "Values"], [numbers(items.length),
                    items.map((item) => cellText(item[0])), items.map((item) => cellText(item[1]))]);
            }
            return drawTable([index, "Values"], [numbers(items.length), items.map(cellText)]);
        }

        function recordTable(data, properties) {
            const rows = Object.keys(data);
            const columns = new Map();
            const values = [];
            let anyPrimitive = false;
            rows.forEach((row, i) => {
                const item = data[row];
                const primitive = !isObject(item);
                if (primitive) {
                    anyPrimitive = true;
                    values[i] = cellText(item);
                }
                const keys = properties || (primitive ? [] : Object.keys(item));
                for (const key of keys) {
                    if (!columns.has(key))
                        columns.set(key, []);
                    columns.get(key)[i] = primitive || !hasOwn(item, key) ? "" : cellText(item[key]);
                }
            });
            // Keys that look like an index come first, as in any object.
            const byName = Object.fromEntries(columns);
            const headers = ["(index)", ...Object.keys(byName)];
            const cells = [rows, ...Object.values(byName)];
            if (anyPrimitive) {
                headers.push("Values");
                cells.push(values);
            }
            return drawTable(headers, cells);
        }

        function table(args) {
            const data = args[0];
            if (typeof data !== "object" || data === null) {
                emit(STDOUT, "log", format([data]));
                return;
            }
            let properties;
            if (args[1] !== undefined) {
                if (!Array.isArray(args[1]))
                    throw new TypeError('The "properties" argument must be an array');
                properties = tail(args[1], 0).map(String);
            }
            const kind = native.proxyDetails(data) === undefined ? native.classOf(data) : "Object";
            let text;
            if (["Map", "Set", "Map Iterator", "Set Iterator"].includes(kind))
                text = collectionTable(data, kind);
            if (text === undefined)
                text = recordTable(data, properties);
            emit(STDOUT, "table", text);
        }

        const log = printer(STDOUT, "log");

        const console = {
            __proto__: null,
            log,
            info: printer(STDOUT, "info"),
            debug: printer(STDOUT, "debug"),
            warn: printer(STDERR, "warn"),
            error: printer(STDERR, "error"),
            dirxml: log,
            dir(args) {
                const options = {__proto__: null, customInspect: false};
                if (isObject(args[1])) {
                    for (const key of Object.keys(args[1]))
                        options[key] = args[1][key];
                }
                emit(STDOUT, "dir", inspectWith(args[0], options));
            },
            table,
            group,
            groupCollapsed: group,
            groupEnd() {
                margin = margin.slice(0, -2);
            },
            count(args) {
                const label = labelOf(args);
                const count = (counts.get(label) || 0) + 1;
                counts.set(label, count);
                emit(STDOUT, "log", `${label}: ${count}`);
            },
            countReset(args) {
                const label = labelOf(args);
                if (!counts.delete(label))
                    warnOfMisuse(`Count for '${label}' does not exist`);
            },
            time(args) {
                const label = labelOf(args);
                if (timers.has(label))
                    warnOfMisuse(`Label '${label}' already exists for console.time()`);
                else
                    timers.set(label, native.now());
            },
            timeLog(args) {
                logTimer("timeLog", args, false);
            },
            timeEnd(args) {
                logTimer("timeEnd", args, true);
            },
            assert(args) {
                if (args[0])
                    return;
                const rest = tail(args, 1);
                rest[0] = rest.length === 0 ? "Assertion failed" : `Assertion failed: ${rest[0]}`;
                emit(STDERR, "error", format(rest));
            },
            trace(args) {
                const text = format(args);
                const header = text === "" ? "Trace" : `Trace: ${text}`;
                emit(STDERR, "trace", [header, ...frameLines(new Error().stack)].join("\n"));
            },
        };

        /**
         * The text printed for a value nobody caught: "Uncaught " and the value as console.log shows
         * it, which for an error is its stack. A program's own file is not read again for the source
         * line that node prints above it.
         */
        function formatError(value) {
            let text;
            try {
                text = inspectWith(value, undefined);
            } catch {
                // The value's own getters or inspector threw: its kind is all that is known.
                text = `[${isObject(value) ? native.classOf(value) : typeof value}]`;
            }
            return `Uncaught ${text}`;
        }

        hardenRealm();
        return {
            __proto__: null,
            console,
            inspect: (value) => inspectWith(value, undefined),
            formatError,
        };
    };
})();
