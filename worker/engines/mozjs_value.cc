/*
 * mozjs_value.cc: what a scope or an object has, page by page, and plain data as JSON. Nothing here
 * runs guest code but getters, where that was asked for.
 */

#include "mozjs_look.h"

#include <js/ArrayBuffer.h>
#include <js/ArrayBufferMaybeShared.h>
#include <js/Conversions.h>
#include <js/Id.h>
#include <js/MapAndSet.h>
#include <js/Object.h>
#include <js/PropertyDescriptor.h>
#include <js/Stack.h>
#include <js/String.h>
#include <js/Symbol.h>
#include <js/experimental/TypedData.h>

#include <errno.h>
#include <math.h>
#include <string.h>

namespace mozjs
{

namespace
{

constexpr size_t NAME_BYTES = PREVIEW_BYTES;
/** A typed array with more elements is listed without the names that a guest has hung on it. */
constexpr size_t MOST_KEYED_ELEMENTS = 1 << 16;
constexpr unsigned OWN_KEYS = JSITER_OWNONLY | JSITER_HIDDEN | JSITER_SYMBOLS | JSITER_PRIVATE;

/** One line of a listing, but for its value. */
struct Row {
    std::string name;
    bool entry = false; /**< the value stands for a key and a value of a Map */
    bool available = true;
    bool writable = false;
    bool getter = false;
    bool threw = false;
};

/** Some of what a ref has, all of one sort. */
class Part
{
  public:
    virtual ~Part() = default;
    /** Its values are raw, and it is used in the realm of the prelude; else they are debuggee
     * values, and its realm is that of the Debugger objects. */
    virtual bool raw() const { return true; }
    virtual uint32_t count() const = 0;
    /** On which getters are run. */
    virtual JSObject *receiver() const { return nullptr; }
    virtual bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) = 0;
};

using Parts = std::vector<std::unique_ptr<Part>>;

/* Names */

/** At a whole character. */
void cut(std::string *text, size_t bytes)
{
    if (text->size() <= bytes)
        return;
    while (bytes > 0 && (static_cast<unsigned char>((*text)[bytes]) & 0xc0) == 0x80)
        bytes--;
    text->resize(bytes);
}

/** The start of it: a name may be as long as memory allows. */
bool name_of_string(JSContext *cx, JS::HandleString string, std::string *ret_name)
{
    JS::RootedString start(cx, string);
    Text text;
    if (JS_GetStringLength(start) > NAME_BYTES)
        start = JS_NewDependentString(cx, start, 0, NAME_BYTES);
    if (!start || !to_utf8(cx, start, &text))
        return false;
    ret_name->assign(text.chars.get(), text.length);
    cut(ret_name, NAME_BYTES);
    return true;
}

bool name_of_key(JSContext *cx, JS::HandleId id, std::string *ret_name)
{
    if (id.isInt()) {
        *ret_name = std::to_string(id.toInt());
        return true;
    }
    JS::RootedString string(cx);
    if (id.isString()) {
        string = id.toString();
        return name_of_string(cx, string, ret_name);
    }
    JS::Rooted<JS::Symbol *> symbol(cx, id.toSymbol());
    bool is_private = id.isPrivateName();
    string = JS::GetSymbolDescription(symbol);
    ret_name->clear();
    if (string && !name_of_string(cx, string, ret_name))
        return false;
    if (!is_private)
        *ret_name = "Symbol(" + *ret_name + ")";
    return true;
}

/* Variables */

bool get_variable(JSContext *cx, JS::HandleObject environment, JS::HandleString name,
                  JS::MutableHandleValue ret_value)
{
    JS::RootedValue argument(cx, JS::StringValue(name));
    return debugger_call(cx, environment, "getVariable", JS::HandleValueArray(argument), ret_value);
}

/** Only the Debugger's own objects, which stand for objects of the guest, are values. */
bool is_value(const JS::Value &value)
{
    return !value.isObject() || compat::is_debugger_object(&value.toObject());
}

/** A declarative environment does not say what is constant, but refuses to change it. */
bool accepts(JSContext *cx, JS::HandleObject environment, JS::HandleString name,
             JS::HandleValue value)
{
    JS::RootedValueArray<2> arguments(cx);
    JS::RootedValue ignored(cx);
    arguments[0].setString(name);
    arguments[1].set(value);
    bool ok = debugger_call(cx, environment, "setVariable", arguments, &ignored);
    JS_ClearPendingException(cx);
    return ok;
}

/** What a declarative environment has. */
class Bindings final : public Part
{
  public:
    Bindings(JSContext *cx, JS::HandleObject environment)
        : cx(cx), environment(cx, environment), names(cx)
    {
    }

    /** The engine gives an arrow function `arguments` of its own, which the program cannot see. */
    bool init(bool of_arrow)
    {
        JS::RootedValue value(cx);
        std::string kind;
        if (!debugger_call(cx, environment, "names", JS::HandleValueArray::empty(), &value) ||
            !debugger_get_text(cx, environment, "scopeKind", &kind))
            return false;
        JS::RootedObject array(cx, &value.toObject());
        uint32_t length = 0;
        read_only = kind.compare(0, 4, "wasm") == 0;
        if (!JS::GetArrayLength(cx, array, &length))
            return false;
        for (uint32_t i = 0; i < length; i++) {
            bool hidden = false;
            if (!JS_GetElement(cx, array, i, &value) ||
                (of_arrow && !JS_StringEqualsAscii(cx, value.toString(), "arguments", &hidden)) ||
                (!hidden && !names.append(value)))
                return false;
        }
        return true;
    }

    bool raw() const override { return false; }
    uint32_t count() const override { return static_cast<uint32_t>(names.length()); }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        JS::RootedString string(cx, names[index].toString());
        if (!name_of_string(cx, string, &ret->name))
            return false;
        if (!get_variable(cx, environment, string, ret_value)) {
            JS_ClearPendingException(cx);
            ret->available = false;
            return true;
        }
        ret->writable =
            !read_only && is_value(ret_value) && accepts(cx, environment, string, ret_value);
        return true;
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject environment;
    JS::PersistentRootedVector<JS::Value> names;
    bool read_only = false;
};

class This final : public Part
{
  public:
    This(JSContext *cx, JS::HandleObject frame) : cx(cx), frame(cx, frame) {}

    bool raw() const override { return false; }
    uint32_t count() const override { return 1; }

    bool row(uint32_t, Row *ret, JS::MutableHandleValue ret_value) override
    {
        ret->name = "this";
        ret->available = debugger_get(cx, frame, "this", ret_value);
        JS_ClearPendingException(cx);
        return true;
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject frame;
};

/* Objects */

/** Named values that the engine knows of an object, and the guest has no names for. */
class Facts final : public Part
{
  public:
    explicit Facts(JSContext *cx) : cx(cx), values(cx) {}

    bool add(const char *name, JS::HandleValue value)
    {
        names.push_back(name);
        return values.append(value);
    }
    bool add(const char *name, const std::string &text)
    {
        JS::RootedValue value(cx);
        JSString *string = from_utf8(cx, text);
        if (!string)
            return false;
        value.setString(string);
        return add(name, value);
    }

    uint32_t count() const override { return static_cast<uint32_t>(names.size()); }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        ret->name = names[index];
        ret_value.set(values[index]);
        return true;
    }

  private:
    JSContext *cx;
    std::vector<std::string> names;
    JS::PersistentRootedVector<JS::Value> values;
};

/** Own properties. */
class Properties final : public Part
{
  public:
    Properties(JSContext *cx, JS::HandleObject object) : cx(cx), object(cx, object), keys(cx) {}

    bool init()
    {
        JS::RootedIdVector all(cx);
        if (!js::GetPropertyKeys(cx, object, OWN_KEYS, &all))
            return false;
        /* Some private names are the engine's, for methods; no program can have named them. */
        std::string name;
        JS::RootedId id(cx);
        for (size_t i = 0; i < all.length(); i++) {
            id = all[i];
            if (id.isSymbol() && id.isPrivateName() &&
                (!name_of_key(cx, id, &name) || name[0] != '#'))
                continue;
            if (!keys.append(id))
                return false;
        }
        return true;
    }

    uint32_t count() const override { return static_cast<uint32_t>(keys.length()); }
    JSObject *receiver() const override { return object; }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        JS::RootedId id(cx, keys[index]);
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        if (!name_of_key(cx, id, &ret->name))
            return false;
        /* The namespace of a module throws for what is not initialised yet. */
        if (!JS_GetOwnPropertyDescriptorById(cx, object, id, &descriptor) ||
            descriptor.isNothing()) {
            JS_ClearPendingException(cx);
            ret->available = false;
        } else if (descriptor->isAccessorDescriptor()) {
            ret->getter = descriptor->getter() != nullptr;
            ret->writable = descriptor->setter() != nullptr;
            ret->available = !ret->getter;
            if (ret->getter)
                ret_value.setObject(*descriptor->getter());
        } else {
            ret->writable = descriptor->writable();
            ret_value.set(descriptor->value());
        }
        return true;
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject object;
    JS::PersistentRootedIdVector keys;
};

/** Elements of a typed array, of which there may be more than keys have room. */
class Elements final : public Part
{
  public:
    Elements(JSContext *cx, JS::HandleObject array) : cx(cx), array(cx, array) {}

    uint32_t count() const override
    {
        return static_cast<uint32_t>(
            std::min<size_t>(JS_GetTypedArrayLength(array), UINT32_MAX - 1024));
    }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        ret->name = std::to_string(index);
        ret->writable = true;
        return JS_GetElement(cx, array, index, ret_value);
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject array;
};

/** Bytes of an ArrayBuffer, shared or not. */
class Bytes final : public Part
{
  public:
    Bytes(JSContext *cx, JS::HandleObject buffer) : buffer(cx, buffer) {}

    uint32_t count() const override
    {
        size_t bytes = 0;
        uint8_t *data = nullptr;
        read(&bytes, &data);
        return static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX - 1024));
    }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        size_t bytes = 0;
        uint8_t *data = nullptr;
        read(&bytes, &data);
        ret->name = std::to_string(index);
        ret_value.setInt32(index < bytes ? data[index] : 0);
        return true;
    }

  private:
    JS::PersistentRootedObject buffer;

    void read(size_t *ret_bytes, uint8_t **ret_data) const
    {
        bool shared = false;
        JS::GetArrayBufferMaybeSharedLengthAndData(buffer, ret_bytes, &shared, ret_data);
    }
};

/**
 * Entries of a Map, as objects with a key and a value, or of a Set. An iterator belongs to the
 * realm of its collection, where the guest may have redefined what moves it on: what does here is
 * the prelude's own.
 */
class Entries final : public Part
{
  public:
    Entries(JSContext *cx, JS::HandleObject collection, bool is_map)
        : cx(cx), collection(cx, collection), is_map(is_map), iterator(cx), move_on(cx)
    {
    }

    uint32_t count() const override
    {
        return is_map ? JS::MapSize(cx, collection) : JS::SetSize(cx, collection);
    }

    /** Quick where rows are asked for in rising order. */
    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        JS::RootedValue item(cx), value(cx);
        if ((iterator.isUndefined() || index < next) && !start())
            return false;
        bool done = false;
        for (; next <= index && !done; next++) {
            if (!step(&item, &done))
                return false;
        }
        ret->name = std::to_string(index);
        if (done || !is_map) {
            ret->available = !done;
            ret_value.set(item);
            return true;
        }
        JS::RootedObject pair(cx, &item.toObject()), entry(cx, JS_NewPlainObject(cx));
        if (!entry || !JS_GetElement(cx, pair, 0, &item) || !JS_GetElement(cx, pair, 1, &value) ||
            !JS_DefineProperty(cx, entry, "key", item, JSPROP_ENUMERATE) ||
            !JS_DefineProperty(cx, entry, "value", value, JSPROP_ENUMERATE))
            return false;
        ret->entry = true;
        ret_value.setObject(*entry);
        return true;
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject collection;
    bool is_map;
    JS::PersistentRootedValue iterator, move_on;
    uint32_t next = 0; /**< of the iterator */

    bool iterate(JS::HandleObject over, JS::MutableHandleValue ret_iterator)
    {
        return is_map ? JS::MapEntries(cx, over, ret_iterator)
                      : JS::SetValues(cx, over, ret_iterator);
    }

    bool start()
    {
        JS::RootedObject own(cx, is_map ? JS::NewMapObject(cx) : JS::NewSetObject(cx));
        JS::RootedValue mine(cx), theirs(cx);
        if (!own || !iterate(own, &mine) || !iterate(collection, &theirs))
            return false;
        JS::RootedObject object(cx, &mine.toObject());
        if (!JS_GetProperty(cx, object, "next", &mine))
            return false;
        move_on = mine;
        iterator = theirs;
        next = 0;
        return true;
    }

    bool step(JS::MutableHandleValue ret_item, bool *ret_done)
    {
        JS::RootedValue self(cx, iterator), function(cx, move_on), result(cx), done(cx);
        if (!JS::Call(cx, self, function, JS::HandleValueArray::empty(), &result))
            return false;
        JS::RootedObject object(cx, &result.toObject());
        if (!JS_GetProperty(cx, object, "done", &done))
            return false;
        *ret_done = done.isTrue();
        return JS_GetProperty(cx, object, "value", ret_item);
    }
};

/** What a WeakMap or a WeakSet has now, in no order that means anything. Its keys live as long as
 * the ref. */
class WeakEntries final : public Part
{
  public:
    WeakEntries(JSContext *cx, JS::HandleObject collection)
        : cx(cx), collection(cx, collection), keys(cx), is_map(JS::IsWeakMapObject(collection))
    {
    }

    /** False with an exception; without keys it is neither. */
    bool init()
    {
        JS::RootedObject list(cx);
        if (!(is_map ? JS_NondeterministicGetWeakMapKeys(cx, collection, &list)
                     : JS_NondeterministicGetWeakSetKeys(cx, collection, &list)))
            return false;
        keys = list;
        return !list || JS::GetArrayLength(cx, list, &length);
    }

    bool is_weak() const { return keys; }

    uint32_t count() const override { return length; }

    bool row(uint32_t index, Row *ret, JS::MutableHandleValue ret_value) override
    {
        JS::RootedValue key(cx), value(cx);
        ret->name = std::to_string(index);
        if (!JS_GetElement(cx, keys, index, &key))
            return false;
        if (!is_map) {
            ret_value.set(key);
            return true;
        }
        JS::RootedObject object(cx, &key.toObject()), entry(cx, JS_NewPlainObject(cx));
        if (!entry || !JS::GetWeakMapEntry(cx, collection, object, &value) ||
            !JS_DefineProperty(cx, entry, "key", key, JSPROP_ENUMERATE) ||
            !JS_DefineProperty(cx, entry, "value", value, JSPROP_ENUMERATE))
            return false;
        ret->entry = true;
        ret_value.setObject(*entry);
        return true;
    }

  private:
    JSContext *cx;
    JS::PersistentRootedObject collection, keys;
    bool is_map;
    uint32_t length = 0;
};

bool add_promise_facts(JSContext *cx, JS::HandleObject promise, Facts *facts)
{
    JS::PromiseState state = JS::GetPromiseState(promise);
    JS::RootedValue result(cx);
    if (!facts->add("[[PromiseState]]", state == JS::PromiseState::Pending     ? "pending"
                                        : state == JS::PromiseState::Fulfilled ? "fulfilled"
                                                                               : "rejected"))
        return false;
    if (state != JS::PromiseState::Pending) {
        result = JS::GetPromiseResult(promise);
        if (!facts->add(state == JS::PromiseState::Fulfilled ? "[[PromiseValue]]"
                                                             : "[[PromiseReason]]",
                        result))
            return false;
    }
    for (bool allocation : {true, false}) {
        JS::RootedObject site(cx, allocation ? JS::GetPromiseAllocationSite(promise)
                                             : JS::GetPromiseResolutionSite(promise));
        JS::RootedString string(cx);
        if (!site)
            continue;
        if (!JS::BuildStackString(cx, nullptr, site, &string))
            return false;
        result.setString(string);
        if (!facts->add(allocation ? "[[AllocationSite]]" : "[[ResolutionSite]]", result))
            return false;
    }
    return true;
}

bool add_error_facts(JSContext *cx, JS::HandleObject error, Facts *facts)
{
    JS::RootedObject stack(cx, JS::ExceptionStackOrNull(error));
    JS::RootedString string(cx);
    JS::RootedValue value(cx);
    if (!stack)
        return true;
    if (!JS::BuildStackString(cx, nullptr, stack, &string))
        return false;
    value.setString(string);
    return facts->add("[[Stack]]", value);
}

bool add_function_facts(JSContext *cx, JS::HandleObject object, Facts *facts)
{
    JS::RootedFunction function(cx, JS_GetObjectFunction(object));
    JS::RootedScript script(cx, function ? JS_GetFunctionScript(cx, function) : nullptr);
    if (!script || !JS_GetScriptFilename(script))
        return true;
    return facts->add("[[FunctionLocation]]",
                      std::string(JS_GetScriptFilename(script)) + ":" +
                          std::to_string(JS_GetScriptBaseLineNumber(cx, script)));
}

/** Parts of an object of the guest's. */
bool object_parts(engine *e, JS::HandleObject object, Parts *parts)
{
    JSContext *cx = e->cx;
    auto facts = std::make_unique<Facts>(cx);
    JS::RootedValue value(cx);
    if (js::IsScriptedProxy(object)) {
        value.setObjectOrNull(js::GetProxyTargetObject(object));
        if (!facts->add("[[Target]]", value))
            return false;
        value.setObjectOrNull(compat::proxy_handler(object));
        if (!facts->add("[[Handler]]", value))
            return false;
        parts->push_back(std::move(facts));
        return true;
    }

    bool is_typed_array = JS_IsTypedArrayObject(object);
    js::ESClass kind = js::ESClass::Other;
    if (!JS::GetBuiltinClass(cx, object, &kind))
        return false;
    if (kind == js::ESClass::Map || kind == js::ESClass::Set)
        parts->push_back(std::make_unique<Entries>(cx, object, kind == js::ESClass::Map));
    if (kind == js::ESClass::Other) {
        auto entries = std::make_unique<WeakEntries>(cx, object);
        if (!entries->init())
            return false;
        if (entries->is_weak())
            parts->push_back(std::move(entries));
    }
    if (is_typed_array && JS_GetTypedArrayLength(object) > MOST_KEYED_ELEMENTS) {
        parts->push_back(std::make_unique<Elements>(cx, object));
    } else {
        auto properties = std::make_unique<Properties>(cx, object);
        if (!properties->init())
            return false;
        parts->push_back(std::move(properties));
    }
    if (JS::IsArrayBufferObjectMaybeShared(object)) {
        parts->push_back(std::make_unique<Bytes>(cx, object));
        size_t bytes = 0;
        bool shared = false;
        uint8_t *data = nullptr;
        JS::GetArrayBufferMaybeSharedLengthAndData(object, &bytes, &shared, &data);
        value.setNumber(static_cast<double>(bytes));
        if (!facts->add("[[ByteLength]]", value))
            return false;
    }
    if (JS::IsPromiseObject(object) && !add_promise_facts(cx, object, facts.get()))
        return false;
    if (kind == js::ESClass::Error && !add_error_facts(cx, object, facts.get()))
        return false;
    if (kind == js::ESClass::Function && !add_function_facts(cx, object, facts.get()))
        return false;
    if (kind == js::ESClass::Number || kind == js::ESClass::String ||
        kind == js::ESClass::Boolean || kind == js::ESClass::BigInt) {
        value = compat::boxed_value(object);
        if (!facts->add("[[PrimitiveValue]]", value))
            return false;
    }
    JS::RootedObject prototype(cx);
    if (!JS_GetPrototype(cx, object, &prototype))
        return false;
    value.setObjectOrNull(prototype);
    if (!facts->add("[[Prototype]]", value))
        return false;
    parts->push_back(std::move(facts));
    return true;
}

bool is_arrow_frame(JSContext *cx, JS::HandleObject frame, bool *ret_arrow)
{
    JS::RootedObject callee(cx);
    JS::RootedValue value(cx);
    if (!debugger_get_object(cx, frame, "callee", &callee) ||
        (callee && !debugger_get(cx, callee, "isArrowFunction", &value)))
        return false;
    *ret_arrow = value.isTrue();
    return true;
}

/** Of a scope (see mozjs_look.h); its objects are those of `with`, and the global. */
bool scope_parts(engine *e, JS::HandleObject scope, Parts *parts)
{
    JSContext *cx = e->cx;
    uint32_t length = 0;
    bool of_arrow = false;
    JS::RootedValue value(cx);
    if (!JS::GetArrayLength(cx, scope, &length))
        return false;
    for (uint32_t i = 0; i < length; i++) {
        if (!JS_GetElement(cx, scope, i, &value))
            return false;
        if (value.isNull())
            continue;
        JS::RootedObject member(cx, &value.toObject()), object(cx);
        if (i == 0) {
            parts->push_back(std::make_unique<This>(cx, member));
            if (!is_arrow_frame(cx, member, &of_arrow))
                return false;
            continue;
        }
        std::string type;
        if (!debugger_get_text(cx, member, "type", &type))
            return false;
        if (type == "declarative") {
            auto bindings = std::make_unique<Bindings>(cx, member);
            if (!bindings->init(of_arrow))
                return false;
            parts->push_back(std::move(bindings));
            continue;
        }
        if (!debugger_get_object(cx, member, "object", &object))
            return false;
        JS::RootedObject referent(cx, object ? debugger_referent(cx, object) : nullptr);
        if (!referent)
            continue;
        JSAutoRealm realm(cx, e->prelude_global);
        if (js::IsScriptedProxy(referent)) {
            if (!object_parts(e, referent, parts))
                return false;
            continue;
        }
        auto properties = std::make_unique<Properties>(cx, referent);
        if (!properties->init())
            return false;
        parts->push_back(std::move(properties));
    }
    return true;
}

uint32_t total_of(const Parts &parts)
{
    uint64_t total = 0;
    for (const auto &part : parts)
        total += part->count();
    return static_cast<uint32_t>(std::min<uint64_t>(total, UINT32_MAX));
}

/** Hands over rows. */
class Page
{
  public:
    Page(engine *e, bool run_getters, void (*each)(void *, const engine_named_value *),
         void *userdata)
        : e(e), run_getters(run_getters), each(each), userdata(userdata)
    {
    }

    /** 0, -ENOMEM, or -ECANCELED. */
    int give(Part *part, uint32_t index)
    {
        JSContext *cx = e->cx;
        Row row;
        JS::RootedValue value(cx);
        {
            JSAutoRealm realm(cx, part->raw() ? e->prelude_global : e->debug->global);
            if (!part->row(index, &row, &value))
                return -ENOMEM;
        }
        bool raw = part->raw();
        if (row.getter && run_getters) {
            JS::RootedObject receiver(cx, part->receiver());
            if (int r = run_getter(receiver, &row, &value))
                return r;
            raw = false;
        }
        Shown shown;
        if (!show(raw, row, &value, &shown))
            return -ENOMEM;
        const engine_named_value line = {row.name.c_str(), *shown.value(), row.writable,
                                         row.getter && !row.available, row.threw};
        each(userdata, &line);
        return 0;
    }

  private:
    engine *e;
    bool run_getters;
    void (*each)(void *, const engine_named_value *);
    void *userdata;

    /** `value` is a debuggee value after it. 0, -ENOMEM, or -ECANCELED if it was ended. */
    int run_getter(JS::HandleObject receiver, Row *row, JS::MutableHandleValue value)
    {
        JSContext *cx = e->cx;
        JSAutoRealm realm(cx, e->debug->global);
        JS::RootedValue raw(cx, JS::ObjectOrNullValue(receiver)), self(cx), getter(cx);
        if (!look_wrap(e, raw, &self) || !look_wrap(e, value, &getter) || !getter.isObject())
            return -ENOMEM;
        JS::RootedObject object(cx, &getter.toObject());
        switch (debugger_run(e, object, e->debug->keys.call, JS::HandleValueArray(self), false,
                             value)) {
        case Completion::THREW:
            row->threw = true;
            break;
        case Completion::RETURNED:
            break;
        case Completion::TERMINATED:
            return -ECANCELED;
        default:
            return -ENOMEM;
        }
        row->available = true;
        return 0;
    }

    bool show(bool raw, const Row &row, JS::MutableHandleValue value, Shown *ret)
    {
        if (!row.available) {
            ret->preview = row.getter ? "<getter>" : "<unavailable>";
            return true;
        }
        JS::RootedValue entry(e->cx, value);
        if (raw && !look_wrap(e, entry, value))
            return false;
        return debugger_show(e, value, true, ret) && (!row.entry || show_entry(entry, ret));
    }

    bool show_entry(JS::HandleValue entry, Shown *ret)
    {
        JSContext *cx = e->cx;
        JS::RootedObject object(cx, &entry.toObject());
        std::string preview;
        for (const char *name : {"key", "value"}) {
            JS::RootedValue raw(cx), value(cx);
            Shown half;
            {
                JSAutoRealm realm(cx, object);
                if (!JS_GetProperty(cx, object, name, &raw))
                    return false;
            }
            if (!look_wrap(e, raw, &value) || !debugger_show(e, value, false, &half))
                return false;
            preview += (preview.empty() ? "" : " => ") + half.preview;
            ret->truncated = ret->truncated || half.truncated;
        }
        ret->truncated = ret->truncated || preview.size() > PREVIEW_BYTES;
        cut(&preview, PREVIEW_BYTES);
        ret->preview = preview;
        ret->class_name = "Entry";
        return true;
    }
};

/* JSON */

/** Writes what JSON.stringify would, of data alone; false if there is anything else. */
class JsonWriter
{
  public:
    JsonWriter(JSContext *cx, std::string *out) : cx(cx), out(out) {}

    bool write(JS::HandleValue value, unsigned depth)
    {
        constexpr unsigned MOST_LEVELS = 64;
        if (out->size() > JSON_BYTES || depth > MOST_LEVELS)
            return false;
        if (value.isNull()) {
            *out += "null";
        } else if (value.isBoolean()) {
            *out += value.toBoolean() ? "true" : "false";
        } else if (value.isNumber()) {
            char text[JS::MaximumNumberToStringLength];
            if (!isfinite(value.toNumber()))
                return false;
            JS::NumberToString(value.toNumber(), text);
            *out += text;
        } else if (value.isString()) {
            JS::RootedString string(cx, value.toString());
            return write_string(string);
        } else if (value.isObject()) {
            JS::RootedObject object(cx, &value.toObject());
            bool array = false;
            if (js::IsProxy(object) || !has_no_to_json(object) ||
                !JS::IsArrayObject(cx, object, &array))
                return false;
            return array ? write_array(object, depth) : write_object(object, depth);
        } else {
            return false;
        }
        return true;
    }

  private:
    static constexpr size_t JSON_BYTES = 64 << 10;

    JSContext *cx;
    std::string *out;

    /** What JSON has no place for, and leaves out. */
    static bool is_left_out(const JS::Value &value)
    {
        return value.isUndefined() || value.isSymbol() ||
               (value.isObject() && JS::IsCallable(&value.toObject()));
    }

    bool has_no_to_json(JS::HandleObject object)
    {
        constexpr int MOST_PROTOTYPES = 100;
        JS::RootedObject holder(cx, object);
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        for (int i = 0; holder; i++) {
            if (i == MOST_PROTOTYPES || js::IsProxy(holder) ||
                !JS_GetOwnPropertyDescriptor(cx, holder, "toJSON", &descriptor) ||
                descriptor.isSome() || !JS_GetPrototype(cx, holder, &holder))
                return false;
        }
        return true;
    }

    bool write_string(JS::HandleString string)
    {
        Text text;
        if (JS_GetStringLength(string) > JSON_BYTES || !to_utf8(cx, string, &text))
            return false;
        *out += '"';
        for (size_t i = 0; i < text.length; i++) {
            unsigned char c = static_cast<unsigned char>(text.chars[i]);
            char escape[8];
            if (c == '"' || c == '\\')
                *out += std::string("\\") + text.chars[i];
            else if (c == '\n')
                *out += "\\n";
            else if (c < 0x20)
                out->append(escape, snprintf(escape, sizeof(escape), "\\u%04x", c));
            else
                *out += text.chars[i];
        }
        *out += '"';
        return true;
    }

    /** Undefined where there is none; false if it is no data. */
    bool read(JS::HandleObject object, JS::HandleId id, JS::MutableHandleValue ret_value,
              bool *ret_enumerable)
    {
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        ret_value.setUndefined();
        *ret_enumerable = false;
        if (!JS_GetOwnPropertyDescriptorById(cx, object, id, &descriptor))
            return false;
        if (descriptor.isNothing())
            return true;
        if (descriptor->isAccessorDescriptor())
            return false;
        *ret_enumerable = descriptor->enumerable();
        ret_value.set(descriptor->value());
        return true;
    }

    bool write_array(JS::HandleObject array, unsigned depth)
    {
        uint32_t length = 0;
        JS::RootedId id(cx);
        JS::RootedValue value(cx);
        bool enumerable = false;
        if (!JS::GetArrayLength(cx, array, &length) || length > JSON_BYTES)
            return false;
        *out += "[";
        for (uint32_t i = 0; i < length; i++) {
            *out += i == 0 ? "" : ",";
            if (!JS_IndexToId(cx, i, &id) || !read(array, id, &value, &enumerable))
                return false;
            if (is_left_out(value))
                value.setNull();
            if (!write(value, depth + 1))
                return false;
        }
        *out += "]";
        return true;
    }

    bool write_object(JS::HandleObject object, unsigned depth)
    {
        JS::RootedIdVector keys(cx);
        JS::RootedId id(cx);
        JS::RootedValue value(cx);
        JS::RootedString name(cx);
        /* A Map is no data: what it has is not in its properties. */
        if (strcmp(JS::GetClass(object)->name, "Object") != 0 ||
            !js::GetPropertyKeys(cx, object, JSITER_OWNONLY, &keys))
            return false;
        bool first = true, enumerable = false;
        *out += "{";
        for (size_t i = 0; i < keys.length(); i++) {
            id = keys[i];
            if (!read(object, id, &value, &enumerable))
                return false;
            if (!enumerable || is_left_out(value))
                continue;
            *out += first ? "" : ",";
            first = false;
            name = JS::ToString(cx, JS::RootedValue(cx, js::IdToValue(id)));
            if (!name || !write_string(name))
                return false;
            *out += ":";
            if (!write(value, depth + 1))
                return false;
        }
        *out += "}";
        return true;
    }
};

} // namespace

bool look_count(engine *e, JS::HandleObject scope, uint32_t *ret_variables)
{
    Parts parts;
    if (!scope_parts(e, scope, &parts))
        return false;
    *ret_variables = total_of(parts);
    return true;
}

bool look_has_name(JSContext *cx, JS::HandleValue names, JS::HandleString name, bool *ret_found)
{
    JS::RootedObject array(cx, &names.toObject());
    JS::RootedValue element(cx);
    uint32_t length = 0;
    *ret_found = false;
    if (!JS::GetArrayLength(cx, array, &length))
        return false;
    for (uint32_t i = 0; i < length && !*ret_found; i++) {
        int32_t order = 0;
        if (!JS_GetElement(cx, array, i, &element) ||
            !JS_CompareStrings(cx, element.toString(), name, &order))
            return false;
        *ret_found = order == 0;
    }
    return true;
}

bool look_binding_state(engine *e, JS::HandleObject environment, JS::HandleString name,
                        bool *ret_available, bool *ret_writable)
{
    JSContext *cx = e->cx;
    JS::RootedValue value(cx);
    if (!get_variable(cx, environment, name, &value))
        return false;
    *ret_available = is_value(value);
    *ret_writable = *ret_available && accepts(cx, environment, name, value);
    return true;
}

bool look_wrap(engine *e, JS::HandleValue raw, JS::MutableHandleValue ret_value)
{
    JSContext *cx = e->cx;
    ret_value.set(raw);
    if (!JS_WrapValue(cx, ret_value))
        return false;
    if (!ret_value.isObject())
        return true;
    JS::RootedObject debugger(cx, debugger_of_stop(e)), global(cx, e->global);
    JS::RootedValue argument(cx), maker(cx), wrapped(cx, ret_value);
    if (!debugger || !JS_WrapObject(cx, &global))
        return false;
    argument.setObject(*global);
    if (!debugger_call(cx, debugger, "makeGlobalObjectReference", JS::HandleValueArray(argument),
                       &maker))
        return false;
    JS::RootedObject object(cx, &maker.toObject());
    return debugger_call(cx, object, "makeDebuggeeValue", JS::HandleValueArray(wrapped), ret_value);
}

bool look_unwrap(engine *e, JS::HandleValue value, JS::MutableHandleValue ret_raw)
{
    JSContext *cx = e->cx;
    ret_raw.set(value);
    if (value.isObject()) {
        JS::RootedObject object(cx, &value.toObject());
        JSObject *referent = debugger_referent(cx, object);
        if (!referent)
            return false;
        ret_raw.setObject(*referent);
    }
    JSAutoRealm realm(cx, e->prelude_global);
    return JS_WrapValue(cx, ret_raw);
}

bool look_json(engine *e, JS::HandleValue value, std::string *ret_json)
{
    JSContext *cx = e->cx;
    JS::RootedValue raw(cx);
    bool ok = look_unwrap(e, value, &raw);
    if (ok) {
        JSAutoRealm realm(cx, e->prelude_global);
        ok = JsonWriter(cx, ret_json).write(raw, 0);
    }
    JS_ClearPendingException(cx);
    return ok;
}

int look_variables(engine *e, uint64_t ref, uint32_t first, uint32_t max, bool run_getters,
                   void (*each)(void *, const engine_named_value *), void *userdata,
                   uint32_t *ret_next, uint32_t *ret_total)
{
    JSContext *cx = e->cx;
    Debugging debugging(e);
    if (!debugging.ok())
        return -ENOMEM;
    JS::RootedObject object(cx, debugger_ref(e, ref)), referent(cx);
    bool scope = false, ok = false;
    if (!object)
        return -ENOENT;
    if (!JS::IsArrayObject(cx, object, &scope))
        return -ENOMEM;
    Parts parts;
    if (scope) {
        ok = scope_parts(e, object, &parts);
    } else if ((referent = debugger_referent(cx, object))) {
        JSAutoRealm realm(cx, e->prelude_global);
        ok = object_parts(e, referent, &parts);
    }
    if (!ok)
        return -ENOMEM;

    Page page(e, run_getters, each, userdata);
    uint32_t total = total_of(parts), at = 0, given = 0;
    for (const auto &part : parts) {
        uint32_t count = part->count();
        for (uint32_t i = first > at ? first - at : 0; i < count && given < max; i++, given++) {
            if (int r = page.give(part.get(), i))
                return r;
        }
        at += count;
    }
    *ret_total = total;
    *ret_next = first < total && given < total - first ? first + given : 0;
    return 0;
}

} // namespace mozjs
