/* auditing.cc: see auditing.h */

#include "auditing.h"

#include "worker/engines/mozjs_debugger.h"

#include <js/Debug.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <set>
#include <tuple>
#include <vector>

namespace
{

const char *const KINDS[ENGINE_AUDIT_KINDS] = {
    "",       "new-global", "enter-frame", "debugger-statement",
    "unwind", "new-script", "new-promise", "promise-settled",
    "pop",    "step",       "breakpoint",
};
const char *const COMPLETIONS[] = {"",      "return",     "throw",     "yield",
                                   "await", "terminated", "fulfilled", "rejected"};
const char *const REFERENTS[] = {"", "runtime", "realm", "frame", "script"};

struct Hook {
    engine_audit_kind kind;
    uint64_t realm; /**< 0: all */
};

struct Break {
    std::string url;
    uint32_t line = 0, column = 0;
    uint64_t offset = 0;
};

struct Answer {
    engine_audit_kind kind;
    std::string function; /**< empty: any */
    engine_action action;
    std::string expression;
    bool used = false;
};

using Auditor = std::tuple<engine_audit_kind, uint64_t, uint64_t>;

struct Auditing {
    std::vector<Hook> hooks;
    std::vector<Break> breaks;
    std::vector<Answer> answers;
    std::vector<std::string> conditions, variables;
    std::string wanted_name, wanted_preview; /**< empty: each breakpoint's hit is wanted */
    bool arguments = false, stack = false, quiet = false, at_interrupt = false;
    bool steps = false;
    size_t off_after = SIZE_MAX, step_at_interrupt = 0;

    const engine_ops *ops = nullptr;
    engine *vm = nullptr;
    int fd = -1;
    std::set<Auditor> auditors;
    size_t hits = 0;
    bool started = false, over = false;
};

Auditing state;

std::string quoted(const char *text)
{
    std::string out = "\"";
    for (; *text; text++) {
        char escape[8];
        unsigned char u = static_cast<unsigned char>(*text);
        if (u < 0x20 || u == '"' || u == '\\')
            out.append(escape, snprintf(escape, sizeof(escape), "\\u%04x", u));
        else
            out += *text;
    }
    return out + "\"";
}

void print(std::string line)
{
    line += "\n";
    for (size_t done = 0; state.fd >= 0 && !state.quiet && done < line.size();) {
        ssize_t n = write(state.fd, line.data() + done, line.size() - done);
        if (n <= 0)
            return;
        done += static_cast<size_t>(n);
    }
}

std::string field(const char *name, const std::string &value)
{
    return "," + quoted(name) + ":" + value;
}

std::string shown(const engine_value *value)
{
    return "{\"type\":" + std::to_string(value->type) + field("preview", quoted(value->preview)) +
           field("class", quoted(value->class_name)) +
           field("truncated", value->truncated ? "true" : "false") +
           field("ref", std::to_string(value->ref)) + "}";
}

void set(engine_audit_kind kind, uint64_t referent, uint64_t offset, bool on)
{
    int r = state.ops->debug->audit(state.vm, kind, referent, offset, on);
    if (r < 0)
        print("{\"error\":" + std::to_string(r) + field("kind", quoted(KINDS[kind])) + "}");
    else if (on)
        state.auditors.insert({kind, referent, offset});
    else
        state.auditors.erase({kind, referent, offset});
}

bool wants(engine_audit_kind kind, uint64_t realm)
{
    for (const Hook &hook : state.hooks) {
        if (hook.kind == kind && (hook.realm == 0 || hook.realm == realm))
            return true;
    }
    return false;
}

void set_at_realm(uint64_t realm)
{
    for (const Hook &hook : state.hooks) {
        if (hook.realm != 0 && hook.realm != realm)
            continue;
        if (hook.kind == ENGINE_AUDIT_POP || hook.kind == ENGINE_AUDIT_STEP)
            set(ENGINE_AUDIT_ENTER_FRAME, realm, 0, true);
        else if (hook.kind != ENGINE_AUDIT_NEW_GLOBAL && hook.kind != ENGINE_AUDIT_BREAKPOINT)
            set(hook.kind, realm, 0, true);
    }
    if (!state.breaks.empty())
        set(ENGINE_AUDIT_NEW_SCRIPT, realm, 0, true);
}

void install()
{
    state.started = true;
    state.ops->debug->watch_realms(state.vm, true);
    if (wants(ENGINE_AUDIT_NEW_GLOBAL, 0))
        set(ENGINE_AUDIT_NEW_GLOBAL, 0, 0, true);
    std::vector<uint64_t> realms;
    state.ops->debug->realms(
        state.vm,
        [](void *data, uint64_t realm, const char *) {
            static_cast<std::vector<uint64_t> *>(data)->push_back(realm);
        },
        &realms);
    for (uint64_t realm : realms)
        set_at_realm(realm);
}

void clear_all()
{
    state.over = true;
    state.ops->debug->watch_realms(state.vm, false);
    auto auditors = state.auditors;
    for (auto [kind, referent, offset] : auditors)
        set(kind, referent, offset, false);
}

/** How many globals any Debugger has, by the engine's own word. */
size_t debuggees()
{
    JSContext *cx = state.vm->cx;
    size_t count = 0;
    auto add = [&](JSObject *object) {
        if (!object)
            return;
        JS::RootedObject debugger(cx, object);
        JSAutoRealm realm(cx, debugger);
        JS::RootedObjectVector globals(cx);
        if (JS::dbg::GetDebuggeeGlobals(cx, *debugger, &globals))
            count += globals.length();
    };
    for (auto &[id, realm] : state.vm->debug->realms)
        add(realm->debugger);
    add(state.vm->debug->stop);
    return count;
}

struct Bound {
    uint64_t script, offset;
};

void bind_breaks(const char *url)
{
    for (const Break &b : state.breaks) {
        std::vector<Bound> bound;
        if (!mozjs::debugger_url_matches(url, b.url.c_str()))
            continue;
        auto each = [](void *data, uint64_t, uint64_t script, uint64_t offset,
                       const engine_place *place, const char *function) {
            static_cast<std::vector<Bound> *>(data)->push_back({script, offset});
            print("{\"bound\":" + quoted(place->url) + field("line", std::to_string(place->line)) +
                  field("column", std::to_string(place->column)) +
                  field("offset", std::to_string(place->offset)) +
                  field("function", quoted(function)) + "}");
        };
        int r = state.ops->debug->positions(state.vm, 0, url, b.line, 0, b.column, b.offset, false,
                                            each, &bound);
        if (r < 0)
            print("{\"error\":" + std::to_string(r) + ",\"kind\":\"positions\"}");
        for (const Bound &place : bound)
            set(ENGINE_AUDIT_BREAKPOINT, place.script, place.offset, true);
    }
}

std::string look(const engine_hit *hit)
{
    const engine_debug_ops *debug = state.ops->debug;
    std::string out, list;
    auto one = [](void *data, const engine_value *value) {
        *static_cast<std::string *>(data) = shown(value);
    };
    if (hit->has_value) {
        debug->hit_value(state.vm, false, one, &out);
        list += field("value", out);
    }
    for (const std::string &expression : state.conditions) {
        bool is_true = false;
        const char *error = nullptr;
        int r = debug->condition(state.vm, expression.c_str(), &is_true, &error);
        list += field("condition", r < 0 ? std::to_string(r) : is_true ? "true" : "false");
        if (error)
            list += field("condition_error", quoted(error));
    }
    for (const std::string &name : state.variables) {
        int r = debug->variable(state.vm, 0, name.c_str(), true, one, &out);
        list += field(name.c_str(), r < 0 ? std::to_string(r) : out);
    }
    if (state.arguments) {
        out.clear();
        debug->arguments(
            state.vm, 0,
            [](void *data, const engine_named_value *v) {
                auto *rows = static_cast<std::string *>(data);
                *rows +=
                    (rows->empty() ? "[" : ",[") + quoted(v->name) + "," + shown(&v->value) + "]";
            },
            &out);
        list += field("arguments", "[" + out + "]");
    }
    if (state.stack) {
        out.clear();
        bool truncated = false;
        state.ops->stack(
            state.vm, 64,
            [](void *data, const engine_frame *frame) {
                auto *rows = static_cast<std::string *>(data);
                *rows += (rows->empty() ? "" : ",") + quoted(frame->function);
            },
            &out, &truncated);
        std::string ids;
        for (uint32_t i = 0;; i++) {
            uint64_t id = 0, realm = 0;
            uint32_t index = UINT32_MAX;
            int r = debug->frame_id(state.vm, i, &id, &realm);
            if (r == -ENOENT)
                break;
            if (r == 0)
                debug->frame_index(state.vm, id, &index);
            ids += (ids.empty() ? "" : ",") +
                   (r < 0 ? std::to_string(r)
                          : "[" + std::to_string(id) + "," + std::to_string(index) + "]");
        }
        list += field("stack", "[" + out + "]") + field("frames", "[" + ids + "]");
        debug->resume(state.vm);
    }
    return list;
}

bool wants_breakpoint(void *, uint64_t, uint64_t)
{
    bool wanted = true;
    if (!state.wanted_name.empty())
        state.ops->debug->variable(
            state.vm, 0, state.wanted_name.c_str(), true,
            [](void *data, const engine_value *v) {
                *static_cast<bool *>(data) = state.wanted_preview == v->preview;
            },
            &wanted);
    return wanted;
}

int on_hit(void *, const engine_hit *hit, engine_answer *ret_answer)
{
    if (state.over)
        print("{\"late\":true}");
    if (hit->kind == ENGINE_AUDIT_NEW_SCRIPT)
        bind_breaks(hit->place.url);
    bool report =
        hit->kind == ENGINE_AUDIT_BREAKPOINT || wants(hit->kind, hit->realm) ||
        (state.steps && (hit->kind == ENGINE_AUDIT_STEP || hit->kind == ENGINE_AUDIT_POP));
    if (hit->kind == ENGINE_AUDIT_ENTER_FRAME && hit->frame != 0) {
        for (engine_audit_kind kind : {ENGINE_AUDIT_POP, ENGINE_AUDIT_STEP}) {
            if (wants(kind, hit->realm))
                set(kind, hit->frame, 0, true);
        }
    }
    if (!report)
        return 0;
    state.hits++;
    if (!state.quiet)
        print("{\"hit\":" + quoted(KINDS[hit->kind]) + field("realm", std::to_string(hit->realm)) +
              field("frame", std::to_string(hit->frame)) +
              field("script", std::to_string(hit->script)) +
              field("promise", std::to_string(hit->promise)) +
              field("url", quoted(hit->place.url)) +
              field("line", std::to_string(hit->place.line)) +
              field("column", std::to_string(hit->place.column)) +
              field("offset", std::to_string(hit->place.offset)) +
              field("function", quoted(hit->function)) +
              field("start", hit->statement_start ? "true" : "false") +
              field("wasm", hit->wasm ? "true" : "false") +
              field("completion", quoted(COMPLETIONS[hit->completion])) +
              field("source_map", quoted(hit->source_map)) + look(hit) + "}");
    else
        look(hit);
    if (state.steps && hit->kind == ENGINE_AUDIT_STEP && --state.step_at_interrupt == 0)
        clear_all();
    for (Answer &answer : state.answers) {
        if (answer.used || answer.kind != hit->kind ||
            (!answer.function.empty() && answer.function != hit->function))
            continue;
        answer.used = true;
        ret_answer->action = answer.action;
        ret_answer->expression = answer.expression.empty() ? nullptr : answer.expression.c_str();
        break;
    }
    if (state.hits >= state.off_after && !state.over)
        clear_all();
    return 0;
}

void on_gone(void *, engine_referent referent, uint64_t id)
{
    print("{\"gone\":" + quoted(REFERENTS[referent]) + field("id", std::to_string(id)) + "}");
    for (auto i = state.auditors.begin(); i != state.auditors.end();) {
        auto [kind, at, offset] = *i;
        engine_referent is = kind == ENGINE_AUDIT_POP || kind == ENGINE_AUDIT_STEP ? ENGINE_FRAME
                             : kind == ENGINE_AUDIT_BREAKPOINT                     ? ENGINE_SCRIPT
                             : kind == ENGINE_AUDIT_NEW_GLOBAL                     ? ENGINE_RUNTIME
                                                                                   : ENGINE_REALM;
        i = is == referent && at == id ? state.auditors.erase(i) : std::next(i);
    }
}

void on_realm(void *, uint64_t realm)
{
    print("{\"realm\":" + std::to_string(realm) + "}");
    set_at_realm(realm);
}

engine_audit_kind kind_named(const std::string &name)
{
    for (int kind = 1; kind < ENGINE_AUDIT_KINDS; kind++) {
        if (name == KINDS[kind])
            return static_cast<engine_audit_kind>(kind);
    }
    fprintf(stderr, "engine-host: no kind %s\n", name.c_str());
    exit(2);
}

void add_hooks(std::string list)
{
    for (list += ","; !list.empty();) {
        size_t comma = list.find(','), at = list.find('@');
        Hook hook = {kind_named(list.substr(0, std::min(at, comma))), 0};
        if (at < comma)
            hook.realm = strtoull(list.c_str() + at + 1, nullptr, 10);
        state.hooks.push_back(hook);
        list.erase(0, comma + 1);
    }
}

/** URL:LINE[:COLUMN] or URL@OFFSET */
void add_break(const std::string &text)
{
    Break b;
    size_t at = text.find('@'), colon = text.find(':');
    b.url = text.substr(0, std::min(at, colon));
    if (at != std::string::npos)
        b.offset = strtoull(text.c_str() + at + 1, nullptr, 10);
    else
        sscanf(text.c_str() + colon, ":%u:%u", &b.line, &b.column);
    state.breaks.push_back(b);
}

/** KIND:FUNCTION:ACTION:EXPRESSION */
void add_answer(const std::string &text)
{
    static const char *const ACTIONS[] = {"", "return", "throw", "terminate"};
    size_t a = text.find(':'), b = text.find(':', a + 1), c = text.find(':', b + 1);
    Answer answer = {kind_named(text.substr(0, a)), text.substr(a + 1, b - a - 1), ENGINE_GO_ON, "",
                     false};
    for (int action = 1; action < 4; action++) {
        if (text.substr(b + 1, c - b - 1) == ACTIONS[action])
            answer.action = static_cast<engine_action>(action);
    }
    answer.expression = text.substr(c + 1);
    state.answers.push_back(answer);
}

} // namespace

const engine_debug_host_ops AUDITING_HOST_OPS = {on_hit, wants_breakpoint, on_gone, on_realm};

bool auditing_option(const char *text)
{
    auto value = [&](const char *name) {
        size_t length = strlen(name);
        return strncmp(text, name, length) == 0 ? text + length : nullptr;
    };
    if (const char *kinds = value("--audit="))
        add_hooks(kinds);
    else if (const char *place = value("--break="))
        add_break(place);
    else if (const char *answer = value("--answer="))
        add_answer(answer);
    else if (const char *condition = value("--condition="))
        state.conditions.push_back(condition);
    else if (const char *variable = value("--variable="))
        state.variables.push_back(variable);
    else if (const char *wanted = value("--wanted=")) {
        const char *equals = strchr(wanted, '=');
        state.wanted_name.assign(wanted, equals ? equals : wanted);
        state.wanted_preview = equals ? equals + 1 : "";
    } else if (const char *hits = value("--off-after="))
        state.off_after = strtoull(hits, nullptr, 10);
    else if (const char *steps = value("--step-at-interrupt="))
        state.steps = (state.step_at_interrupt = strtoull(steps, nullptr, 10)) > 0;
    else if (strcmp(text, "--arguments") == 0)
        state.arguments = true;
    else if (strcmp(text, "--hit-stack") == 0)
        state.stack = true;
    else if (strcmp(text, "--quiet") == 0)
        state.quiet = true;
    else if (strcmp(text, "--audit-at-interrupt") == 0)
        state.at_interrupt = true;
    else
        return false;
    return true;
}

bool auditing_wanted()
{
    return !state.hooks.empty() || !state.breaks.empty() || state.steps;
}

void auditing_start(const engine_ops *ops, engine *vm, int report_fd)
{
    state.ops = ops;
    state.vm = vm;
    state.fd = report_fd;
    if (!state.at_interrupt && !state.steps)
        install();
}

void auditing_at_safe_point()
{
    if (!auditing_wanted() || state.started)
        return;
    if (!state.steps) {
        install();
        return;
    }
    state.started = true;
    uint64_t frame = 0, realm = 0;
    int r = state.ops->debug->frame_id(state.vm, 0, &frame, &realm);
    print("{\"stopped\":" + std::to_string(r) + field("frame", std::to_string(frame)) + "}");
    if (r == 0) {
        set(ENGINE_AUDIT_POP, frame, 0, true);
        set(ENGINE_AUDIT_STEP, frame, 0, true);
    }
    state.ops->debug->resume(state.vm);
}

void auditing_end()
{
    state.quiet = false;
    print("{\"end\":" + std::to_string(state.hits) +
          field("debuggees", std::to_string(debuggees())) +
          field("scripts", std::to_string(state.vm->debug->scripts.size())) +
          field("frames", std::to_string(state.vm->debug->frames.size())) + "}");
    clear_all();
    print("{\"off\":true" + field("debuggees", std::to_string(debuggees())) + "}");
}
