/*
 * mozjs_debugger.h: what auditing (mozjs_audit.cc) and looking (mozjs_look.cc) share: the engine's
 * Debugger objects, the guest's realms, and values as they may be shown.
 *
 * Debugger objects live in a realm of their own, in a compartment that no guest object belongs to
 * and that is made when the first is needed. There is one for each realm that somebody audits, so
 * that what is observed in one slows no other, and one, the "stop's", that has all realms of the
 * guest while the VM stands and somebody looks. They have no native interface: all of them is
 * properties and methods. What they hand out (frames, scripts, sources, environments, objects) is
 * called by the engine's names for it: a Debugger.Frame, and so on.
 *
 * Lifetime. A Debugger keeps none of its debuggees alive, and neither does this: realms, scripts
 * and frames are in tables of weak pointers, which a collection clears. Only refs are strong.
 */
#pragma once

#include "mozjs_internal.h"

#include "../engine_debug.h"

#include <mozilla/Maybe.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace mozjs
{

/* What the wire takes of a preview, of a string's text beside it, and of refs. */
constexpr size_t PREVIEW_BYTES = 256;
constexpr size_t STRING_BYTES = 4096;
constexpr size_t MOST_REFS = 65536;

/** Why a realm is a debuggee of its own Debugger. */
enum Need : unsigned {
    NEED_AUDITOR = 1, /**< there are auditors at it, its scripts or its frames */
    NEED_STOP = 2,    /**< until `resume` */
    NEED_WASM = 4,    /**< the VM was started with --debug: what it compiles must be observable */
    NEED_ANSWER = 8,  /**< while an expression is evaluated in its global */
    NEED_HIT = 16,    /**< while a hit in it is reported: its frame has to stay one */
};

/** A global of the guest: the main one, or what createRealm() returned. */
struct Realm {
    explicit Realm(JSContext *cx) : debugger(cx), on_pop(cx), on_step(cx) {}

    uint64_t id = 0;
    std::string label;
    JS::Heap<JSObject *> global; /**< weak */
    unsigned needs = 0;
    JS::PersistentRootedObject debugger; /**< NULL until it is needed */

    /* mozjs_audit.cc */
    unsigned kinds = 0;                         /**< bits: kinds that are observed at the realm */
    size_t auditors = 0;                        /**< at it, its scripts and its frames */
    JS::PersistentRootedObject on_pop, on_step; /**< NULL until needed */
};

/** Names of properties that are read in every hit. */
struct DebuggerKeys {
    explicit DebuggerKeys(JSContext *cx);

    JS::PropertyKey id, script, offset, environment, arguments, length, find, get_variable, eval,
        execute_in_global, call, eval_with_bindings, return_value, throw_value;
};

/** Where an offset is, from 1. */
struct OffsetPlace {
    uint32_t line = 0, column = 0;
    bool statement_start = false;
};

struct Script;

/** What its handler knows, so that a hit need not ask where it is. */
struct Breakpoint {
    explicit Breakpoint(JSContext *cx) : handler(cx) {}

    Script *script = nullptr;
    uint64_t offset = 0;
    const OffsetPlace *place = nullptr; /**< the script's */
    JS::PersistentRootedObject handler; /**< holds nothing of the guest's */
};

/** A script that an id was given to; lives as long as the script. */
struct Script {
    uint64_t id = 0, realm = 0;
    JS::Heap<JSObject *> object; /**< weak: Debugger.Script of its realm's Debugger */
    std::string url, function;
    bool wasm = false;
    std::unordered_map<uint64_t, OffsetPlace> places; /**< of offsets that were asked for */
    std::map<uint64_t, std::unique_ptr<Breakpoint>> breakpoints; /**< by offset */
    std::vector<uint64_t> left_over; /**< of WebAssembly, see disarm(): where breakpoints were */
};

/** A frame that has an auditor, until it is popped for good. */
struct Frame {
    uint64_t id = 0, realm = 0;
    JS::Heap<JSObject *> object; /**< weak: Debugger.Frame of its realm's Debugger */
    bool pop = false, step = false;
    uint64_t last_offset = UINT64_MAX; /**< of the operation that it was last seen at */
};

/** What a name means at an offset of a script, as far as that is the same whenever a frame is
 * there.
 */
struct KnownVariable {
    uint64_t script = 0, offset = 0; /**< 0: none is known */
    std::string name;
    int parameter = -1; /**< index of an argument; -1: it is none */
    bool fixed = false; /**< it is in one scope as long as a frame lives */
    /** Weak: a frame, and its Debugger.Environment that has it, if that is fixed. */
    JS::Heap<JSObject *> frame, holder;
    JS::Heap<JSObject *> arguments_of, arguments; /**< weak: a frame, and what it was called with */
    JS::PersistentRootedString atom;              /**< the name, once it is known */

    void forget()
    {
        script = offset = 0;
        name.clear();
        parameter = -1;
        fixed = false;
        frame = holder = arguments_of = arguments = nullptr;
        atom.reset();
    }
};

/** mozjs_source.cc: the text that was asked for last, for its next page. */
struct SourceText {
    uint64_t source = 0; /**< 0: none */
    std::string text;
};

struct SourceSize {
    uint64_t bytes;
    uint32_t lines;
};

/** The hit that is being reported. */
struct HitState {
    explicit HitState(JSContext *cx) : frame(cx), value(cx) {}

    bool reporting = false;
    bool has_value = false;
    bool wasm = false; /**< the frame is WebAssembly's */
    uint64_t realm = 0, frame_id = 0, script = 0, offset = 0;
    JS::PersistentRootedObject frame; /**< innermost of the stack; NULL: there is none */
    JS::PersistentRootedValue value;  /**< a debuggee value */
};

struct Debug {
    explicit Debug(engine *e);
    ~Debug();
    Debug(const Debug &) = delete;
    Debug &operator=(const Debug &) = delete;

    engine *const e;
    const DebuggerKeys keys;
    /** Hooks report nothing while this is not 0: what runs is a debugger's own doing. */
    unsigned suppressed = 0;
    /** Evaluations under way: safe_point ends them, not the VM, and nothing may block. */
    unsigned evaluations = 0;

    JS::PersistentRootedObject global; /**< where Debugger objects live; NULL until needed */
    JS::PersistentRootedObject stop;   /**< the stop's Debugger; NULL until needed */
    JS::PersistentRootedObject unseen; /**< options of an evaluation; NULL until needed */
    std::string last_code;             /**< that was evaluated, and the same for the engine */
    JS::PersistentRootedString last_string;
    bool stop_attached = false; /**< it has all realms */
    /**
     * In this stop the stop's Debugger was asked for frames, which are slow from then on: only when
     * the last Debugger leaves a realm does the engine let go of them, and throws away all compiled
     * code with them. Where no frame was looked at, the Debugger stays, idle, and costs nothing.
     */
    bool frames_seen = false;
    bool observe_wasm = false; /**< the VM was started with --debug */

    std::map<uint64_t, std::unique_ptr<Realm>> realms; /**< by id; those that live */
    uint64_t last_realm = 0, last_source = 0;

    /* mozjs_audit.cc */
    std::unordered_map<uint64_t, std::unique_ptr<Script>> scripts;
    std::unordered_map<uint64_t, std::unique_ptr<Frame>> frames;
    uint64_t last_script = 0, last_frame = 0;
    bool watch_realms = false, audit_new_global = false;
    std::vector<std::pair<engine_referent, uint64_t>> gone; /**< to be told */
    bool something_died = false;  /**< a collection cleared weak pointers */
    bool terminated = false;      /**< a debugger has ended what runs, which nothing can catch */
    bool calls_lost = false;      /**< likewise; calls may wait for what that would have done */
    uint32_t terminate_soon = 0;  /**< likewise at the next safe point: bits of terminate_level() */
    bool after_interrupt = false; /**< the engine may repeat the step that a frame was last at */
    HitState hit;
    JS::Heap<JSObject *> last_seen; /**< weak: the Debugger.Frame whose id was asked for last */
    uint64_t last_seen_id = 0;
    JS::Heap<JSObject *> last_thrown; /**< weak: the Debugger.Object that an unwind told of last */
    std::array<KnownVariable, 64> known;    /**< by a hash */
    JS::PersistentRootedValue get_variable; /**< the method of environments; undefined until needed
                                             */
    std::string condition_error;
    std::unordered_map<std::string, JS::PersistentRootedString> names; /**< texts as atoms */

    bool ran_out_of_memory = false; /**< since an evaluation began */

    bool code_is_stale = false;  /**< see debugger_renew_code() */
    uint64_t renew_after_ns = 0; /**< not earlier, by the host's clock */

    /* mozjs_source.cc */
    SourceText text;
    std::unordered_map<uint64_t, SourceSize> source_sizes;

    JS::PersistentRootedObjectVector refs; /**< Debugger.Object or Debugger.Environment */
    uint64_t first_ref = 1;                /**< number of refs[0] */
};

/** What runs: the innermost evaluation, or (1) the program. Very deep ones share a bit. */
inline uint32_t terminate_level(const engine *e)
{
    return 1u << std::min(e->debug->evaluations, 31u);
}

/* mozjs_debugger.cc */

/**
 * The VM thread is in the realm of the Debugger objects, which it makes at the first use. Leaves no
 * exception, and no out-of-memory that is the guest's. Everything below that takes a Debugger
 * object or a debuggee value is to be called inside of one.
 */
class Debugging
{
  public:
    explicit Debugging(engine *e);
    ~Debugging();
    Debugging(const Debugging &) = delete;
    Debugging &operator=(const Debugging &) = delete;

    /** False: there was no memory for it. */
    bool ok() const { return entered; }

  private:
    engine *e;
    mozilla::Maybe<JS::AutoSaveExceptionState> exception; /**< none: there was no exception */
    mozilla::Maybe<JSAutoRealm> realm;                    /**< none: it was in it already */
    bool oom_seen;
    bool entered = false;
};

/** Guest code that a debugger makes run. */
class Evaluation
{
  public:
    Evaluation(engine *e, bool audited);
    ~Evaluation();
    Evaluation(const Evaluation &) = delete;
    Evaluation &operator=(const Evaluation &) = delete;

  private:
    engine *e;
    bool audited, at_safe_point;
    const char *host_call;
};

/* Realms */

/** Gives a new global an id; reports it if that is wanted. False with an exception. */
bool debugger_add_realm(engine *e, JS::HandleObject global, const std::string &label);
/** NULL: there is none, or none any more. 0: the main one. */
Realm *debugger_realm(engine *e, uint64_t id);
/** Of a global, or anything else of a realm's that is no proxy; NULL if it is not the guest's. */
Realm *debugger_realm_of(engine *e, JSObject *object);
/** Makes the realm a debuggee of its own Debugger for that reason too, or no longer. */
bool debugger_attach(engine *e, Realm *realm, Need need);
void debugger_detach(engine *e, Realm *realm, Need need);

/** The stop's Debugger, with all realms of the guest; NULL with an exception. */
JSObject *debugger_of_stop(engine *e);
/**
 * Debugger.Frame of a frame of the stack by its index in engine_ops.stack, of the stop's Debugger
 * or of the realm's that hit. 0, -ENOENT, -EOPNOTSUPP (a host's function, or WebAssembly that was
 * not compiled to be inspected), -ENOMEM.
 */
int debugger_frame_at(engine *e, uint32_t index, JS::MutableHandleObject ret_frame);
/**
 * Calls `visit(index, frame)` for each frame of the stack from the innermost on, with NULL where
 * debugger_frame_at() would say -EOPNOTSUPP, until it returns false. Frames are those of the stop's
 * Debugger. 0, -ENOMEM.
 */
int debugger_walk(engine *e, size_t most,
                  const std::function<bool(uint32_t index, JS::HandleObject frame)> &visit);
/** The realm of a Debugger.Frame; NULL, maybe with an exception, if that is not the guest's. */
Realm *debugger_realm_of_frame(engine *e, JS::HandleObject frame);
/** Lets go of what a stop alone needed. */
void debugger_resume(engine *e);

/* Debugger objects */

/** False with an exception, as the engine does it. */
bool debugger_get(JSContext *cx, JS::HandleObject object, const char *name,
                  JS::MutableHandleValue ret_value);
/** NULL if it is no object. */
bool debugger_get_object(JSContext *cx, JS::HandleObject object, const char *name,
                         JS::MutableHandleObject ret_object);
/** 0 if it is no number. */
bool debugger_get_number(JSContext *cx, JS::HandleObject object, const char *name,
                         double *ret_number);
/** Empty if it is no string. */
bool debugger_get_text(JSContext *cx, JS::HandleObject object, const char *name,
                       std::string *ret_text);
bool debugger_call(JSContext *cx, JS::HandleObject object, const char *name,
                   const JS::HandleValueArray &arguments, JS::MutableHandleValue ret_value);
bool debugger_get_by_key(JSContext *cx, JS::HandleObject object, JS::PropertyKey name,
                         JS::MutableHandleValue ret_value);
bool debugger_call_by_key(JSContext *cx, JS::HandleObject object, JS::PropertyKey name,
                          const JS::HandleValueArray &arguments, JS::MutableHandleValue ret_value);

/** Where a frame stands. */
struct FramePlace {
    std::string function, url;
    uint32_t line = 0, column = 0;
    uint64_t offset = 0; /**< in the script, as breakpoints have it; WebAssembly: in the module */
    bool wasm = false;

    engine_place place() const { return {url.c_str(), line, column, wasm ? offset : 0}; }
};
bool debugger_frame_place(engine *e, JS::HandleObject frame, FramePlace *ret);
/** Line and column of an offset, from 1; false if it has none. */
bool debugger_offset_place(engine *e, JS::HandleObject script, uint64_t offset, bool wasm,
                           uint32_t *ret_line, uint32_t *ret_column, bool *ret_statement_start);
/** The url of a Debugger.Source, as stacks show it. */
bool debugger_source_url(engine *e, JS::HandleObject source, std::string *ret_url);
/** The name of the innermost frame, of WebAssembly. */
bool debugger_wasm_function(engine *e, std::string *ret_name);
bool debugger_script_is_wasm(JSContext *cx, JS::HandleObject script, bool *ret_wasm);
/** An id that a Debugger object bears as a property; 0: it has none. */
uint64_t debugger_id(engine *e, JS::HandleObject object);
bool debugger_set_id(engine *e, JS::HandleObject object, uint64_t id);
/** Id of a Debugger.Source of the stop's Debugger; given at the first question. 0: no memory. */
uint64_t debugger_source_id(engine *e, JS::HandleObject source);
/** True where a source's url is what a client means: exactly, its end after "/", or a glob. */
bool debugger_url_matches(const std::string &url, const char *wanted);

enum class Completion { RETURNED, THREW, TERMINATED, FAILED };
/**
 * Evaluates in a frame, or (NULL) in the global of a realm, which must be a debuggee of its own
 * Debugger. *ret_value is a debuggee value. FAILED: no memory, or the frame is no more.
 */
Completion debugger_evaluate(engine *e, JS::HandleObject frame, Realm *realm,
                             const char *expression, bool audited,
                             JS::MutableHandleValue ret_value);

/**
 * Calls a method of a Debugger.Frame or Debugger.Object that runs guest code, in a hook too: there
 * the engine lets none be called directly.
 */
Completion debugger_run(engine *e, JS::HandleObject object, const JS::PropertyKey &method,
                        const JS::HandleValueArray &arguments, bool audited,
                        JS::MutableHandleValue ret_value);

/* Refs */

/** Number of a Debugger.Object or Debugger.Environment until `resume`; 0: there are too many. */
uint64_t debugger_add_ref(engine *e, JS::HandleObject object);
/** NULL: no such ref. */
JSObject *debugger_ref(engine *e, uint64_t ref);

/** The guest's own object behind a Debugger.Object, in its own realm. */
JSObject *debugger_referent(JSContext *cx, JS::HandleObject object);

/* mozjs_preview.cc */

/**
 * Has the engine forget what it compiled and what it learnt for that, if functions were observed
 * since (code_is_stale). It compiles them anew, but by what it learnt of them while they were slow,
 * and that stays up to 1.7 times as slow for good. To be called while no guest code is on the
 * stack: of functions that are, nothing is forgotten. Costs a collection, and at most one part in
 * RENEWAL_SHARE of the time, however often auditors come and go.
 */
void debugger_renew_code(engine *e);

/** A value as it may be shown; owns the texts. */
class Shown
{
  public:
    const engine_value *value();

    enum engine_value_type type = ENGINE_VALUE_UNAVAILABLE;
    std::string preview, class_name, text;
    bool truncated = false;
    uint64_t ref = 0;
    double number = 0;

  private:
    engine_value shown = {};
};
/**
 * Of a debuggee value, with the objects by which the Debugger says that there is none. Runs no
 * guest code. False: no memory.
 */
bool debugger_show(engine *e, JS::HandleValue value, bool with_ref, Shown *ret);
/** The same without preview, class name and ref: what it takes to compare it. */
bool debugger_read(engine *e, JS::HandleValue value, Shown *ret);

/* mozjs_audit.cc */

/** Tells of realms, scripts and frames that are gone. Called where the host may be called and no
 * collection is under way. */
void audit_tell_gone(engine *e);
/** Weak pointers of its tables; called inside a collection. */
void audit_update_weak(Debug *debug, JSTracer *trc);
/** Reports a new realm where that is wanted. False: the VM is ending. */
bool audit_realm_added(engine *e, Realm *realm);
/** What keeps track of frames and scripts of a realm, which is no longer a debuggee. */
void audit_realm_detached(engine *e, Realm *realm);

extern const engine_debug_ops DEBUG_OPS;

/* The rows of DEBUG_OPS; see engine_debug.h */

int audit_watch_realms(engine *e, bool on);
int audit_realms(engine *e, void (*each)(void *userdata, uint64_t realm, const char *label),
                 void *userdata);
int audit_set(engine *e, enum engine_audit_kind kind, uint64_t referent, uint64_t offset, bool on);
int audit_frame_id(engine *e, uint32_t frame, uint64_t *ret_frame, uint64_t *ret_realm);
int audit_frame_index(engine *e, uint64_t frame, uint32_t *ret_index);
int audit_positions(engine *e, uint64_t source, const char *url, uint32_t line, uint32_t line_to,
                    uint32_t column, uint64_t offset, bool all,
                    void (*each)(void *userdata, uint64_t realm, uint64_t script,
                                 uint64_t script_offset, const struct engine_place *place,
                                 const char *function),
                    void *userdata);
int audit_arguments(engine *e, uint32_t frame,
                    void (*each)(void *userdata, const struct engine_named_value *v),
                    void *userdata);
int audit_variable(engine *e, uint32_t frame, const char *name, bool with_preview,
                   void (*each)(void *userdata, const struct engine_value *value), void *userdata);
int audit_hit_value(engine *e, bool with_ref,
                    void (*each)(void *userdata, const struct engine_value *value), void *userdata);
int audit_condition(engine *e, const char *expression, bool *ret_true, const char **ret_error);
int audit_check_expression(engine *e, const char *expression, const char **ret_error);

/* mozjs_look.cc, mozjs_value.cc, mozjs_source.cc: rows likewise */

int look_frames(engine *e, uint32_t first, uint32_t max,
                void (*each)(void *userdata, const struct engine_frame *frame), void *userdata,
                uint32_t *ret_next);
int look_scopes(engine *e, uint32_t frame,
                void (*each)(void *userdata, const struct engine_scope *scope), void *userdata);
int look_variables(engine *e, uint64_t ref, uint32_t first, uint32_t max, bool run_getters,
                   void (*each)(void *userdata, const struct engine_named_value *v), void *userdata,
                   uint32_t *ret_next, uint32_t *ret_total);
int look_evaluate(engine *e, uint32_t frame, uint64_t realm, const char *expression, bool audited,
                  bool with_ref,
                  void (*each)(void *userdata, bool threw, const struct engine_value *value,
                               const char *json),
                  void *userdata);
int look_assign(engine *e, uint32_t frame, const char *name, const char *expression,
                void (*each)(void *userdata, bool threw, const struct engine_value *value,
                             const char *json),
                void *userdata, const char **ret_why);
int look_sources(engine *e, uint32_t first, uint32_t max,
                 void (*each)(void *userdata, const struct engine_source *source), void *userdata,
                 uint32_t *ret_next);
int look_source_text(engine *e, uint64_t source, const char *url, uint64_t first_byte,
                     uint32_t max_bytes,
                     void (*each)(void *userdata, const struct engine_source *source,
                                  const void *bytes, size_t len),
                     void *userdata);
int look_memory(engine *e, uint32_t frame, uint32_t memory, uint64_t address, void *read,
                const void *write, size_t len, uint64_t *ret_memory_bytes);
void look_resume(engine *e);

} // namespace mozjs
