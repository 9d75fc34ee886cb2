/*
 * mozjs_inspect.cc: what a parked VM can be asked: a collection, a census, its stack. Called from
 * inside host callbacks, so wherever guest code can be interrupted, and between ops.
 *
 * Nothing here uses the engine's debugger, nor makes a realm its debuggee (docs/decisions, 0009):
 * the census walks the heap, the stack is the one that errors get.
 */

#include "mozjs_debugger.h"
#include "mozjs_internal.h"

#include <js/GCAPI.h>
#include <js/HeapAPI.h>
#include <js/SavedFrameAPI.h>
#include <js/Stack.h>
#include <js/TracingAPI.h>
#include <js/UbiNode.h>
#include <mozilla/HashTable.h>

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include <bitset>
#include <string>
#include <unordered_map>

namespace mozjs
{

namespace
{

/** So many frames are captured for one that is shown: the engine's own are left out. */
constexpr size_t FRAMES_BEHIND_ONE = 4;
/** Scripts of ours; mozjs_console.cc names them. */
constexpr const char *OWN_SOURCES = "stillpoint:";

/** Leaves no trace in the engine object: no exception, and no out-of-memory that is the guest's. */
class Inspection
{
  public:
    explicit Inspection(engine *e)
        : e(e), realm(e->cx, e->prelude_global), exception(e->cx), oom_seen(e->oom_seen)
    {
        e->inspecting++;
    }
    ~Inspection()
    {
        JS_ClearPendingException(e->cx);
        e->oom_seen = oom_seen;
        e->inspecting--;
    }
    Inspection(const Inspection &) = delete;
    Inspection &operator=(const Inspection &) = delete;

  private:
    engine *e;
    JSAutoRealm realm;
    JS::AutoSaveExceptionState exception;
    bool oom_seen;
};

/* Collection */

/** Bytes of the heap, and of what its things have outside of it. */
uint64_t all_bytes(engine *e, JS::HandleObject info)
{
    JSContext *cx = e->cx;
    uint64_t bytes = JS_GetGCParameter(cx, JSGC_BYTES);
    JS::RootedValue value(cx);
    if (info && JS_GetProperty(cx, info, "mallocBytes", &value) && value.isNumber() &&
        value.toNumber() > 0)
        bytes += static_cast<uint64_t>(value.toNumber());
    return bytes;
}

/* Census */

size_t size_of_malloc(const void *block)
{
    return malloc_usable_size(const_cast<void *>(block));
}

struct Row {
    uint64_t count = 0;
    uint64_t bytes = 0;
};

/** What a thing is to our census, and how the memory tools call it. */
JS::ubi::Node node_of(JS::GCCellPtr cell)
{
    switch (cell.kind()) {
    case JS::TraceKind::Object:
        return JS::ubi::Node(&cell.as<JSObject>());
    case JS::TraceKind::String:
        return JS::ubi::Node(&cell.as<JSString>());
    case JS::TraceKind::Symbol:
        return JS::ubi::Node(&cell.as<JS::Symbol>());
    case JS::TraceKind::BigInt:
        return JS::ubi::Node(&cell.as<JS::BigInt>());
    case JS::TraceKind::Script:
        return JS::ubi::Node(&cell.as<js::BaseScript>());
    default:
        return JS::ubi::Node();
    }
}

JS::GCCellPtr cell_of(const JS::ubi::Node &node)
{
    if (node.is<JSObject>())
        return JS::GCCellPtr(node.as<JSObject>());
    if (node.is<JSString>())
        return JS::GCCellPtr(node.as<JSString>());
    if (node.is<JS::Symbol>())
        return JS::GCCellPtr(node.as<JS::Symbol>());
    if (node.is<JS::BigInt>())
        return JS::GCCellPtr(node.as<JS::BigInt>());
    if (node.is<js::BaseScript>())
        return JS::GCCellPtr(node.as<js::BaseScript>());
    return nullptr;
}

/** A set of things of the heap: one bit for each address where one may lie. */
class SeenSet
{
  public:
    bool has(uint64_t address)
    {
        const Bits *bits = find(address);
        return bits && bits->test(index(address));
    }

    /** False if memory ran out. *ret_new: it was not there before. */
    bool add(uint64_t address, bool *ret_new)
    {
        Bits *bits = find(address);
        if (!bits && !(bits = add_chunk(address)))
            return false;
        *ret_new = !bits->test(index(address));
        bits->set(index(address));
        return true;
    }

  private:
    using Bits = std::bitset<js::gc::ChunkSize / js::gc::CellAlignBytes>;

    mozilla::HashMap<uint64_t, js::UniquePtr<Bits>, mozilla::DefaultHasher<uint64_t>,
                     js::SystemAllocPolicy>
        chunks;
    uint64_t last_chunk = 0; /**< that was looked for; 0 is none */
    Bits *last_bits = nullptr;

    static size_t index(uint64_t address)
    {
        return (address & js::gc::ChunkMask) / js::gc::CellAlignBytes;
    }

    Bits *find(uint64_t address)
    {
        uint64_t chunk = address & ~static_cast<uint64_t>(js::gc::ChunkMask);
        if (chunk != last_chunk) {
            auto found = chunks.lookup(chunk);
            last_chunk = chunk;
            last_bits = found ? found->value().get() : nullptr;
        }
        return last_bits;
    }

    Bits *add_chunk(uint64_t address)
    {
        js::UniquePtr<Bits> bits = js::MakeUnique<Bits>();
        Bits *added = bits.get();
        if (!bits ||
            !chunks.put(address & ~static_cast<uint64_t>(js::gc::ChunkMask), std::move(bits)))
            return nullptr;
        last_bits = added;
        return added;
    }
};

/* Nobody deletes a tracer through its base class, which has no virtual destructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

/**
 * Counts each thing that can be reached once. The engine's memory tools (JS::ubi) would do all of
 * it, but their walk takes several times the time and the memory, and memory is what a guest with
 * a large heap has not: so what a language has is walked by a tracer of our own, and theirs is for
 * the few things in between that have no public type (shapes and the like), and for sizes.
 */
class Counter final : public JS::CallbackTracer
{
  public:
    Counter(engine *e, std::unordered_map<std::string, Row> *ret_rows)
        : JS::CallbackTracer(e->cx), cx(e->cx),
          own_realm(js::GetNonCCWObjectRealm(e->prelude_global)), rows(ret_rows)
    {
    }

    /** False if memory ran out. */
    bool count_from(const JS::ubi::RootList &roots)
    {
        for (const JS::ubi::Edge &root : roots.edges)
            add(root.referent);
        while (ok && walk_one()) {
        }
        return ok;
    }

  private:
    JSContext *cx;
    JS::Realm *own_realm;
    std::unordered_map<std::string, Row> *rows;
    /* Class names are static texts; most things share a few of them. */
    std::unordered_map<const char *, Row *> rows_by_pointer;
    SeenSet seen;
    js::Vector<JS::GCCellPtr, 0, js::SystemAllocPolicy> cells; /**< seen, and to be walked */
    js::Vector<JS::ubi::Node, 0, js::SystemAllocPolicy>
        others; /**< likewise; have no public type */
    bool found_others = false;
    bool ok = true;

    void onChild(JS::GCCellPtr cell) override
    {
        /* The atoms that every context has, as the memory tools leave them out. */
        if (cell.mayBeOwnedByOtherRuntime())
            return;
        if (JS::ubi::Node node = node_of(cell))
            add(node);
        else if (!seen.has(cell.unsafeAsInteger()))
            found_others = true;
    }

    void add(const JS::ubi::Node &node)
    {
        bool is_new = false;
        ok = ok && seen.add(node.identifier(), &is_new);
        if (!ok || !is_new)
            return;
        JS::GCCellPtr cell = cell_of(node);
        ok = cell ? cells.append(cell) : others.append(node);
        if (ok)
            count(node);
    }

    bool walk_one()
    {
        if (!others.empty()) {
            add_edges(others.popCopy());
            return true;
        }
        if (cells.empty())
            return false;
        JS::GCCellPtr cell = cells.popCopy();
        found_others = false;
        JS::TraceChildren(this, cell);
        if (found_others)
            add_edges(node_of(cell));
        return true;
    }

    void add_edges(const JS::ubi::Node &node)
    {
        js::UniquePtr<JS::ubi::EdgeRange> edges = node.edges(cx, false);
        ok = ok && edges;
        for (; ok && !edges->empty(); edges->popFront())
            add(edges->front().referent);
    }

    void count(const JS::ubi::Node &node)
    {
        const char *name = name_of(node);
        Row *&row = rows_by_pointer[name];
        if (!row)
            row = &(*rows)[name];
        row->count++;
        row->bytes += node.size(size_of_malloc);
    }

    const char *name_of(const JS::ubi::Node &node) const
    {
        switch (node.coarseType()) {
        case JS::ubi::CoarseType::Object: {
            const char *name = node.jsObjectClassName();
            return node.realm() == own_realm || !name ? "(engine)" : name;
        }
        case JS::ubi::CoarseType::String:
            return "(string)";
        case JS::ubi::CoarseType::Script:
            return "(script)";
        default:
            return node.is<JS::BigInt>()   ? "(bigint)"
                   : node.is<JS::Symbol>() ? "(symbol)"
                                           : "(engine)";
        }
    }
};

#pragma GCC diagnostic pop

bool count_heap(engine *e, std::unordered_map<std::string, Row> *rows)
{
    JS::ubi::RootList roots(e->cx);
    /* Empties the nursery, and ends a collection that is under way. */
    auto [ok, no_gc] = roots.init();
    return ok && Counter(e, rows).count_from(roots);
}

/* Stack */

struct Frame {
    engine_frame_kind kind = ENGINE_FRAME_JS;
    std::string function;
    std::string url;
    uint32_t line = 0;
    uint32_t column = 0;
    uint64_t offset = 0;
};

bool text_of(JSContext *cx, JS::HandleString string, std::string *ret_text)
{
    ret_text->clear();
    if (!string)
        return true;
    Text text;
    if (!to_utf8(cx, string, &text))
        return false;
    ret_text->assign(text.chars.get(), text.length);
    return true;
}

/** As the engine has it; compat knows how it writes a WebAssembly frame's place. */
bool read_frame(engine *e, JS::HandleObject saved, Frame *ret)
{
    JSContext *cx = e->cx;
    JS::RootedString string(cx);
    JS::GetSavedFrameSource(cx, nullptr, saved, &string);
    if (!text_of(cx, string, &ret->url))
        return false;
    restore_file_name(&ret->url);
    JS::GetSavedFrameFunctionDisplayName(cx, nullptr, saved, &string);
    if (!text_of(cx, string, &ret->function))
        return false;
    JS::GetSavedFrameLine(cx, nullptr, saved, &ret->line);
    JS::GetSavedFrameColumn(cx, nullptr, saved, &ret->column);

    uint32_t function_index = 0;
    if (!compat::is_wasm_frame(ret->column, &function_index))
        return true;
    ret->kind = ENGINE_FRAME_WASM;
    ret->offset = ret->line;
    ret->line = ret->column = 0;
    if (ret->function.empty())
        ret->function = "wasm-function[" + std::to_string(function_index) + "]";
    /* The program itself, which a line of ours compiled. */
    if (e->kind == ENGINE_SOURCE_WASM &&
        ret->url.compare(0, e->path.size() + 1, e->path + " ") == 0)
        ret->url = e->path;
    return true;
}

bool is_self_hosted(const Frame &frame)
{
    return frame.url == "self-hosted";
}

bool is_prelude(const Frame &frame)
{
    return frame.url.compare(0, strlen(OWN_SOURCES), OWN_SOURCES) == 0;
}

/** Hands frames over, as many as were asked for, from the first that was. */
class FrameSink
{
  public:
    FrameSink(size_t skip, size_t room, void (*each)(void *, const engine_frame *), void *userdata)
        : skip(skip), room(room), each(each), userdata(userdata)
    {
    }

    /** False if there was no room for it. */
    bool add(const Frame &frame)
    {
        if (skip > 0) {
            skip--;
            return true;
        }
        if (room == 0)
            return false;
        room--;
        const engine_frame row = {frame.kind, frame.function.c_str(), frame.url.c_str(),
                                  frame.line, frame.column,           frame.offset,
                                  0};
        each(userdata, &row);
        return true;
    }

    bool add_host(const char *function)
    {
        Frame frame;
        frame.kind = ENGINE_FRAME_HOST;
        frame.function = function;
        return add(frame);
    }

  private:
    size_t skip, room;
    void (*each)(void *, const engine_frame *);
    void *userdata;
};

/** False with an exception; *ret_complete is false if there are more frames than room. */
bool list_frames(engine *e, JS::HandleObject newest, FrameSink *sink, bool *ret_complete)
{
    JSContext *cx = e->cx;
    JS::RootedObject saved(cx, newest);
    bool in_prelude = false, room = !e->host_call || sink->add_host(e->host_call);
    while (saved && room) {
        Frame frame;
        if (!read_frame(e, saved, &frame))
            return false;
        /* All of the console's frames, which lie in a row, are one. */
        if (is_prelude(frame))
            room = in_prelude || sink->add_host("console");
        else if (!is_self_hosted(frame))
            room = sink->add(frame);
        in_prelude = is_prelude(frame) || (in_prelude && is_self_hosted(frame));
        if (room)
            JS::GetSavedFrameParent(cx, nullptr, saved, &saved);
    }
    *ret_complete = room;
    return true;
}

} // namespace

int gc(engine *e, uint64_t *ret_before_bytes, uint64_t *ret_after_bytes)
{
    {
        JSContext *cx = e->cx;
        Inspection inspection(e);
        JS::RootedObject info(cx, js::gc::NewMemoryInfoObject(cx));
        *ret_before_bytes = all_bytes(e, info);
        JS::PrepareForFullGC(cx);
        JS::NonIncrementalGC(cx, JS::GCOptions::Shrink, JS::GCReason::API);
        *ret_after_bytes = all_bytes(e, info);
    }
    /* A VM that is idle has no other time to say it. Within a hit there is one, after it. */
    if (!e->debug->hit.reporting)
        audit_tell_gone(e);
    return 0;
}

int census(engine *e, void (*each)(void *, const engine_class *), void *userdata)
{
    Inspection inspection(e);
    std::unordered_map<std::string, Row> rows;
    if (!count_heap(e, &rows))
        return -ENOMEM;
    for (const auto &[name, row] : rows) {
        const engine_class line = {name.c_str(), row.count, row.bytes};
        each(userdata, &line);
    }
    return 0;
}

int stack(engine *e, size_t max_frames, void (*each)(void *, const engine_frame *), void *userdata,
          bool *ret_truncated)
{
    return stack_from(e, 0, max_frames, each, userdata, ret_truncated);
}

int stack_from(engine *e, size_t first, size_t max_frames,
               void (*each)(void *, const engine_frame *), void *userdata, bool *ret_truncated)
{
    JSContext *cx = e->cx;
    Inspection inspection(e);
    /* One more, to know whether there are more. */
    size_t captured = (first + max_frames) * FRAMES_BEHIND_ONE + 1;
    JS::RootedObject newest(cx), oldest(cx);
    if (!JS::CaptureCurrentStack(cx, &newest,
                                 JS::StackCapture(JS::MaxFrames(static_cast<uint32_t>(captured)))))
        return -ENOMEM;
    FrameSink sink(first, max_frames, each, userdata);
    bool complete = false;
    if (!list_frames(e, newest, &sink, &complete))
        return -ENOMEM;
    size_t count = 0;
    for (oldest = newest; oldest; count++)
        JS::GetSavedFrameParent(cx, nullptr, oldest, &oldest);
    *ret_truncated = !complete || count == captured;
    return 0;
}

} // namespace mozjs
