/*
 * mozjs_look.h: what the files share that look at a VM which stands: mozjs_look.cc (frames, scopes,
 * evaluations, memory), mozjs_value.cc (what scopes and objects have), mozjs_source.cc.
 *
 * A value is *raw* as the guest has it, in the guest's compartment, or a *debuggee value*, as the
 * Debugger hands it out. What looks into objects works on raw ones, in the realm of the prelude, so
 * that nothing the guest has redefined is in the way. All functions are to be called inside of a
 * `Debugging`; those that return bool return false with an exception.
 */
#pragma once

#include "mozjs_debugger.h"

namespace mozjs
{

/* mozjs_value.cc */

/**
 * A scope that has a ref: an array of the Debugger.Frame whose `this` it shows, or null, and of the
 * environments that it is made of. Counts its variables.
 */
bool look_count(engine *e, JS::HandleObject scope, uint32_t *ret_variables);
/** Whether an array of names, as environments give it, has this one. */
bool look_has_name(JSContext *cx, JS::HandleValue names, JS::HandleString name, bool *ret_found);
/** Of a variable of a declarative environment: whether it has a value, and may be given another. */
bool look_binding_state(engine *e, JS::HandleObject environment, JS::HandleString name,
                        bool *ret_available, bool *ret_writable);
bool look_wrap(engine *e, JS::HandleValue raw, JS::MutableHandleValue ret_value);
/** In the compartment of the guest. */
bool look_unwrap(engine *e, JS::HandleValue value, JS::MutableHandleValue ret_raw);
/** JSON of a debuggee value that is plain data; false, without an exception, of any other. */
bool look_json(engine *e, JS::HandleValue value, std::string *ret_json);

/* mozjs_source.cc */

/** Lets go of a text that is kept for the next page of it. */
void look_forget_texts(engine *e);

} // namespace mozjs
