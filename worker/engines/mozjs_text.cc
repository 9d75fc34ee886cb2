/* mozjs_text.cc: strings in both directions, and errors as text. */

#include "mozjs_internal.h"

#include <js/CharacterEncoding.h>
#include <js/Conversions.h>
#include <js/PropertyDescriptor.h>
#include <js/String.h>
#include <mozilla/Utf8.h>

#include <string.h>

namespace mozjs
{

bool to_utf8(JSContext *cx, JS::HandleString string, Text *ret_text)
{
    JSLinearString *linear = JS_EnsureLinearString(cx, string);
    if (!linear)
        return false;
    size_t length = JS::GetDeflatedUTF8StringLength(linear);
    char *chars = static_cast<char *>(JS_malloc(cx, length + 1));
    if (!chars)
        return false;
    ret_text->chars.reset(chars);
    ret_text->length = JS::DeflateStringToUTF8Buffer(linear, mozilla::Span(chars, length));
    chars[ret_text->length] = '\0';
    return true;
}

bool copy_text(JSContext *cx, const std::string &string, Text *ret_text)
{
    char *chars = static_cast<char *>(JS_malloc(cx, string.size() + 1));
    if (!chars)
        return false;
    memcpy(chars, string.c_str(), string.size() + 1);
    ret_text->chars.reset(chars);
    ret_text->length = string.size();
    return true;
}

void restore_file_name(std::string *name)
{
    std::string bytes;
    for (size_t i = 0; i < name->size(); i++) {
        unsigned char c = static_cast<unsigned char>((*name)[i]);
        if (c < 0x80) {
            bytes += static_cast<char>(c);
            continue;
        }
        /* U+0080 to U+00FF, in two bytes. Any other is no byte, and the name as it should be. */
        if ((c != 0xC2 && c != 0xC3) || ++i == name->size())
            return;
        bytes += static_cast<char>((c & 3) << 6 | ((*name)[i] & 0x3f));
    }
    const char *at = bytes.data(), *end = at + bytes.size();
    while (at != end) {
        mozilla::Utf8Unit lead(*at++);
        if (!mozilla::IsAscii(lead) && mozilla::DecodeOneUtf8CodePoint(lead, &at, end).isNothing())
            return;
    }
    *name = std::move(bytes);
}

JSString *from_utf8(JSContext *cx, const char *text, size_t length)
{
    size_t units = 0;
    JS::TwoByteCharsZ chars = JS::LossyUTF8CharsToNewTwoByteCharsZ(cx, JS::UTF8Chars(text, length),
                                                                   &units, js::StringBufferArena);
    if (!chars)
        return nullptr;
    JS::UniqueTwoByteChars owned(chars.get());
    return JS_NewUCString(cx, std::move(owned), units);
}

namespace
{

const JSErrorFormatString *own_error(void *, const unsigned type)
{
    static const JSErrorFormatString PLAIN = {"STILLPOINT_ERROR", "{0}", 1, JSEXN_ERR};
    static const JSErrorFormatString TYPE = {"STILLPOINT_TYPE_ERROR", "{0}", 1, JSEXN_TYPEERR};
    return type == JSEXN_TYPEERR ? &TYPE : &PLAIN;
}

std::string one_line(std::string text)
{
    for (char &c : text) {
        if (c == '\n' || c == '\r')
            c = ' ';
    }
    while (!text.empty() && text.back() == ' ')
        text.pop_back();
    return text;
}

/** A string that `object` or a prototype holds as plain data, without running guest code. */
bool find_string(JSContext *cx, JS::HandleObject object, const char *name, std::string *ret_text)
{
    constexpr int MOST_PROTOTYPES = 100;
    JS::RootedObject holder(cx, object);
    JS::Rooted<mozilla::Maybe<JS::PropertyDescriptor>> descriptor(cx);
    for (int i = 0; holder && i < MOST_PROTOTYPES && !js::IsProxy(holder); i++) {
        if (!JS_GetOwnPropertyDescriptor(cx, holder, name, &descriptor))
            return false;
        if (descriptor.isSome()) {
            if (!descriptor->hasValue() || !descriptor->value().isString())
                return false;
            JS::RootedString string(cx, descriptor->value().toString());
            Text text;
            if (!to_utf8(cx, string, &text))
                return false;
            ret_text->assign(text.chars.get(), text.length);
            return true;
        }
        if (!JS_GetPrototype(cx, holder, &holder))
            return false;
    }
    return false;
}

/** Error.prototype.toString as far as it goes without running guest code. */
std::string describe_error_object(JSContext *cx, JS::HandleObject object,
                                  const JSErrorReport *report)
{
    std::string name, message;
    if (!find_string(cx, object, "name", &name))
        name = "Error";
    if (!find_string(cx, object, "message", &message) && report->message())
        message = report->message().c_str();
    return name.empty() || message.empty() ? name + message : name + ": " + message;
}

std::string describe(JSContext *cx, JS::HandleValue value, bool with_place)
{
    JS::AutoSaveExceptionState saved(cx);

    if (value.isObject()) {
        JS::RootedObject object(cx, &value.toObject());
        const JSErrorReport *report = JS_ErrorFromException(cx, object);
        if (!report)
            return JS::IsCallable(object) ? "a function was thrown" : "an object was thrown";
        std::string place = with_place ? place_of_error(cx, value) : "";
        return one_line((place.empty() ? "" : place + ": ") +
                        describe_error_object(cx, object, report));
    }
    if (value.isSymbol())
        return "a symbol was thrown";

    JS::RootedString string(cx, JS::ToString(cx, value));
    Text text;
    if (!string || !to_utf8(cx, string, &text))
        return "out of memory";
    return one_line(std::string(text.chars.get(), text.length));
}

} // namespace

bool throw_type_error(JSContext *cx, const std::string &message)
{
    JS_ReportErrorNumberUTF8(cx, own_error, nullptr, JSEXN_TYPEERR, message.c_str());
    return false;
}

bool throw_error(JSContext *cx, const std::string &message)
{
    JS_ReportErrorNumberUTF8(cx, own_error, nullptr, JSEXN_ERR, message.c_str());
    return false;
}

std::string describe_error(JSContext *cx, JS::HandleValue value)
{
    return describe(cx, value, false);
}

std::string describe_error_with_place(JSContext *cx, JS::HandleValue value)
{
    return describe(cx, value, true);
}

std::string place_of_error(JSContext *cx, JS::HandleValue value)
{
    if (!value.isObject())
        return "";
    JS::RootedObject object(cx, &value.toObject());
    const JSErrorReport *report = JS_ErrorFromException(cx, object);
    if (!report || !report->filename || *report->filename == '\0' || report->lineno == 0)
        return "";
    std::string file(report->filename);
    restore_file_name(&file);
    return file + ":" + std::to_string(report->lineno) + ":" +
           std::to_string(compat::shown_column(report));
}

bool is_syntax_error(JSContext *cx, JS::HandleValue value)
{
    if (!value.isObject())
        return false;
    JS::RootedObject object(cx, &value.toObject());
    const JSErrorReport *report = JS_ErrorFromException(cx, object);
    return report && report->exnType == JSEXN_SYNTAXERR;
}

void take_exception(JSContext *cx, JS::MutableHandleValue ret_value)
{
    ret_value.setUndefined();
    if (!JS_IsExceptionPending(cx))
        return;
    if (!JS_GetPendingException(cx, ret_value))
        ret_value.setUndefined();
    JS_ClearPendingException(cx);
}

JSFunction *define_function(JSContext *cx, JS::HandleObject object, const char *name,
                            JSNative native, unsigned arity, unsigned attributes,
                            JS::HandleValue remembered)
{
    JSFunction *function =
        js::DefineFunctionWithReserved(cx, object, name, native, arity, attributes);
    if (function)
        js::SetFunctionNativeReserved(JS_GetFunctionObject(function), 0, remembered);
    return function;
}

} // namespace mozjs
