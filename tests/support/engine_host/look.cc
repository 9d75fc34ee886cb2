/* look.cc: see look.h */
#include "look.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

namespace
{

constexpr size_t MAX_READ = 1 << 20;

uint64_t cpu_ns()
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

std::string quoted(const char *text, size_t length)
{
    std::string quoted = "\"";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = static_cast<unsigned char>(text[i]);
        char escape[8];
        snprintf(escape, sizeof(escape), "\\u%04x", c);
        quoted += c >= 0x20 && c != '"' && c != '\\' ? std::string(1, text[i]) : escape;
    }
    return quoted + "\"";
}

std::string quoted(const char *text)
{
    return text ? quoted(text, strlen(text)) : "null";
}

std::string hexadecimal(const void *bytes, size_t length)
{
    std::string text;
    for (size_t i = 0; i < length; i++) {
        char digits[3];
        snprintf(digits, sizeof(digits), "%02x", static_cast<const uint8_t *>(bytes)[i]);
        text += digits;
    }
    return "\"" + text + "\"";
}

std::string number(double value)
{
    char text[40];
    snprintf(text, sizeof(text), "%.17g", value);
    return isfinite(value) ? text : "null";
}

std::string yes(bool value)
{
    return value ? "true" : "false";
}

/** {"name":value,…} */
class Object
{
  public:
    Object &add(const char *name, const std::string &json)
    {
        text += (text.empty() ? "" : ",") + quoted(name) + ":" + json;
        return *this;
    }
    Object &add(const char *name, uint64_t value) { return add(name, std::to_string(value)); }
    std::string json() const { return "{" + text + "}"; }

  private:
    std::string text;
};

/** Rows that an op's callback adds. */
struct Rows {
    std::vector<std::string> rows;

    std::string json() const
    {
        std::string text;
        for (const std::string &row : rows)
            text += (text.empty() ? "" : ",") + row;
        return "[" + text + "]";
    }
    static void add(void *data, const Object &row)
    {
        static_cast<Rows *>(data)->rows.push_back(row.json());
    }
};

Object value_object(const engine_value *value)
{
    static const char *const TYPES[] = {"?",      "undefined", "null",       "boolean",
                                        "number", "bigint",    "string",     "symbol",
                                        "object", "function",  "unavailable"};
    Object object;
    object.add("type", quoted(TYPES[value->type]))
        .add("preview", quoted(value->preview))
        .add("truncated", yes(value->truncated))
        .add("class", quoted(value->class_name))
        .add("ref", value->ref);
    if (value->type == ENGINE_VALUE_NUMBER || value->type == ENGINE_VALUE_BOOLEAN)
        object.add("number", number(value->number));
    if (value->type == ENGINE_VALUE_STRING)
        object.add("text", value->text ? quoted(value->text, value->text_bytes) : "null");
    return object;
}

void on_frame(void *data, const engine_frame *frame)
{
    static const char *const KINDS[] = {"?", "js", "wasm", "host"};
    Rows::add(data, Object()
                        .add("kind", quoted(KINDS[frame->kind]))
                        .add("function", quoted(frame->function))
                        .add("url", quoted(frame->url))
                        .add("line", frame->line)
                        .add("column", frame->column)
                        .add("offset", frame->offset));
}

void on_scope(void *data, const engine_scope *scope)
{
    Rows::add(data, Object()
                        .add("scope", quoted(scope->scope))
                        .add("ref", scope->ref)
                        .add("variables", scope->variables)
                        .add("function", quoted(scope->function)));
}

void on_named(void *data, const engine_named_value *row)
{
    Rows::add(data, Object()
                        .add("name", quoted(row->name))
                        .add("value", value_object(&row->value).json())
                        .add("writable", yes(row->writable))
                        .add("getter", yes(row->getter))
                        .add("threw", yes(row->threw)));
}

void on_value(void *data, const engine_value *value)
{
    Rows::add(data, value_object(value));
}

void on_result(void *data, bool threw, const engine_value *value, const char *json)
{
    Rows::add(data, Object()
                        .add("threw", yes(threw))
                        .add("value", value_object(value).json())
                        .add("json", quoted(json)));
}

Object source_object(const engine_source *source)
{
    return Object()
        .add("id", source->id)
        .add("url", quoted(source->url))
        .add("kind", quoted(source->kind))
        .add("text_bytes", source->text_bytes)
        .add("source_map", quoted(source->source_map))
        .add("lines", source->lines);
}

void on_source(void *data, const engine_source *source)
{
    Rows::add(data, source_object(source));
}

void on_text(void *data, const engine_source *source, const void *bytes, size_t length)
{
    Rows::add(data, source_object(source).add("bytes", hexadecimal(bytes, length)));
}

void on_realm(void *data, uint64_t realm, const char *label)
{
    Rows::add(data, Object().add("realm", realm).add("label", quoted(label)));
}

/** The words of a question. */
class Words
{
  public:
    explicit Words(const std::string &line) : stream(line) {}

    std::string word()
    {
        std::string word;
        stream >> word;
        return word;
    }
    uint64_t number()
    {
        std::string text = word();
        return text == "none" ? UINT32_MAX : strtoull(text.c_str(), nullptr, 10);
    }
    uint32_t number32() { return static_cast<uint32_t>(number()); }
    std::string text()
    {
        std::string digits = word(), text;
        for (size_t i = 0; i + 1 < digits.size(); i += 2)
            text += static_cast<char>(strtoul(digits.substr(i, 2).c_str(), nullptr, 16));
        return text;
    }

  private:
    std::istringstream stream;
};

/** Interrupts the VM when time is up, once. */
class Alarm
{
  public:
    Alarm(const engine_ops *ops, engine *vm, std::atomic<bool> *over, unsigned limit_ms)
    {
        over->store(false);
        if (limit_ms == 0)
            return;
        thread = std::thread([=] {
            std::unique_lock<std::mutex> guard(lock);
            if (changed.wait_for(guard, std::chrono::milliseconds(limit_ms), [&] { return done; }))
                return;
            over->store(true);
            ops->interrupt(vm);
        });
    }
    ~Alarm()
    {
        {
            std::lock_guard<std::mutex> guard(lock);
            done = true;
        }
        changed.notify_one();
        if (thread.joinable())
            thread.join();
    }
    Alarm(const Alarm &) = delete;
    Alarm &operator=(const Alarm &) = delete;

  private:
    std::mutex lock;
    std::condition_variable changed;
    bool done = false;
    std::thread thread;
};

} // namespace

bool Look::read_question(std::string *ret_line)
{
    for (;;) {
        size_t end = unread.find('\n');
        if (end != std::string::npos) {
            *ret_line = unread.substr(0, end);
            unread.erase(0, end + 1);
            return true;
        }
        char buffer[4096];
        ssize_t n = read(control_fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        unread.append(buffer, static_cast<size_t>(n));
    }
}

void Look::say(const std::string &line)
{
    const char *text = line.data();
    size_t left = line.size();
    while (left > 0) {
        ssize_t n = write(report_fd, text, left);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            text += n;
            left -= static_cast<size_t>(n);
        }
    }
}

std::string Look::answer(const std::string &question)
{
    const engine_debug_ops *debug = ops->debug;
    Words words(question);
    std::string verb = words.word();
    Rows rows;
    Object reply;
    uint64_t start = cpu_ns();
    int r = -EINVAL;
    if (verb == "stack") {
        bool truncated = false;
        r = ops->stack(vm, words.number(), on_frame, &rows, &truncated);
        reply.add("truncated", yes(truncated));
    } else if (verb == "frames") {
        uint32_t first = words.number32(), max = words.number32(), next = 0;
        r = debug->frames(vm, first, max, on_frame, &rows, &next);
        reply.add("next", next);
    } else if (verb == "scopes") {
        r = debug->scopes(vm, words.number32(), on_scope, &rows);
    } else if (verb == "arguments") {
        r = debug->arguments(vm, words.number32(), on_named, &rows);
    } else if (verb == "variable") {
        uint32_t frame = words.number32();
        std::string name = words.text();
        r = debug->variable(vm, frame, name.c_str(), words.number() != 0, on_value, &rows);
    } else if (verb == "variables") {
        uint64_t ref = words.number();
        uint32_t first = words.number32(), max = words.number32(), next = 0, total = 0;
        bool run_getters = words.number() != 0;
        Alarm alarm(ops, vm, &over, words.number32());
        evaluations++;
        r = debug->variables(vm, ref, first, max, run_getters, on_named, &rows, &next, &total);
        evaluations--;
        reply.add("next", next).add("total", total);
    } else if (verb == "evaluate") {
        uint32_t frame = words.number32();
        uint64_t realm = words.number();
        bool refs = words.number() != 0;
        unsigned limit_ms = words.number32();
        std::string expression = words.text();
        Alarm alarm(ops, vm, &over, limit_ms);
        evaluations++;
        r = debug->evaluate(vm, frame, realm, expression.c_str(), false, refs, on_result, &rows);
        evaluations--;
    } else if (verb == "assign") {
        uint32_t frame = words.number32();
        std::string name = words.text();
        unsigned limit_ms = words.number32();
        std::string expression = words.text();
        const char *why = nullptr;
        Alarm alarm(ops, vm, &over, limit_ms);
        evaluations++;
        r = debug->assign(vm, frame, name.c_str(), expression.c_str(), on_result, &rows, &why);
        evaluations--;
        reply.add("why", quoted(why));
    } else if (verb == "sources") {
        uint32_t first = words.number32(), max = words.number32(), next = 0;
        r = debug->sources(vm, first, max, on_source, &rows, &next);
        reply.add("next", next);
    } else if (verb == "source_text") {
        uint64_t source = words.number();
        std::string url = words.text();
        uint64_t first = words.number();
        r = debug->source_text(vm, source, url.empty() ? nullptr : url.c_str(), first,
                               words.number32(), on_text, &rows);
    } else if (verb == "read" || verb == "write") {
        uint32_t frame = words.number32(), memory = words.number32();
        uint64_t address = words.number(), bytes = 0;
        std::string data = verb == "read"
                               ? std::string(std::min<size_t>(words.number(), MAX_READ), 0)
                               : words.text();
        r = debug->memory(vm, frame, memory, address, verb == "read" ? &data[0] : nullptr,
                          verb == "read" ? nullptr : data.data(), data.size(), &bytes);
        reply.add("memory_bytes", bytes).add("bytes", hexadecimal(data.data(), data.size()));
    } else if (verb == "realms") {
        r = debug->realms(vm, on_realm, &rows);
    } else if (verb == "gc") {
        uint64_t before = 0, after = 0;
        r = ops->gc(vm, &before, &after);
    }
    uint64_t us = (cpu_ns() - start) / 1000;
    return reply.add("verb", quoted(verb.c_str()))
        .add("error", std::to_string(r))
        .add("us", us)
        .add("rows", rows.json())
        .json();
}

int Look::stand(const char *where)
{
    say(Object().add("stands", quoted(where)).json() + "\n");
    std::string question;
    while (read_question(&question)) {
        if (question == "go" || question == "terminate") {
            uint64_t start = cpu_ns();
            ops->debug->resume(vm);
            say(Object().add("resumed_us", (cpu_ns() - start) / 1000).json() + "\n");
            return question == "go" ? 0 : ENGINE_TERMINATED;
        }
        say(answer(question) + "\n");
    }
    return ENGINE_TERMINATED;
}
