/*
 * mozjs_inspect.cc: what a parked VM can be asked: a collection, a census, its stack. Called from
 * inside host callbacks, so wherever guest code can be interrupted, and between ops.
 *
 * Nothing here uses the engine's debugger: that would have to make the guest's realm a debuggee,
 * which discards its optimised code. The census walks the graph of the heap as the engine's own
 * memory tools do (js/UbiNode.h), the stack is the one that errors get.
 */

#include "mozjs_internal.h"

#include <js/GCAPI.h>
#include <js/SavedFrameAPI.h>
#include <js/Stack.h>
#include <js/UbiNode.h>
#include <js/UbiNodeBreadthFirst.h>

#include <errno.h>
#include <malloc.h>
#include <string.h>

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

/** Visits each thing that can be reached once. */
struct Counter {
    struct NodeData {
    };
    using Traversal = JS::ubi::BreadthFirst<Counter>;

    JS::Realm *own_realm;
    std::unordered_map<std::string, Row> &rows;
    /* Class names are static texts; most things share a few of them. */
    std::unordered_map<const char *, Row *> by_pointer = {};

    bool operator()(Traversal &, JS::ubi::Node, const JS::ubi::Edge &edge, NodeData *, bool first)
    {
        if (first)
            count(edge.referent);
        return true;
    }

    void count(const JS::ubi::Node &node)
    {
        const char *name = name_of(node);
        Row *&row = by_pointer[name];
        if (!row)
            row = &rows[name];
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

bool count_heap(engine *e, std::unordered_map<std::string, Row> *rows)
{
    JSContext *cx = e->cx;
    JS::ubi::RootList roots(cx);
    /* Empties the nursery, and ends a collection that is under way. */
    auto [ok, no_gc] = roots.init();
    if (!ok)
        return false;
    Counter counter{js::GetNonCCWObjectRealm(e->prelude_global), *rows};
    Counter::Traversal traversal(cx, counter, no_gc);
    traversal.wantNames = false;
    return traversal.addStart(JS::ubi::Node(&roots)) && traversal.traverse();
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

/** Hands frames over, as many as were asked for. */
class FrameSink
{
  public:
    FrameSink(size_t room, void (*each)(void *, const engine_frame *), void *userdata)
        : room(room), each(each), userdata(userdata)
    {
    }

    /** False if there was no room for it. */
    bool add(const Frame &frame)
    {
        if (room == 0)
            return false;
        room--;
        const engine_frame row = {frame.kind, frame.function.c_str(), frame.url.c_str(),
                                  frame.line, frame.column,           frame.offset};
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
    size_t room;
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
    JSContext *cx = e->cx;
    Inspection inspection(e);
    JS::RootedObject info(cx, js::gc::NewMemoryInfoObject(cx));
    *ret_before_bytes = all_bytes(e, info);
    JS::PrepareForFullGC(cx);
    JS::NonIncrementalGC(cx, JS::GCOptions::Shrink, JS::GCReason::API);
    *ret_after_bytes = all_bytes(e, info);
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
    JSContext *cx = e->cx;
    Inspection inspection(e);
    /* One more, to know whether there are more. */
    size_t captured = max_frames * FRAMES_BEHIND_ONE + 1;
    JS::RootedObject newest(cx), oldest(cx);
    if (!JS::CaptureCurrentStack(cx, &newest,
                                 JS::StackCapture(JS::MaxFrames(static_cast<uint32_t>(captured)))))
        return -ENOMEM;
    FrameSink sink(max_frames, each, userdata);
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
