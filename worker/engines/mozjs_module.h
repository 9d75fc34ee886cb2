/*
 * mozjs_module.h: modules and the loads that wait for them.
 *
 * A module is fetched and compiled once per path. A ModuleLoad is one wish for a module and
 * everything that it statically requests: the program's own, or an import(). A load walks the graph
 * as far as it is there and waits for the modules that are still being fetched; when the last has
 * come, it is complete, and the engine can link without asking for anything that is missing. Static
 * imports of the program are all through before a line of it runs; an import() is completed by
 * run_ready_imports.
 */
#pragma once

#include "mozjs_internal.h"

#include <set>

namespace mozjs
{

struct ModuleRequest {
    std::string specifier;
    std::string path;  /**< empty if the specifier cannot be resolved */
    std::string error; /**< why it cannot */
    unsigned line, column;
};

struct Module {
    enum State { FETCHING, UNAVAILABLE, COMPILED, BROKEN };

    Module(JSContext *cx, size_t index, const std::string &path)
        : index(index), path(path), record(cx), error(cx)
    {
    }

    const size_t index;
    const std::string path;
    State state = UNAVAILABLE;
    std::string requested_by;            /**< path of the source that caused the latest fetch */
    std::string requested_at;            /**< "file:line:col: " of the same, or empty */
    std::string fetch_error;             /**< if UNAVAILABLE */
    JS::PersistentRootedObject record;   /**< if COMPILED */
    JS::PersistentRootedValue error;     /**< if BROKEN: the SyntaxError */
    std::vector<ModuleRequest> requests; /**< if COMPILED */
    std::vector<std::shared_ptr<ModuleLoad>> waiting;
};

struct ModuleLoad {
    explicit ModuleLoad(JSContext *cx) : error(cx), promise(cx), request(cx), referrer(cx) {}

    Module *root = nullptr;
    bool done = false;
    size_t missing = 0;         /**< modules of the graph that are being fetched */
    std::set<size_t> visited;   /**< modules of the graph that have been seen */
    std::set<size_t> requested; /**< those that this load itself has asked for */
    bool failed = false;
    JS::PersistentRootedValue error; /**< if it failed by an exception */
    std::string error_text;          /**< if it failed without one */
    std::string error_place;         /**< "file:line:col: ", or empty */

    /* Of an import(); NULL for the program. */
    JS::PersistentRootedObject promise, request;
    JS::PersistentRootedValue referrer;
    std::string referrer_path;
};

} // namespace mozjs
