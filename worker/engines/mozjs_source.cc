/*
 * mozjs_source.cc: the sources that are loaded, and their texts. A source lives as long as a script
 * of it does; the engine's heap is asked each time, so that what has been collected is gone.
 */

#include "mozjs_look.h"

#include <js/ArrayBufferMaybeShared.h>
#include <js/experimental/TypedData.h>

#include <errno.h>

#include <algorithm>

namespace mozjs
{

namespace
{

struct Source {
    explicit Source(JSContext *cx) : object(cx) {}

    uint64_t id = 0;
    std::string url, kind, source_map;
    bool own = false; /**< what a debugger has evaluated, or a line of ours */
    JS::PersistentRootedObject object;
};

bool read_kind(engine *e, JS::HandleObject source, Source *ret)
{
    std::string introduction;
    JS::RootedValue text(e->cx);
    if (!debugger_get_text(e->cx, source, "introductionType", &introduction))
        return false;
    ret->own = introduction == "debugger eval" || introduction == OWN_INTRODUCTION;
    if (introduction == "wasm")
        ret->kind = "wasm";
    else if (introduction == "eval")
        ret->kind = "eval";
    else if (introduction == "Function" || introduction == "GeneratorFunction" ||
             introduction == "AsyncFunction" || introduction == "AsyncGenerator")
        ret->kind = "function";
    else
        ret->kind = e->modules_by_path.count(ret->url) ? "module" : "script";
    /* Not there for WebAssembly. */
    if (!debugger_get_text(e->cx, source, "sourceMapURL", &ret->source_map))
        JS_ClearPendingException(e->cx);
    return true;
}

/** All sources, by id. */
bool find_sources(engine *e, std::vector<std::unique_ptr<Source>> *ret)
{
    JSContext *cx = e->cx;
    JS::RootedObject debugger(cx, debugger_of_stop(e));
    JS::RootedValue value(cx);
    uint32_t count = 0;
    if (!debugger ||
        !debugger_call(cx, debugger, "findSources", JS::HandleValueArray::empty(), &value))
        return false;
    JS::RootedObject array(cx, &value.toObject());
    if (!JS::GetArrayLength(cx, array, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        auto source = std::make_unique<Source>(cx);
        if (!JS_GetElement(cx, array, i, &value))
            return false;
        JS::RootedObject object(cx, &value.toObject());
        source->object = object;
        source->id = debugger_source_id(e, object);
        if (source->id == 0 || !debugger_source_url(e, object, &source->url) ||
            !read_kind(e, object, source.get()))
            return false;
        ret->push_back(std::move(source));
    }
    std::sort(ret->begin(), ret->end(), [](const auto &a, const auto &b) { return a->id < b->id; });
    return true;
}

/** Bytes of a module, of which the engine keeps none that cannot be inspected. */
bool read_binary(engine *e, const Source *source, std::string *ret_bytes)
{
    JSContext *cx = e->cx;
    JS::RootedObject object(cx, source->object), array(cx);
    size_t length = 0;
    bool shared = false;
    uint8_t *data = nullptr;
    if (e->wasm_text && source->url == e->path) {
        ret_bytes->assign(reinterpret_cast<const char *>(e->wasm_text), e->wasm_text_bytes);
        return true;
    }
    if (!debugger_get_object(cx, object, "binary", &array) || !array ||
        !JS_IsArrayBufferViewObject(array))
        return false;
    js::GetArrayBufferViewLengthAndData(array, &length, &shared, &data);
    ret_bytes->assign(reinterpret_cast<const char *>(data), length);
    return true;
}

/** Where one line ends and another may begin; `\r\n` is one end. */
uint32_t count_lines(const std::string &text)
{
    static const char *const SEPARATORS[] = {"\u2028", "\u2029"};
    uint32_t lines = 0;
    size_t start = 0;
    for (size_t i = 0; i < text.size(); i++) {
        bool ends = text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n');
        for (const char *separator : SEPARATORS) {
            if (text.compare(i, 3, separator) == 0) {
                ends = true;
                i += 2;
            }
        }
        if (ends) {
            lines++;
            start = i + 1;
        }
    }
    return lines + (start < text.size());
}

/** The text of a source, which is kept for the question that comes next; NULL: it has none. */
bool read_text(engine *e, Source *source, const std::string **ret_text)
{
    JSContext *cx = e->cx;
    SourceText *kept = &e->debug->text;
    if (kept->source != source->id) {
        JS::RootedObject object(cx, source->object);
        std::string text;
        if (source->kind == "wasm") {
            if (!read_binary(e, source, &text)) {
                JS_ClearPendingException(cx);
                *ret_text = nullptr;
                return true;
            }
        } else if (!debugger_get_text(cx, object, "text", &text)) {
            return false;
        }
        kept->source = source->id;
        kept->text = std::move(text);
    }
    *ret_text = &kept->text;
    return true;
}

/** Sizes, which take a whole text to know, and which never change. */
bool measure(engine *e, Source *source, engine_source *ret)
{
    auto found = e->debug->source_sizes.find(source->id);
    if (found == e->debug->source_sizes.end()) {
        const std::string *text = nullptr;
        if (!read_text(e, source, &text))
            return false;
        SourceSize size = {};
        if (text)
            size = {text->size(), source->kind == "wasm" ? 0 : count_lines(*text)};
        found = e->debug->source_sizes.emplace(source->id, size).first;
    }
    *ret = {source->id,          source->url.c_str(),        source->kind.c_str(),
            found->second.bytes, source->source_map.c_str(), found->second.lines};
    return true;
}

/** Forgets sizes of sources that are no more. */
void forget_sizes(engine *e, const std::vector<std::unique_ptr<Source>> &sources)
{
    std::unordered_map<uint64_t, SourceSize> kept;
    for (const auto &source : sources) {
        auto found = e->debug->source_sizes.find(source->id);
        if (found != e->debug->source_sizes.end())
            kept.insert(*found);
    }
    e->debug->source_sizes.swap(kept);
}

/** By id, or the latest with such a url: exactly, else as a client means it. */
Source *find_source(const std::vector<std::unique_ptr<Source>> &sources, uint64_t id,
                    const char *url)
{
    Source *exact = nullptr, *meant = nullptr;
    for (const auto &source : sources) {
        if (id != 0 && source->id == id)
            return source.get();
        if (id != 0 || !url || source->own)
            continue;
        if (source->url == url)
            exact = source.get();
        else if (debugger_url_matches(source->url, url))
            meant = source.get();
    }
    return exact ? exact : meant;
}

bool continues_character(const std::string &text, size_t at)
{
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
}

/** Ends a page where a character ends, unless the page has not even room for one. */
size_t page_end(const std::string &text, size_t first, size_t max)
{
    size_t end = std::min(text.size(), first + max), whole = end;
    while (whole > first && continues_character(text, whole))
        whole--;
    return whole > first ? whole : end;
}

} // namespace

void look_forget_texts(engine *e)
{
    e->debug->text = SourceText();
}

int look_sources(engine *e, uint32_t first, uint32_t max,
                 void (*each)(void *, const engine_source *), void *userdata, uint32_t *ret_next)
{
    Debugging debugging(e);
    std::vector<std::unique_ptr<Source>> sources;
    if (!debugging.ok() || !find_sources(e, &sources))
        return -ENOMEM;
    sources.erase(std::remove_if(sources.begin(), sources.end(),
                                 [](const auto &source) { return source->own; }),
                  sources.end());
    forget_sizes(e, sources);
    uint32_t given = 0;
    for (size_t i = first; i < sources.size() && given < max; i++, given++) {
        engine_source row;
        if (!measure(e, sources[i].get(), &row))
            return -ENOMEM;
        each(userdata, &row);
    }
    *ret_next = first < sources.size() && given < sources.size() - first ? first + given : 0;
    return 0;
}

int look_source_text(engine *e, uint64_t id, const char *url, uint64_t first_byte,
                     uint32_t max_bytes,
                     void (*each)(void *, const engine_source *, const void *, size_t),
                     void *userdata)
{
    Debugging debugging(e);
    std::vector<std::unique_ptr<Source>> sources;
    if (!debugging.ok() || !find_sources(e, &sources))
        return -ENOMEM;
    Source *source = find_source(sources, id, url);
    if (!source)
        return -ENOENT;
    engine_source row;
    const std::string *text = nullptr;
    if (!measure(e, source, &row) || !read_text(e, source, &text))
        return -ENOMEM;
    if (!text)
        return -EOPNOTSUPP;
    size_t first = static_cast<size_t>(std::min<uint64_t>(first_byte, text->size()));
    size_t end = source->kind == "wasm" ? std::min<size_t>(text->size(), first + max_bytes)
                                        : page_end(*text, first, max_bytes);
    each(userdata, &row, text->data() + first, end - first);
    return 0;
}

} // namespace mozjs
