/*
 * native_breakpoint.cc: what a breakpoint costs in the engine itself, without any of ours: the
 * baseline of conditional breakpoints. One function is called that counts in a loop; a breakpoint
 * lies in the loop, with a native handler that (a) does nothing, (b) evaluates `i === -1` in the
 * frame.
 *
 *   native_breakpoint [HITS]
 *
 * Prints two lines, "empty NS" and "eval NS": CPU ns for each hit.
 */
#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/Initialization.h>
#include <js/PropertyAndElement.h>
#include <js/Realm.h>
#include <js/RealmOptions.h>
#include <js/SourceText.h>
#include <jsapi.h>
#include <jsfriendapi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace
{

const JSClass GLOBAL_CLASS = {
    "global", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};
const char PROGRAM[] =
    "function count(n) {\n  let i = 0;\n  while (i < n)\n    i++;\n  return i;\n}\n";
constexpr int32_t LINE = 4;
unsigned long hits;

[[noreturn]] void die(JSContext *cx, const char *what)
{
    JS_ClearPendingException(cx);
    fprintf(stderr, "native_breakpoint: %s failed\n", what);
    exit(1);
}

bool hit_empty(JSContext *, unsigned argc, JS::Value *vp)
{
    hits++;
    JS::CallArgsFromVp(argc, vp).rval().setUndefined();
    return true;
}

bool hit_eval(JSContext *cx, unsigned argc, JS::Value *vp)
{
    hits++;
    JS::CallArgs args = JS::CallArgsFromVp(argc, vp);
    JS::RootedObject frame(cx, &args[0].toObject());
    JS::RootedValue completion(cx), value(cx);
    JS::RootedValueArray<1> code(cx);
    code[0].setString(JS_NewStringCopyZ(cx, "i === -1"));
    if (!JS_CallFunctionName(cx, frame, "eval", code, &completion) || !completion.isObject())
        return false;
    JS::RootedObject result(cx, &completion.toObject());
    if (!JS_GetProperty(cx, result, "return", &value) || value.isTrue())
        return false;
    args.rval().setUndefined();
    return true;
}

double cpu_ns()
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return static_cast<double>(ts.tv_sec) * 1e9 + static_cast<double>(ts.tv_nsec);
}

JSObject *make_global(JSContext *cx)
{
    JS::RealmOptions options;
    options.creationOptions().setNewCompartmentAndZone();
    return JS_NewGlobalObject(cx, &GLOBAL_CLASS, nullptr, JS::FireOnNewGlobalHook, options);
}

bool evaluate(JSContext *cx, const char *text, JS::MutableHandleValue ret)
{
    JS::CompileOptions options(cx);
    options.setFileAndLine("count.js", 1);
    JS::SourceText<mozilla::Utf8Unit> source;
    return source.init(cx, text, strlen(text), JS::SourceOwnership::Borrowed) &&
           JS::Evaluate(cx, options, source, ret);
}

/* Debugger.Script of count(), and the offset of the statement in its loop. */
void find(JSContext *cx, JS::HandleObject dbg, JS::HandleObject debuggee,
          JS::MutableHandleObject ret_script, JS::MutableHandleValue ret_offset)
{
    JS::RootedObject wrapped(cx, debuggee);
    JS::RootedValue value(cx), target(cx);
    JS::RootedValueArray<1> arguments(cx);
    if (!JS_WrapObject(cx, &wrapped))
        die(cx, "wrap");
    arguments[0].setObject(*wrapped);
    if (!JS_CallFunctionName(cx, dbg, "addDebuggee", arguments, &value) || !value.isObject())
        die(cx, "addDebuggee");
    JS::RootedObject global(cx, &value.toObject());
    arguments[0].setString(JS_NewStringCopyZ(cx, "count"));
    if (!JS_CallFunctionName(cx, global, "getOwnPropertyDescriptor", arguments, &value) ||
        !value.isObject())
        die(cx, "getOwnPropertyDescriptor");
    JS::RootedObject descriptor(cx, &value.toObject());
    if (!JS_GetProperty(cx, descriptor, "value", &value) || !value.isObject())
        die(cx, "value");
    JS::RootedObject function(cx, &value.toObject());
    if (!JS_GetProperty(cx, function, "script", &value) || !value.isObject())
        die(cx, "script");
    ret_script.set(&value.toObject());
    arguments[0].setInt32(LINE);
    if (!JS_CallFunctionName(cx, ret_script, "getLineOffsets", arguments, &value) ||
        !value.isObject())
        die(cx, "getLineOffsets");
    JS::RootedObject offsets(cx, &value.toObject());
    if (!JS_GetElement(cx, offsets, 0, ret_offset) || !ret_offset.isNumber())
        die(cx, "an offset");
}

double measure(JSContext *cx, JS::HandleObject dbg_global, JS::HandleObject debuggee,
               JS::HandleObject script, JS::HandleValue offset, JSNative native,
               unsigned long count)
{
    {
        JSAutoRealm realm(cx, dbg_global);
        JS::RootedObject handler(cx, JS_NewPlainObject(cx));
        JS::RootedValue ignored(cx);
        JS::RootedValueArray<2> arguments(cx);
        if (!handler || !JS_DefineFunction(cx, handler, "hit", native, 1, 0))
            die(cx, "a handler");
        arguments[0].set(offset);
        arguments[1].setObject(*handler);
        if (!JS_CallFunctionName(cx, script, "clearAllBreakpoints", JS::HandleValueArray::empty(),
                                 &ignored) ||
            !JS_CallFunctionName(cx, script, "setBreakpoint", arguments, &ignored))
            die(cx, "setBreakpoint");
    }
    JSAutoRealm realm(cx, debuggee);
    JS::RootedValue result(cx);
    char call[64];
    snprintf(call, sizeof call, "count(%lu)", count / 10 + 1);
    if (!evaluate(cx, call, &result))
        die(cx, "a first run");
    snprintf(call, sizeof call, "count(%lu)", count);
    hits = 0;
    double start = cpu_ns();
    if (!evaluate(cx, call, &result))
        die(cx, "the run");
    double took = cpu_ns() - start;
    if (hits != count) {
        fprintf(stderr, "native_breakpoint: %lu hits instead of %lu\n", hits, count);
        exit(1);
    }
    return took / static_cast<double>(count);
}

} // namespace

int main(int argc, char *argv[])
{
    unsigned long count = argc > 1 ? strtoul(argv[1], nullptr, 10) : 1000000;
    if (!JS_Init())
        return 1;
    JSContext *cx = JS_NewContext(256u << 20);
    if (!cx || !js::UseInternalJobQueues(cx) || !JS::InitSelfHostedCode(cx))
        return 1;
    {
        JS::RootedObject debuggee(cx, make_global(cx)), dbg_global(cx, make_global(cx));
        JS::RootedObject dbg(cx), script(cx), constructor(cx);
        JS::RootedValue value(cx), offset(cx);
        if (!debuggee || !dbg_global)
            die(cx, "a global");
        {
            JSAutoRealm realm(cx, debuggee);
            if (!evaluate(cx, PROGRAM, &value))
                die(cx, "the program");
        }
        {
            JSAutoRealm realm(cx, dbg_global);
            if (!JS_DefineDebuggerObject(cx, dbg_global) ||
                !JS_GetProperty(cx, dbg_global, "Debugger", &value) ||
                !JS::Construct(cx, value, JS::HandleValueArray::empty(), &dbg))
                die(cx, "a debugger");
            find(cx, dbg, debuggee, &script, &offset);
        }
        printf("empty %.1f\n", measure(cx, dbg_global, debuggee, script, offset, hit_empty, count));
        printf("eval %.1f\n", measure(cx, dbg_global, debuggee, script, offset, hit_eval, count));
    }
    JS_DestroyContext(cx);
    JS_ShutDown();
    return 0;
}
