/*
 * mozjs_preview.cc: values in one line. What is read of an object is what it has as plain data: no
 * getter, no handler of a proxy, no toString of the guest's runs here.
 */

#include "mozjs_debugger.h"

#include <js/ArrayBuffer.h>
#include <js/BigInt.h>
#include <js/Conversions.h>
#include <js/Date.h>
#include <js/GlobalObject.h>
#include <js/Id.h>
#include <js/Object.h>
#include <js/PropertyDescriptor.h>
#include <js/RegExp.h>
#include <js/RegExpFlags.h>
#include <js/SharedArrayBuffer.h>
#include <js/String.h>
#include <js/Symbol.h>
#include <js/Wrapper.h>
#include <js/experimental/TypedData.h>

#include <math.h>
#include <string.h>

namespace mozjs
{

namespace
{

constexpr int MOST_PROTOTYPES = 100;
constexpr uint32_t MOST_ITEMS = 100; /**< more of them fill no preview */

/** Ends at a bound, on a whole character, with an ellipsis. */
void cut(std::string *text, size_t bound, bool *ret_truncated)
{
    static const char ELLIPSIS[] = "…";
    if (text->size() <= bound)
        return;
    size_t end = bound - strlen(ELLIPSIS);
    while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xc0) == 0x80)
        end--;
    text->resize(end);
    *text += ELLIPSIS;
    *ret_truncated = true;
}

/** The start of a string, as much as `units` of it. */
bool text_of(JSContext *cx, JS::HandleString string, size_t units, std::string *ret_text,
             bool *ret_truncated)
{
    JS::RootedString start(cx, string);
    if (JS_GetStringLength(start) > units) {
        *ret_truncated = true;
        start = JS_NewDependentString(cx, string, 0, units);
    }
    Text text;
    if (!start || !to_utf8(cx, start, &text))
        return false;
    ret_text->assign(text.chars.get(), text.length);
    return true;
}

/** As the console quotes it: by the quote that it has not. */
std::string quoted(const std::string &text)
{
    char quote = '\'';
    for (char other : {'\'', '"', '`'}) {
        if (text.find(other) == std::string::npos) {
            quote = other;
            break;
        }
    }
    std::string out(1, quote);
    for (char c : text) {
        char escape[8];
        unsigned char u = static_cast<unsigned char>(c);
        if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (c == '\r')
            out += "\\r";
        else if (u < 0x20 || u == 0x7f)
            out.append(escape, snprintf(escape, sizeof(escape), "\\x%02X", u));
        else if (c == quote || c == '\\')
            out += std::string("\\") + c;
        else
            out += c;
    }
    return out + quote;
}

class Previewer
{
  public:
    explicit Previewer(JSContext *cx) : cx(cx) {}

    bool truncated = false;

    bool value(JS::HandleValue value, bool nested, std::string *out)
    {
        if (value.isObject()) {
            JS::RootedObject object(cx, js::UncheckedUnwrap(&value.toObject()));
            JSAutoRealm realm(cx, object);
            return this->object(object, nested, out);
        }
        if (value.isString()) {
            JS::RootedString string(cx, value.toString());
            std::string text;
            bool ok = text_of(cx, string, PREVIEW_BYTES, &text, &truncated);
            *out += quoted(text);
            return ok;
        }
        return primitive(value, out);
    }

    /** The name of the class of an object, which is in its realm. */
    bool class_name(JS::HandleObject object, std::string *ret_name)
    {
        if (!js::IsProxy(object) && !constructor_name(object, ret_name))
            return false;
        if (ret_name->empty())
            *ret_name = js::IsProxy(object) && !js::IsScriptedProxy(object)
                            ? "Module"
                            : JS::GetClass(object)->name;
        return true;
    }

  private:
    JSContext *cx;

    bool primitive(JS::HandleValue value, std::string *out)
    {
        char number[JS::MaximumNumberToStringLength];
        if (value.isUndefined()) {
            *out += "undefined";
        } else if (value.isNull()) {
            *out += "null";
        } else if (value.isBoolean()) {
            *out += value.toBoolean() ? "true" : "false";
        } else if (value.isNumber()) {
            bool minus_zero =
                value.isDouble() && value.toDouble() == 0 && signbit(value.toDouble());
            JS::NumberToString(value.toNumber(), number);
            *out += minus_zero ? "-0" : number;
        } else if (value.isBigInt()) {
            return big_int(value, out);
        } else if (value.isSymbol()) {
            return symbol(value.toSymbol(), out);
        }
        return true;
    }

    bool big_int(JS::HandleValue value, std::string *out)
    {
        constexpr size_t MOST_HEX = 200; /* 241 decimal ones: they fit into a preview */
        /* Decimal digits take the square of their number in time, and there may be millions. */
        JS::Rooted<JS::BigInt *> number(cx, value.toBigInt());
        JS::RootedString string(cx, JS::BigIntToString(cx, number, 16));
        std::string text;
        if (string && JS_GetStringLength(string) <= MOST_HEX) {
            string = JS::BigIntToString(cx, number, 10);
            if (!string || !text_of(cx, string, PREVIEW_BYTES, &text, &truncated))
                return false;
            *out += text + "n";
            return true;
        }
        if (!string || !text_of(cx, string, PREVIEW_BYTES, &text, &truncated))
            return false;
        bool negative = text[0] == '-';
        *out += (negative ? "-0x" + text.substr(1) : "0x" + text) + "n";
        return true;
    }

    bool symbol(JS::Symbol *symbol, std::string *out)
    {
        JS::Rooted<JS::Symbol *> rooted(cx, symbol);
        JS::RootedString description(cx, JS::GetSymbolDescription(rooted));
        std::string text;
        if (description && !text_of(cx, description, PREVIEW_BYTES, &text, &truncated))
            return false;
        *out += "Symbol(" + text + ")";
        return true;
    }

    /** Of the nearest prototype that has one as plain data; empty if there is none. */
    bool constructor_name(JS::HandleObject object, std::string *ret_name)
    {
        JS::RootedObject holder(cx, object);
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        ret_name->clear();
        for (int i = 0; holder && i < MOST_PROTOTYPES && !js::IsProxy(holder); i++) {
            if (!JS_GetOwnPropertyDescriptor(cx, holder, "constructor", &descriptor))
                return false;
            if (descriptor.isSome() && descriptor->hasValue() && descriptor->value().isObject()) {
                JS::RootedObject constructor(cx,
                                             js::UncheckedUnwrap(&descriptor->value().toObject()));
                if (js::IsFunctionObject(constructor)) {
                    JS::RootedFunction function(cx, JS_GetObjectFunction(constructor));
                    JS::RootedString id(cx, JS_GetFunctionId(function));
                    bool ignored = false;
                    if (id)
                        return text_of(cx, id, PREVIEW_BYTES / 4, ret_name, &ignored);
                }
            }
            if (!JS_GetPrototype(cx, holder, &holder))
                return false;
        }
        return true;
    }

    bool has_prototype(JS::HandleObject object, bool *ret)
    {
        JS::RootedObject prototype(cx);
        if (!JS_GetPrototype(cx, object, &prototype))
            return false;
        *ret = prototype;
        return true;
    }

    bool function(JS::HandleObject object, std::string *out)
    {
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        std::string text;
        if (!JS_GetOwnPropertyDescriptor(cx, object, "name", &descriptor))
            return false;
        if (descriptor.isSome() && descriptor->hasValue() && descriptor->value().isString()) {
            JS::RootedString name(cx, descriptor->value().toString());
            if (!text_of(cx, name, PREVIEW_BYTES, &text, &truncated))
                return false;
        }
        *out += text.empty() ? "[Function (anonymous)]" : "[Function: " + text + "]";
        return true;
    }

    bool date(JS::HandleObject object, std::string *out)
    {
        double ms = 0;
        if (!js::DateGetMsecSinceEpoch(cx, object, &ms))
            return false;
        char text[64] = "Invalid Date";
        if (!isnan(ms)) {
            /* Days from 1970 to a date of the Gregorian calendar. */
            double days = floor(ms / 86400e3);
            int64_t rest = static_cast<int64_t>(ms - days * 86400e3);
            int64_t z = static_cast<int64_t>(days) + 719468;
            int64_t era = (z >= 0 ? z : z - 146096) / 146097;
            int64_t doe = z - era * 146097;
            int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
            int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
            int64_t mp = (5 * doy + 2) / 153;
            int64_t month = mp < 10 ? mp + 3 : mp - 9;
            int64_t year = yoe + era * 400 + (month <= 2);
            snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                     static_cast<int>(year), static_cast<int>(month),
                     static_cast<int>(doy - (153 * mp + 2) / 5 + 1),
                     static_cast<int>(rest / 3600000), static_cast<int>(rest / 60000 % 60),
                     static_cast<int>(rest / 1000 % 60), static_cast<int>(rest % 1000));
        }
        *out += text;
        return true;
    }

    bool regexp(JS::HandleObject object, std::string *out)
    {
        JS::RootedString source(cx, JS::GetRegExpSource(cx, object));
        std::string text;
        if (!source || !text_of(cx, source, PREVIEW_BYTES, &text, &truncated))
            return false;
        static const struct {
            JS::RegExpFlags::Flag flag;
            char letter;
        } FLAGS[] = {
            {JS::RegExpFlag::HasIndices, 'd'}, {JS::RegExpFlag::Global, 'g'},
            {JS::RegExpFlag::IgnoreCase, 'i'}, {JS::RegExpFlag::Multiline, 'm'},
            {JS::RegExpFlag::DotAll, 's'},     {JS::RegExpFlag::Unicode, 'u'},
            {JS::RegExpFlag::Sticky, 'y'},
        };
        JS::RegExpFlags flags = JS::GetRegExpFlags(cx, object);
        text = "/" + text + "/";
        for (const auto &row : FLAGS) {
            if (flags.value() & row.flag)
                text += row.letter;
        }
        *out += text;
        return true;
    }

    bool promise(JS::HandleObject object, bool nested, std::string *out)
    {
        JS::PromiseState state = JS::GetPromiseState(object);
        if (nested) {
            *out += "Promise {…}";
            return true;
        }
        *out += state == JS::PromiseState::Pending    ? "Promise {<pending>"
                : state == JS::PromiseState::Rejected ? "Promise {<rejected> "
                                                      : "Promise {";
        JS::RootedValue result(cx);
        if (state != JS::PromiseState::Pending) {
            result = JS::GetPromiseResult(object);
            if (!value(result, true, out))
                return false;
        }
        *out += "}";
        return true;
    }

    bool object(JS::HandleObject object, bool nested, std::string *out)
    {
        if (js::IsProxy(object)) {
            *out += js::IsScriptedProxy(object) ? "Proxy {…}" : "[Module]";
            return true;
        }
        js::ESClass kind = js::ESClass::Other;
        std::string name;
        if (!JS::GetBuiltinClass(cx, object, &kind))
            return false;
        switch (kind) {
        case js::ESClass::Function:
            return function(object, out);
        case js::ESClass::RegExp:
            return regexp(object, out);
        case js::ESClass::Date:
            return date(object, out);
        case js::ESClass::Promise:
            return promise(object, nested, out);
        case js::ESClass::Error: {
            JS::RootedValue error(cx, JS::ObjectValue(*object));
            *out += describe_error(cx, error);
            return true;
        }
        default:
            break;
        }
        if (!constructor_name(object, &name))
            return false;
        switch (kind) {
        case js::ESClass::Map:
            return sized(name, "Map", JS::MapSize(cx, object), out);
        case js::ESClass::Set:
            return sized(name, "Set", JS::SetSize(cx, object), out);
        case js::ESClass::Number:
        case js::ESClass::String:
        case js::ESClass::Boolean:
        case js::ESClass::BigInt:
            return boxed(object, out);
        case js::ESClass::Array: {
            uint32_t length = 0;
            return JS::GetArrayLength(cx, object, &length) &&
                   items(object, name.empty() ? "Array" : name, length, nested, out);
        }
        case js::ESClass::ArrayBuffer:
            *out += "ArrayBuffer(" + std::to_string(JS::GetArrayBufferByteLength(object)) + ")";
            return true;
        case js::ESClass::SharedArrayBuffer:
            *out += "SharedArrayBuffer(" +
                    std::to_string(JS::GetSharedArrayBufferByteLength(object)) + ")";
            return true;
        default:
            break;
        }
        if (JS_IsTypedArrayObject(object))
            return items(object, JS::GetClass(object)->name, JS_GetTypedArrayLength(object), nested,
                         out);
        return plain(object, name, nested, out);
    }

    bool sized(const std::string &name, const char *otherwise, uint32_t size, std::string *out)
    {
        *out += (name.empty() ? otherwise : name) + "(" + std::to_string(size) + ")" +
                (size ? " {…}" : " {}");
        return true;
    }

    bool boxed(JS::HandleObject object, std::string *out)
    {
        JS::RootedValue inner(cx, compat::boxed_value(object));
        *out += std::string("[") + JS::GetClass(object)->name + ": ";
        if (!value(inner, true, out))
            return false;
        *out += "]";
        return true;
    }

    /** What an own property holds; [Getter] and the like if it is no data. */
    bool property(JS::HandleObject object, JS::HandleId id, bool *ret_there, std::string *out)
    {
        JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
        if (!JS_GetOwnPropertyDescriptorById(cx, object, id, &descriptor))
            return false;
        *ret_there = descriptor.isSome();
        if (!*ret_there)
            return true;
        if (descriptor->isAccessorDescriptor()) {
            bool getter = descriptor->getter(), setter = descriptor->setter();
            *out += getter && setter ? "[Getter/Setter]" : getter ? "[Getter]" : "[Setter]";
            return true;
        }
        JS::RootedValue inner(cx, descriptor->value());
        return value(inner, true, out);
    }

    bool items(JS::HandleObject object, const std::string &name, size_t length, bool nested,
               std::string *out)
    {
        *out += name + "(" + std::to_string(length) + ")";
        if (nested)
            return true;
        *out += " [";
        JS::RootedId id(cx);
        size_t first_byte = out->size(), empty = 0, i = 0;
        auto separate = [&] { *out += out->size() > first_byte ? ", " : ""; };
        auto tell_empty = [&] {
            if (empty == 0)
                return;
            separate();
            *out += empty == 1 ? "<1 empty item>" : "<" + std::to_string(empty) + " empty items>";
            empty = 0;
        };
        for (; i < length && i < MOST_ITEMS && out->size() < PREVIEW_BYTES; i++) {
            std::string item;
            bool there = false;
            if (!JS_IndexToId(cx, static_cast<uint32_t>(i), &id) ||
                !property(object, id, &there, &item))
                return false;
            if (!there) {
                empty++;
                continue;
            }
            tell_empty();
            separate();
            *out += item;
        }
        tell_empty();
        if (i < length) {
            separate();
            *out += "…";
            truncated = true;
        }
        *out += "]";
        return true;
    }

    bool key(JS::HandleId id, std::string *out)
    {
        if (id.isSymbol()) {
            *out += "[";
            bool ok = symbol(id.toSymbol(), out);
            *out += "]";
            return ok;
        }
        JS::RootedValue value(cx, js::IdToValue(id));
        if (!value.isString())
            return primitive(value, out);
        JS::RootedString string(cx, value.toString());
        std::string text;
        if (!text_of(cx, string, PREVIEW_BYTES, &text, &truncated))
            return false;
        bool plain = !text.empty();
        for (char c : text)
            plain = plain && (isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' ||
                              (static_cast<unsigned char>(c) & 0x80));
        *out += plain ? text : quoted(text);
        return true;
    }

    bool plain(JS::HandleObject object, const std::string &name, bool nested, std::string *out)
    {
        JS::RootedIdVector keys(cx);
        bool prototype = false;
        if (!has_prototype(object, &prototype) ||
            !js::GetPropertyKeys(cx, object, JSITER_OWNONLY | JSITER_SYMBOLS, &keys))
            return false;
        if (!prototype)
            *out += "[Object: null prototype] ";
        else if (name.empty())
            *out += std::string(JS::GetClass(object)->name) + " ";
        else if (name != "Object")
            *out += name + " ";
        if (nested && keys.length() > 0) {
            *out += "{…}";
            return true;
        }
        *out += "{";
        JS::RootedId id(cx);
        for (size_t i = 0; i < keys.length(); i++) {
            bool there = false;
            *out += i == 0 ? "" : ", ";
            if (i == MOST_ITEMS || out->size() >= PREVIEW_BYTES) {
                *out += "…";
                truncated = true;
                break;
            }
            id = keys[i];
            if (!key(id, out))
                return false;
            *out += ": ";
            if (!property(object, id, &there, out))
                return false;
        }
        *out += "}";
        return true;
    }
};

engine_value_type type_of(const JS::Value &value)
{
    return value.isUndefined() ? ENGINE_VALUE_UNDEFINED
           : value.isNull()    ? ENGINE_VALUE_NULL
           : value.isBoolean() ? ENGINE_VALUE_BOOLEAN
           : value.isNumber()  ? ENGINE_VALUE_NUMBER
           : value.isBigInt()  ? ENGINE_VALUE_BIGINT
           : value.isString()  ? ENGINE_VALUE_STRING
           : value.isSymbol()  ? ENGINE_VALUE_SYMBOL
                               : ENGINE_VALUE_UNAVAILABLE;
}

/** {uninitialized: true} and the like, by which the Debugger says that there is no value. */
bool show_missing(JSContext *cx, JS::HandleObject object, Shown *ret)
{
    static const struct {
        const char *property, *preview;
    } REASONS[] = {
        {"uninitialized", "<not initialized yet>"},
        {"optimizedOut", "<optimized out>"},
        {"missingArguments", "<optimized out>"},
    };
    ret->type = ENGINE_VALUE_UNAVAILABLE;
    ret->preview = "<unavailable>";
    for (const auto &row : REASONS) {
        bool has = false;
        if (!JS_HasProperty(cx, object, row.property, &has))
            return false;
        if (has)
            ret->preview = row.preview;
    }
    return true;
}

bool show_object(engine *e, JS::HandleObject object, bool with_ref, Shown *ret)
{
    JSContext *cx = e->cx;
    Previewer previewer(cx);
    JS::RootedObject referent(cx, debugger_referent(cx, object));
    if (!referent)
        return show_missing(cx, object, ret);
    {
        JSAutoRealm realm(cx, referent);
        JS::RootedValue value(cx, JS::ObjectValue(*referent));
        ret->type = JS::IsCallable(referent) ? ENGINE_VALUE_FUNCTION : ENGINE_VALUE_OBJECT;
        if (!previewer.class_name(referent, &ret->class_name) ||
            !previewer.value(value, false, &ret->preview))
            return false;
    }
    ret->truncated = previewer.truncated;
    if (with_ref)
        ret->ref = debugger_add_ref(e, object);
    return true;
}

} // namespace

const engine_value *Shown::value()
{
    shown = {type, preview.c_str(), truncated,   class_name.c_str(),
             ref,  number,          text.data(), text.size()};
    return &shown;
}

bool debugger_read(engine *e, JS::HandleValue value, Shown *ret)
{
    JSContext *cx = e->cx;
    ret->type = type_of(value);
    if (value.isNumber() || value.isBoolean()) {
        ret->number = value.isNumber() ? value.toNumber() : value.toBoolean();
    } else if (value.isString()) {
        JS::RootedString string(cx, value.toString());
        bool ignored = false;
        return text_of(cx, string, STRING_BYTES, &ret->text, &ignored);
    } else if (value.isObject()) {
        JS::RootedObject object(cx, &value.toObject());
        JSObject *referent =
            compat::is_debugger_object(object) ? debugger_referent(cx, object) : nullptr;
        if (referent)
            ret->type = JS::IsCallable(referent) ? ENGINE_VALUE_FUNCTION : ENGINE_VALUE_OBJECT;
    }
    return true;
}

bool debugger_show(engine *e, JS::HandleValue value, bool with_ref, Shown *ret)
{
    JSContext *cx = e->cx;
    *ret = Shown();
    if (value.isObject()) {
        JS::RootedObject object(cx, &value.toObject());
        bool ok = compat::is_debugger_object(object) ? show_object(e, object, with_ref, ret)
                                                     : show_missing(cx, object, ret);
        cut(&ret->preview, PREVIEW_BYTES, &ret->truncated);
        return ok;
    }
    if (!debugger_read(e, value, ret))
        return false;
    Previewer previewer(cx);
    bool ok = previewer.value(value, false, &ret->preview);
    ret->truncated = previewer.truncated;
    cut(&ret->preview, PREVIEW_BYTES, &ret->truncated);
    return ok;
}

} // namespace mozjs
