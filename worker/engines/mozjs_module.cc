/* mozjs_module.cc: compiling the program, its modules, and import(). See mozjs_module.h. */

#include "mozjs_module.h"

#include <js/ScriptPrivate.h>
#include <js/String.h>

#include <errno.h>
#include <string.h>

#include <algorithm>

namespace mozjs
{

namespace
{

constexpr const char *FILE_URL = "file:///";

/** Resolves "." and ".."; false if the path leaves its root. */
bool normalise(const std::string &path, std::string *ret_path)
{
    std::vector<std::string> parts;
    size_t start = 0;
    while (start <= path.size()) {
        size_t end = std::min(path.find('/', start), path.size());
        std::string part = path.substr(start, end - start);
        if (part == "..") {
            if (parts.empty())
                return false;
            parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
        start = end + 1;
    }
    ret_path->clear();
    for (const std::string &part : parts)
        *ret_path += (ret_path->empty() ? "" : "/") + part;
    return !ret_path->empty();
}

bool starts_with(const std::string &text, const char *prefix)
{
    return text.compare(0, strlen(prefix), prefix) == 0;
}

/** The path that `specifier` means in a source at `referrer`. */
bool resolve(const std::string &specifier, const std::string &referrer, std::string *ret_path,
             std::string *ret_error)
{
    std::string joined;
    if (starts_with(specifier, FILE_URL)) {
        joined = specifier.substr(strlen(FILE_URL));
    } else if (starts_with(specifier, "/")) {
        joined = specifier;
    } else if (starts_with(specifier, "./") || starts_with(specifier, "../") || specifier == "." ||
               specifier == "..") {
        size_t slash = referrer.rfind('/');
        joined = (slash == std::string::npos ? "" : referrer.substr(0, slash + 1)) + specifier;
    } else {
        *ret_error = "Cannot find package '" + specifier + "' imported from " + referrer;
        return false;
    }
    if (!normalise(joined, ret_path)) {
        *ret_error = "Cannot import '" + specifier + "' from " + referrer +
                     ": it lies outside of the program's folder";
        return false;
    }
    return true;
}

/** The path of the source that a private value belongs to; the program's if it belongs to none. */
const std::string &path_of(engine *e, const JS::Value &reference)
{
    if (reference.isInt32() && static_cast<size_t>(reference.toInt32()) < e->modules.size())
        return e->modules[reference.toInt32()]->path;
    return e->path;
}

Module *add_module(engine *e, const std::string &path)
{
    auto found = e->modules_by_path.find(path);
    if (found != e->modules_by_path.end())
        return found->second;
    e->modules.push_back(std::make_unique<Module>(e->cx, e->modules.size(), path));
    Module *module = e->modules.back().get();
    e->modules_by_path[path] = module;
    return module;
}

JSObject *compile_record(JSContext *cx, const char *path, const uint8_t *text, size_t bytes)
{
    JS::CompileOptions options(cx);
    options.setFileAndLine(path, 1).setModule();
    JS::SourceText<mozilla::Utf8Unit> source;
    if (!source.init(cx, reinterpret_cast<const char *>(text), bytes,
                     JS::SourceOwnership::Borrowed))
        return nullptr;
    return compat::module_compile(cx, options, source);
}

JSScript *compile_script(JSContext *cx, const char *path, const uint8_t *text, size_t bytes)
{
    JS::CompileOptions options(cx);
    options.setFileAndLine(path, 1).setIsRunOnce(true).setNoScriptRval(true);
    JS::SourceText<mozilla::Utf8Unit> source;
    if (!source.init(cx, reinterpret_cast<const char *>(text), bytes,
                     JS::SourceOwnership::Borrowed))
        return nullptr;
    return JS::Compile(cx, options, source);
}

/** Notes what a compiled module is and what it requests; false with an exception. */
bool set_compiled(engine *e, Module *module, JS::HandleObject record)
{
    JSContext *cx = e->cx;
    JS::SetModulePrivate(record, JS::Int32Value(static_cast<int32_t>(module->index)));
    module->requests.clear();
    bool ok = compat::module_requests(
        cx, record, [&](JS::HandleString string, unsigned line, unsigned column) {
            Text specifier;
            if (!to_utf8(cx, string, &specifier))
                return false;
            ModuleRequest request;
            request.specifier.assign(specifier.chars.get(), specifier.length);
            request.line = line;
            request.column = column;
            if (!resolve(request.specifier, module->path, &request.path, &request.error))
                request.path.clear();
            module->requests.push_back(std::move(request));
            return true;
        });
    if (!ok)
        return false;
    module->record = record;
    module->state = Module::COMPILED;
    return true;
}

void set_broken(engine *e, Module *module)
{
    JS::RootedValue error(e->cx);
    take_exception(e->cx, &error);
    module->error = error;
    module->state = Module::BROKEN;
}

void finish_load(engine *e, const std::shared_ptr<ModuleLoad> &load);

void fail_load(engine *e, const std::shared_ptr<ModuleLoad> &load, const std::string &place,
               const std::string &text)
{
    load->failed = true;
    load->error_place = place;
    load->error_text = text;
    finish_load(e, load);
}

std::string place_of(const Module *importer, const ModuleRequest *request)
{
    return importer->path + ":" + std::to_string(request->line) + ":" +
           std::to_string(request->column) + ": ";
}

/** Asks the host for the module's source; sets its state. */
void fetch(engine *e, Module *module)
{
    uint64_t id = ++e->last_import;
    int r = e->ops->import_request(e->host, id, module->path.c_str());
    if (r < 0) {
        module->state = Module::UNAVAILABLE;
        module->fetch_error = strerror(-r);
        return;
    }
    module->state = Module::FETCHING;
    e->fetches[id] = module;
}

/** Walks the part of the graph that is reachable from `from` and new to the load. */
void walk(engine *e, const std::shared_ptr<ModuleLoad> &load, Module *from)
{
    struct Step {
        Module *module;
        Module *importer; /**< NULL for the root */
        const ModuleRequest *request;
    };
    std::vector<Step> steps = {{from, nullptr, nullptr}};
    while (!steps.empty() && !load->done) {
        Step step = steps.back();
        steps.pop_back();
        Module *module = step.module;

        /* A file that was not there may be there for a later import(). */
        if (module->state == Module::UNAVAILABLE && load->requested.insert(module->index).second) {
            module->requested_by = step.importer ? step.importer->path : load->referrer_path;
            module->requested_at = step.importer ? place_of(step.importer, step.request) : "";
            fetch(e, module);
        }

        switch (module->state) {
        case Module::FETCHING:
            if (load->visited.insert(module->index).second) {
                load->missing++;
                module->waiting.push_back(load);
            }
            break;
        case Module::UNAVAILABLE:
            fail_load(e, load, module->requested_at,
                      "Cannot load '" + module->path + "' imported from " + module->requested_by +
                          ": " + module->fetch_error);
            break;
        case Module::BROKEN:
            load->failed = true;
            load->error = module->error;
            finish_load(e, load);
            break;
        case Module::COMPILED:
            if (!load->visited.insert(module->index).second)
                break;
            /* Pushed in reverse, so that they are asked for in source order. */
            for (size_t i = module->requests.size(); i-- > 0;) {
                const ModuleRequest &request = module->requests[i];
                if (request.path.empty()) {
                    fail_load(e, load, place_of(module, &request), request.error);
                    break;
                }
                Module *target = add_module(e, request.path);
                if (load->visited.count(target->index) == 0)
                    steps.push_back({target, module, &request});
            }
            break;
        }
    }
    if (!load->done && load->missing == 0)
        finish_load(e, load);
}

/** The graph of a load is complete, or cannot be. */
void finish_load(engine *e, const std::shared_ptr<ModuleLoad> &load)
{
    JSContext *cx = e->cx;
    load->done = true;
    if (load->promise) {
        e->ready_imports.push_back(load);
        return;
    }

    JS::RootedValue error(cx);
    if (!load->failed) {
        JS::RootedObject record(cx, load->root->record);
        if (compat::module_link(cx, record)) {
            e->main_record = record;
            e->ops->loaded(e->host, nullptr);
            return;
        }
        take_exception(cx, &error);
    } else if (!load->error_text.empty()) {
        e->ops->loaded(e->host, (load->error_place + "Error: " + load->error_text).c_str());
        return;
    } else {
        error = load->error;
    }
    e->ops->loaded(e->host, describe_error_with_place(cx, error).c_str());
}

/** A module has arrived: goes on with the loads that wait for it. */
void module_arrived(engine *e, Module *module)
{
    std::vector<std::shared_ptr<ModuleLoad>> waiting;
    waiting.swap(module->waiting);
    for (const std::shared_ptr<ModuleLoad> &load : waiting) {
        if (load->done)
            continue;
        load->missing--;
        load->visited.erase(module->index);
        walk(e, load, module);
    }
}

JSObject *resolve_hook(JSContext *cx, JS::HandleValue referrer, JS::HandleObject request)
{
    engine *e = engine_of(cx);
    JS::RootedString string(cx, JS::GetModuleRequestSpecifier(cx, request));
    Text specifier;
    if (!string || !to_utf8(cx, string, &specifier))
        return nullptr;
    std::string path, error;
    if (!resolve(std::string(specifier.chars.get(), specifier.length), path_of(e, referrer), &path,
                 &error)) {
        throw_error(cx, error);
        return nullptr;
    }
    auto found = e->modules_by_path.find(path);
    if (found == e->modules_by_path.end() || found->second->state != Module::COMPILED) {
        throw_error(cx, "Cannot load '" + path + "'");
        return nullptr;
    }
    return found->second->record;
}

bool metadata_hook(JSContext *cx, JS::HandleValue reference, JS::HandleObject meta)
{
    JS::RootedString url(cx, from_utf8(cx, FILE_URL + path_of(engine_of(cx), reference)));
    return url && JS_DefineProperty(cx, meta, "url", url, JSPROP_ENUMERATE);
}

bool dynamic_import_hook(JSContext *cx, JS::HandleValue referrer, JS::HandleObject request,
                         JS::HandleObject promise)
{
    engine *e = engine_of(cx);
    JS::RootedString string(cx, JS::GetModuleRequestSpecifier(cx, request));
    Text specifier;
    if (!string || !to_utf8(cx, string, &specifier))
        return false;
    auto load = std::make_shared<ModuleLoad>(cx);
    load->promise = promise;
    load->request = request;
    load->referrer = referrer;
    load->referrer_path = path_of(e, referrer);
    e->open_imports++;
    std::string path, error;
    if (!resolve(std::string(specifier.chars.get(), specifier.length), load->referrer_path, &path,
                 &error)) {
        fail_load(e, load, "", error);
        return true;
    }
    load->root = add_module(e, path);
    walk(e, load, load->root);
    return true;
}

/** Sets e->script, or returns the module; with an exception if it is neither. */
void compile_program(engine *e, const engine_program *program, JS::MutableHandleObject ret_record)
{
    JSContext *cx = e->cx;
    JS::RootedValue script_error(cx);
    bool only_module_syntax = false;
    if (program->kind == ENGINE_SOURCE_SCRIPT_OR_MODULE) {
        JSScript *script = compile_script(cx, program->path, program->text, program->text_bytes);
        if (script) {
            e->script = script;
            return;
        }
        take_exception(cx, &script_error);
        if (script_error.isObject()) {
            JS::RootedObject object(cx, &script_error.toObject());
            only_module_syntax = compat::is_module_syntax_error(JS_ErrorFromException(cx, object));
        }
    }
    ret_record.set(compile_record(cx, program->path, program->text, program->text_bytes));
    if (!ret_record && program->kind == ENGINE_SOURCE_SCRIPT_OR_MODULE && !only_module_syntax) {
        /* It is neither; what is wrong with the script says more to its author. */
        JS_ClearPendingException(cx);
        JS_SetPendingException(cx, script_error);
    }
}

} // namespace

void set_module_hooks(engine *e)
{
    JSRuntime *runtime = JS_GetRuntime(e->cx);
    JS::SetModuleResolveHook(runtime, resolve_hook);
    JS::SetModuleMetadataHook(runtime, metadata_hook);
    JS::SetModuleDynamicImportHook(runtime, dynamic_import_hook);
}

int load_program(engine *e, const engine_program *program)
{
    JSContext *cx = e->cx;
    JSAutoRealm realm(cx, e->global);
    if (!normalise(program->path, &e->path))
        return -EINVAL;
    if (!set_process_arguments(e, program)) {
        JS_ClearPendingException(cx);
        return -ENOMEM;
    }

    /* The program is module 0, be it a script or not: its index is what its imports refer to. */
    Module *module = add_module(e, e->path);
    JS::RootedObject record(cx);
    compile_program(e, program, &record);
    if (e->script) {
        JS::SetScriptPrivate(e->script, JS::Int32Value(static_cast<int32_t>(module->index)));
        /* A script cannot be imported under its own name as well without being read again. */
        e->modules_by_path.erase(module->path);
        e->ops->loaded(e->host, nullptr);
        return 0;
    }
    if (!record || !set_compiled(e, module, record))
        set_broken(e, module);
    auto load = std::make_shared<ModuleLoad>(cx);
    load->root = module;
    walk(e, load, module);
    return 0;
}

int import_answer(engine *e, uint64_t import_id, const char *error, const uint8_t *text,
                  size_t text_bytes)
{
    JSContext *cx = e->cx;
    auto found = e->fetches.find(import_id);
    if (found == e->fetches.end())
        return 0;
    Module *module = found->second;
    e->fetches.erase(found);

    JSAutoRealm realm(cx, e->global);
    if (error) {
        module->state = Module::UNAVAILABLE;
        module->fetch_error = error;
    } else {
        JS::RootedObject record(cx, compile_record(cx, module->path.c_str(), text, text_bytes));
        if (!record || !set_compiled(e, module, record))
            set_broken(e, module);
    }
    /* Those who wait have asked already: they must not ask again. */
    for (const std::shared_ptr<ModuleLoad> &load : module->waiting)
        load->requested.insert(module->index);
    module_arrived(e, module);
    return 0;
}

int start_module(engine *e)
{
    JSContext *cx = e->cx;
    JS::RootedObject record(cx, e->main_record);
    JS::RootedValue promise(cx);
    if (!compat::module_evaluate(cx, record, &promise))
        return fail(e);
    if (promise.isObject())
        e->main_promise = &promise.toObject();
    return drain(e);
}

bool main_module_waits(engine *e)
{
    JS::RootedObject promise(e->cx, e->main_promise);
    return promise && JS::IsPromiseObject(promise) &&
           JS::GetPromiseState(promise) == JS::PromiseState::Pending;
}

int run_ready_imports(engine *e)
{
    JSContext *cx = e->cx;
    while (!e->ready_imports.empty()) {
        std::shared_ptr<ModuleLoad> load = e->ready_imports.front();
        e->ready_imports.pop_front();
        e->open_imports--;

        JS::RootedObject promise(cx, load->promise), request(cx, load->request);
        JS::RootedObject evaluation(cx);
        JS::RootedValue referrer(cx, load->referrer), result(cx);
        JSAutoRealm realm(cx, e->global);
        if (load->failed) {
            if (!load->error_text.empty()) {
                throw_error(cx, load->error_text);
            } else {
                JS::RootedValue error(cx, load->error);
                JS_SetPendingException(cx, error);
            }
        } else {
            JS::RootedObject record(cx, load->root->record);
            if (compat::module_link(cx, record) && compat::module_evaluate(cx, record, &result)) {
                if (result.isObject())
                    evaluation = &result.toObject();
            } else if (!JS_IsExceptionPending(cx)) {
                return fail(e);
            }
        }
        if (!JS::FinishDynamicModuleImport(cx, evaluation, referrer, request, promise))
            return fail(e);
        if (int outcome = drain(e))
            return outcome;
    }
    return 0;
}

} // namespace mozjs
