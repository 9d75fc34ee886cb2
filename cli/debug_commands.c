#include "cli/debug_commands.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/hook.h"
#include "cli/look.h"
#include "cli/parse.h"
#include "cli/show.h"

#define LIST_LINES 10

/* ---- words */

static char *skip_spaces(char *text)
{
    return text + strspn(text, " \t");
}

/* The first word, cut off; *text is at what follows. "" if there is none. */
static char *next_word(char **text)
{
    char *word = skip_spaces(*text), *end = word + strcspn(word, " \t");
    *text = end;
    if (*end) {
        *end = '\0';
        *text = skip_spaces(end + 1);
    }
    return word;
}

static void cut_end(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
}

static int fail(const struct debug *d, const char *what)
{
    return cli_fail(d->cli, CLI_USAGE, "%s", what);
}

/* A count that may be left out. */
static bool take_count(char *args, uint32_t *ret)
{
    uint64_t n;
    *ret = 1;
    if (!*args)
        return true;
    if (!parse_u64(args, &n) || n == 0 || n > UINT32_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

static bool is_there(struct debug *d)
{
    if (d->target.vm && !d->ended)
        return true;
    cli_fail(d->cli, CLI_NO_OBJECT, "do that: there is no VM here (choose one: vm NAME)");
    return false;
}

/* Where the frame is; where there is none, the program's first line. `url` has room for its name.
 * 0 or an exit code. */
static int current_place(struct debug *d, char *url, size_t size, struct stillpoint_location *ret)
{
    struct stillpoint_frames frames;
    int r = stillpoint_vm_frames(d->cli->sp, d->target.id, d->frame, 1, &frames);
    if (r != 0)
        return cli_fail_call(d->cli, r, "look at %s", d->target.vm->name);
    *ret = (struct stillpoint_location){.url = url, .line = 1};
    if (frames.n > 0) {
        ret->line = frames.items[0].line;
        ret->has_offset = frames.items[0].has_offset;
        ret->offset = frames.items[0].offset;
    }
    snprintf(url, size, "%s", frames.n > 0 ? frames.items[0].url : d->target.vm->program);
    stillpoint_frames_free(&frames);
    return 0;
}

/* What stands before " if ", cut off: the names of WebAssembly modules have spaces in them. */
static char *next_place(char **text)
{
    char *place = skip_spaces(*text);
    size_t n = strlen(place);
    for (char *at = strstr(place, " if"); at; at = strstr(at + 1, " if")) {
        if (at[3] != '\0' && !isspace((unsigned char)at[3]))
            continue;
        n = (size_t)(at - place);
        break;
    }
    *text = place[n] ? place + n + 1 : place + n;
    place[n] = '\0';
    cut_end(place);
    return place;
}

/* "FILE:LINE", or "LINE" of the source in which the frame is, which in WebAssembly is an offset, or
 * of the program, where there is none; `url` has room for its name. */
static int take_position(struct debug *d, char *text, char *url, size_t size,
                         struct stillpoint_position *ret)
{
    struct stillpoint_location at = {0};
    uint64_t line;
    if (!parse_address(text, &line)) {
        if (!parse_position(text, ret))
            return fail(d, "understand that place: FILE:LINE, or LINE");
        return 0;
    }
    int code = current_place(d, url, size, &at);
    if (code != 0)
        return code;
    *ret = (struct stillpoint_position){.url = url, .line = (uint32_t)line};
    if (at.has_offset)
        *ret = (struct stillpoint_position){.url = url, .has_offset = true, .offset = line};
    if (!ret->has_offset && (line == 0 || line > UINT32_MAX))
        return fail(d, "understand that place: lines count from 1");
    return 0;
}

/* ---- breakpoints */

static int do_break(struct debug *d, char *args)
{
    static const enum stillpoint_hook_kind breakpoint[] = {STILLPOINT_HOOK_BREAKPOINT};
    struct stillpoint_position at;
    struct stillpoint_interest i = {
        .debugger = d->debugger, .kinds = breakpoint, .n_kinds = 1, .at = &at};
    struct stillpoint_hooks hooks;
    char url[1024];
    char *place = next_place(&args);
    if (!*place)
        return fail(d, "break: where? [FILE:]LINE [if EXPR]");
    if (!is_there(d))
        return CLI_NO_OBJECT;
    if (strncmp(args, "if", 2) == 0 && isspace((unsigned char)args[2]))
        i.filter.condition = skip_spaces(args + 3);
    int code = take_position(d, place, url, sizeof url, &at);
    if (code != 0)
        return code;
    i.vm = d->target.id;
    int r = stillpoint_hook_add(d->cli->sp, &i, &hooks);
    if (r != 0 && at.has_offset)
        return cli_fail_call(d->cli, r, "break at %s:0x%" PRIx64, at.url, at.offset);
    if (r != 0)
        return cli_fail_call(d->cli, r, "break at %s:%" PRIu32, at.url, at.line);
    hook_print_added(d->cli, &hooks);
    stillpoint_hooks_free(&hooks);
    return CLI_OK;
}

static int do_delete(struct debug *d, char *args)
{
    uint64_t hooks[64];
    size_t n = 0;
    while (*args && n < sizeof hooks / sizeof *hooks) {
        char *word = next_word(&args);
        if (!parse_u64(word, &hooks[n]) || hooks[n] == 0)
            return fail(d, "delete: numbers of hooks ('info breakpoints' shows them)");
        n++;
    }
    return hook_remove(d->cli, hooks, n, d->debugger);
}

/* ---- going on */

static int step(struct debug *d, char *args, enum stillpoint_step_how how)
{
    struct stillpoint_step what = {.how = how};
    if (!take_count(args, &what.count))
        return fail(d, "step: how many?");
    return is_there(d) ? debug_step(d, &what) : CLI_NO_OBJECT;
}

static int do_step(struct debug *d, char *args)
{
    return step(d, args, STILLPOINT_STEP_IN);
}

static int do_next(struct debug *d, char *args)
{
    return step(d, args, STILLPOINT_STEP_OVER);
}

static int do_finish(struct debug *d, char *args)
{
    return step(d, args, STILLPOINT_STEP_OUT);
}

static int do_until(struct debug *d, char *args)
{
    struct stillpoint_position to;
    struct stillpoint_step what = {.how = STILLPOINT_STEP_TO, .to = &to};
    char url[1024];
    char *place = skip_spaces(args);
    if (!*place)
        return fail(d, "until: where? [FILE:]LINE");
    if (!is_there(d))
        return CLI_NO_OBJECT;
    int code = take_position(d, place, url, sizeof url, &to);
    return code != 0 ? code : debug_step(d, &what);
}

static int do_continue(struct debug *d, char *args)
{
    (void)args;
    return debug_continue(d, 0, NULL);
}

static int do_return(struct debug *d, char *args)
{
    return is_there(d) ? debug_continue(d, STILLPOINT_ANSWER_RETURN, *args ? args : "undefined")
                       : CLI_NO_OBJECT;
}

static int do_throw(struct debug *d, char *args)
{
    if (!*args)
        return fail(d, "throw: what?");
    return is_there(d) ? debug_continue(d, STILLPOINT_ANSWER_THROW, args) : CLI_NO_OBJECT;
}

static int do_terminate(struct debug *d, char *args)
{
    (void)args;
    return is_there(d) ? debug_continue(d, STILLPOINT_ANSWER_TERMINATE, NULL) : CLI_NO_OBJECT;
}

static int do_stop(struct debug *d, char *args)
{
    (void)args;
    int code = debug_stop(d);
    return code != CLI_OK ? code : debug_show_place(d);
}

/* ---- the stack */

static int do_bt(struct debug *d, char *args)
{
    uint32_t n = UINT32_MAX;
    if (*args && !take_count(args, &n))
        return fail(d, "bt: how many?");
    return is_there(d) ? look_stack(d->cli, &d->target, 0, n) : CLI_NO_OBJECT;
}

static int go_to_frame(struct debug *d, uint32_t frame)
{
    struct stillpoint_frames frames;
    uint32_t before = d->frame;
    d->frame = frame;
    if (!is_there(d))
        return CLI_NO_OBJECT;
    if (!debug_frame(d, &frames)) {
        d->frame = before;
        return cli_fail(d->cli, CLI_NO_OBJECT, "go to frame %" PRIu32 ": there is none", frame);
    }
    stillpoint_frames_free(&frames);
    return debug_show_place(d);
}

static int do_frame(struct debug *d, char *args)
{
    uint64_t n = d->frame;
    if (*args && (!parse_u64(args, &n) || n > UINT32_MAX))
        return fail(d, "frame: which? 0 is the innermost");
    return go_to_frame(d, (uint32_t)n);
}

static int do_up(struct debug *d, char *args)
{
    uint32_t n;
    if (!take_count(args, &n) || n > UINT32_MAX - d->frame)
        return fail(d, "up: how far?");
    return go_to_frame(d, d->frame + n);
}

static int do_down(struct debug *d, char *args)
{
    uint32_t n;
    if (!take_count(args, &n))
        return fail(d, "down: how far?");
    return go_to_frame(d, n < d->frame ? d->frame - n : 0);
}

/* ---- variables */

static int do_locals(struct debug *d, char *args)
{
    (void)args;
    return is_there(d) ? look_locals(d->cli, &d->target, d->frame) : CLI_NO_OBJECT;
}

static int do_inspect(struct debug *d, char *args)
{
    uint64_t ref;
    if (!parse_u64(args, &ref) || ref == 0)
        return fail(d, "inspect: which? the number in brackets after a value");
    return is_there(d) ? look_object(d->cli, &d->target, ref) : CLI_NO_OBJECT;
}

static int do_print(struct debug *d, char *args)
{
    struct stillpoint_evaluation what = {.expression = args, .frame = d->frame};
    if (!*args)
        return fail(d, "print: what?");
    return is_there(d) ? look_evaluate(d->cli, &d->target, &what, d->frame != 0) : CLI_NO_OBJECT;
}

static int do_set(struct debug *d, char *args)
{
    char *name = args, *end = name + strcspn(name, " \t="), *value = skip_spaces(end);
    if (*value != '=' || end == name)
        return fail(d, "set: NAME = EXPR");
    value = skip_spaces(value + 1);
    *end = '\0';
    if (!*value)
        return fail(d, "set: NAME = EXPR");
    return is_there(d) ? look_set(d->cli, &d->target, d->frame, name, value, 0) : CLI_NO_OBJECT;
}

/* ---- sources */

/* Where 'list' starts, and in what; 0 or an exit code. */
static int list_from(struct debug *d, char *args, uint32_t *ret_from)
{
    struct stillpoint_position at = {0};
    struct stillpoint_location here = {0};
    char url[sizeof d->list_url];
    uint64_t line = 0;
    if (*args && !parse_u64(args, &line)) {
        if (parse_position(args, &at) && !at.has_offset)
            line = at.line;
        else
            line = 1;
        snprintf(d->list_url, sizeof d->list_url, "%s", args);
    } else if (*args || d->list_line == 0) {
        int code = current_place(d, url, sizeof url, &here);
        if (code != 0)
            return code;
        if (!*args || d->list_line == 0)
            memcpy(d->list_url, url, sizeof url);
        if (!*args)
            line = here.line;
    } else {
        *ret_from = d->list_line;
        return 0;
    }
    *ret_from = line > LIST_LINES / 2 ? (uint32_t)line - LIST_LINES / 2 : 1;
    return 0;
}

static uint32_t current_line(struct debug *d, const char *url)
{
    struct stillpoint_frames frames;
    uint32_t line = 0;
    if (stillpoint_vm_frames(d->cli->sp, d->target.id, d->frame, 1, &frames) != 0)
        return 0;
    if (frames.n > 0 && strcmp(frames.items[0].url, url) == 0)
        line = frames.items[0].line;
    stillpoint_frames_free(&frames);
    return line;
}

static int do_list(struct debug *d, char *args)
{
    struct show_source source;
    uint32_t from = 1;
    if (!is_there(d))
        return CLI_NO_OBJECT;
    int code = list_from(d, args, &from);
    if (code != 0)
        return code;
    int r = show_source_read(d->cli->sp, d->target.id, d->list_url, &source);
    if (r != 0)
        code = cli_fail_call(d->cli, r, "read %s", d->list_url);
    else if (strcmp(source.head.source.kind, "wasm") == 0)
        code = cli_fail(d->cli, CLI_FAILED, "list %s: it is WebAssembly", d->list_url);
    else if (show_source_lines(d->cli, &source, from, from + LIST_LINES - 1,
                               current_line(d, source.head.source.url)) == 0)
        print_line("%s has no line %" PRIu32, d->list_url, from);
    d->list_line = from + LIST_LINES;
    show_source_done(&source);
    return code;
}

/* ---- what there is */

static int list_vms(struct debug *d)
{
    const struct stillpoint_list query = {.world = d->world};
    struct stillpoint_vms vms;
    int r = stillpoint_vm_list(d->cli->sp, &query, &vms);
    if (r != 0)
        return cli_fail_call(d->cli, r, "list VMs");
    for (size_t i = 0; i < vms.n; i++)
        print_line("%s %4" PRIu64 " %-20s %s%s",
                   d->target.vm && d->target.vm->id == vms.items[i].id ? "=>" : "  ",
                   vms.items[i].id, vms.items[i].name, stillpoint_vm_state_text(vms.items[i].state),
                   vms.items[i].held ? " (held)" : "");
    stillpoint_vms_free(&vms);
    return CLI_OK;
}

static int list_breakpoints(struct debug *d)
{
    const struct stillpoint_hook_query query = {.debugger = d->debugger};
    struct stillpoint_hooks hooks;
    int r = stillpoint_hook_list(d->cli->sp, &query, &hooks);
    if (r != 0)
        return cli_fail_call(d->cli, r, "list breakpoints");
    if (hooks.n == 0)
        print_line("no breakpoint");
    hook_print_list(d->cli, &hooks, 0);
    stillpoint_hooks_free(&hooks);
    return CLI_OK;
}

static int list_sources(struct debug *d)
{
    struct stillpoint_sources page;
    uint32_t first = 0;
    do {
        int r = stillpoint_vm_sources(d->cli->sp, d->target.id, first, 0, &page);
        if (r != 0)
            return cli_fail_call(d->cli, r, "list sources");
        for (size_t i = 0; i < page.n; i++)
            print_line("%-8s %s", page.items[i].kind, page.items[i].url);
        first = page.next > first ? page.next : 0;
        stillpoint_sources_free(&page);
    } while (first != 0);
    return CLI_OK;
}

static int show_world(struct debug *d)
{
    struct stillpoint_worlds worlds;
    int r = stillpoint_world_get(d->cli->sp, d->world, &worlds);
    if (r != 0)
        return cli_fail_call(d->cli, r, "look at world %s", d->world);
    const struct stillpoint_world *w = &worlds.items[0];
    print_line("%s: %s, %" PRIu32 " VMs, controlled by %s", w->name,
               stillpoint_world_mode_text(w->mode), w->vms,
               w->has_controller ? w->controller.debugger : "nobody");
    stillpoint_worlds_free(&worlds);
    return CLI_OK;
}

static int do_vm(struct debug *d, char *args)
{
    char *name = next_word(&args);
    if (!*name)
        return list_vms(d);
    if (!parse_is_vm(name))
        return fail(d, "vm: a name or an id");
    int code = debug_switch(d, name);
    return code != CLI_OK || !d->stopped ? code : debug_show_place(d);
}

static int do_world(struct debug *d, char *args)
{
    (void)args;
    return show_world(d);
}

static int do_info(struct debug *d, char *args)
{
    size_t n = strlen(args);
    if (n > 0 && strncmp("breakpoints", args, n) == 0)
        return list_breakpoints(d);
    if (n > 0 && strncmp("vms", args, n) == 0)
        return list_vms(d);
    if (n > 0 && strncmp("world", args, n) == 0)
        return show_world(d);
    if (n > 0 && strncmp("sources", args, n) == 0)
        return is_there(d) ? list_sources(d) : CLI_NO_OBJECT;
    if (n > 0 && strncmp("frame", args, n) == 0)
        return debug_show_place(d);
    return fail(d, "info: breakpoints, vms, world, sources or frame");
}

static int do_quit(struct debug *d, char *args)
{
    (void)d;
    (void)args;
    return DEBUG_QUIT;
}

static int do_help(struct debug *d, char *args);

/* ---- the table */

enum complete { NOTHING, SOURCES, VARIABLES, VMS, HOOKS, INFO, COMMANDS };

/* The first that starts with what was typed is meant, unless one is that exactly. */
static const struct command {
    const char *name, *args, *help;
    enum complete complete;
    int (*run)(struct debug *d, char *args);
} commands[] = {
    {"break", "[FILE:]LINE [if EXPR]", "set a breakpoint", SOURCES, do_break},
    {"bt", "[N]", "the stack, or its N innermost frames", NOTHING, do_bt},
    {"continue", "", "let the world go on, until something stops it", NOTHING, do_continue},
    {"delete", "[HOOK…]", "remove breakpoints, or all", HOOKS, do_delete},
    {"down", "[N]", "to the frame that this one has called", NOTHING, do_down},
    {"frame", "[N]", "to frame N; 0 is the innermost", NOTHING, do_frame},
    {"finish", "", "until this VM's innermost frame returns", NOTHING, do_finish},
    {"help", "", "this", COMMANDS, do_help},
    {"info", "WHAT", "breakpoints, vms, world, sources or frame", INFO, do_info},
    {"inspect", "REF", "what an object has: the number in brackets after it", NOTHING, do_inspect},
    {"list", "[[FILE:]LINE]", "source text; again: what follows", SOURCES, do_list},
    {"locals", "", "the variables that the frame sees", NOTHING, do_locals},
    {"next", "[N]", "to this VM's next statement, over calls; the others hold", NOTHING, do_next},
    {"print", "EXPR", "evaluate in the frame", VARIABLES, do_print},
    {"quit", "", "end; the world goes on", NOTHING, do_quit},
    {"return", "[EXPR]", "go on: the innermost frame returns that", VARIABLES, do_return},
    {"step", "[N]", "to this VM's next statement, into calls; the others hold", NOTHING, do_step},
    {"set", "NAME = EXPR", "set a variable that the frame sees", VARIABLES, do_set},
    {"stop", "", "stop the world, as Ctrl-C does", NOTHING, do_stop},
    {"terminate", "", "go on: what the VM runs is ended", NOTHING, do_terminate},
    {"throw", "EXPR", "go on: the innermost frame throws that", VARIABLES, do_throw},
    {"until", "[FILE:]LINE", "to a place, or until the innermost frame is left", SOURCES, do_until},
    {"up", "[N]", "to the frame that has called this one", NOTHING, do_up},
    {"vm", "[NAME]", "talk about another VM of the world; or which there are", VMS, do_vm},
    {"world", "", "the world", NOTHING, do_world},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static int do_help(struct debug *d, char *args)
{
    (void)d;
    (void)args;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", commands[i].name, commands[i].args);
        int width = 28;
        for (const char *c = usage; *c; c++)
            width += (*c & 0xc0) == 0x80;
        print_line("  %-*s %s", width, usage, commands[i].help);
    }
    print_line("Commands can be cut short; an empty line repeats step, next and list.");
    return CLI_OK;
}

static const struct command *find(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strncmp(commands[i].name, word, n) == 0)
            return &commands[i];
    return NULL;
}

/* What changes or looks at something needs a world that stands. */
static bool needs_stop(const struct command *c)
{
    return c->run != do_help && c->run != do_quit && c->run != do_stop && c->run != do_vm &&
           c->run != do_world && c->run != do_info && c->run != do_break && c->run != do_delete &&
           c->run != do_continue;
}

int debug_command(struct debug *d, char *line)
{
    static const struct command *last; /* that an empty line repeats */
    static char nothing[1];
    cut_end(line);
    char *args = line, *word = next_word(&args);
    bool again = !*word && last && d->is_tty;
    if (!*word && !again)
        return CLI_OK;
    if (word[0] == '#')
        return CLI_OK;
    const struct command *c = again ? last : find(word);
    last = c && (c->run == do_step || c->run == do_next || c->run == do_list) ? c : NULL;
    if (!c)
        return cli_fail(d->cli, CLI_USAGE, "do '%s': there is no such command (see 'help')", word);
    if (!d->stopped && c->run == do_continue)
        return debug_run(d) == CLI_OK && d->stopped ? debug_show_place(d) : CLI_OK;
    if (d->ended && needs_stop(c))
        return cli_fail(d->cli, CLI_NO_OBJECT, "%s: the VM has ended (choose another: vm NAME)",
                        c->name);
    if (!d->stopped && needs_stop(c))
        return cli_fail(d->cli, CLI_NO_OBJECT, "%s: the world runs (stop it first: stop)", c->name);
    return c->run(d, again ? nothing : args);
}

/* ---- completion */

struct words {
    char **items;
    size_t n;
    const char *typed;
};

static void add_word(struct words *w, const char *word)
{
    if (strncmp(word, w->typed, strlen(w->typed)) != 0)
        return;
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->items[i], word) == 0)
            return;
    char **items = reallocarray(w->items, w->n + 2, sizeof *items);
    if (!items)
        return;
    w->items = items;
    items[w->n] = strdup(word);
    w->n += items[w->n] != NULL;
    items[w->n] = NULL;
}

static void add_sources(struct debug *d, struct words *w)
{
    struct stillpoint_sources page;
    if (!d->target.vm || stillpoint_vm_sources(d->cli->sp, d->target.id, 0, 0, &page) != 0)
        return;
    for (size_t i = 0; i < page.n; i++) {
        const char *slash = strrchr(page.items[i].url, '/');
        add_word(w, page.items[i].url);
        if (slash)
            add_word(w, slash + 1);
    }
    stillpoint_sources_free(&page);
}

static void add_variables(struct debug *d, struct words *w)
{
    struct stillpoint_scopes scopes;
    if (!d->target.vm || !d->stopped ||
        stillpoint_vm_scopes(d->cli->sp, d->target.id, d->frame, &scopes) != 0)
        return;
    for (size_t i = 0; i < scopes.n; i++) {
        const struct stillpoint_variables_query query = {.vm = d->target.id,
                                                         .ref = scopes.items[i].ref};
        struct stillpoint_variables page;
        if (query.ref == 0 || stillpoint_vm_variables(d->cli->sp, &query, &page) != 0)
            continue;
        for (size_t v = 0; v < page.n; v++)
            add_word(w, page.items[v].name);
        stillpoint_variables_free(&page);
    }
    stillpoint_scopes_free(&scopes);
}

static void add_vms(struct debug *d, struct words *w)
{
    const struct stillpoint_list query = {.world = d->world};
    struct stillpoint_vms vms;
    if (stillpoint_vm_list(d->cli->sp, &query, &vms) != 0)
        return;
    for (size_t i = 0; i < vms.n; i++)
        add_word(w, vms.items[i].name);
    stillpoint_vms_free(&vms);
}

static void add_hooks(struct debug *d, struct words *w)
{
    const struct stillpoint_hook_query query = {.debugger = d->debugger};
    struct stillpoint_hooks hooks;
    if (stillpoint_hook_list(d->cli->sp, &query, &hooks) != 0)
        return;
    for (size_t i = 0; i < hooks.n; i++) {
        char id[24];
        snprintf(id, sizeof id, "%" PRIu64, hooks.items[i].id);
        add_word(w, id);
    }
    stillpoint_hooks_free(&hooks);
}

static void add_for(struct debug *d, enum complete what, struct words *w)
{
    static const char *const info[] = {"breakpoints", "vms", "world", "sources", "frame"};
    switch (what) {
    case SOURCES:
        add_sources(d, w);
        break;
    case VARIABLES:
        add_variables(d, w);
        break;
    case VMS:
        add_vms(d, w);
        break;
    case HOOKS:
        add_hooks(d, w);
        break;
    case INFO:
        for (size_t i = 0; i < sizeof info / sizeof *info; i++)
            add_word(w, info[i]);
        break;
    case COMMANDS:
        for (size_t i = 0; i < N_COMMANDS; i++)
            add_word(w, commands[i].name);
        break;
    case NOTHING:
        break;
    }
}

/* Where the word that is being typed starts: in an expression that is a name. */
static size_t word_start(const char *line, enum complete what)
{
    size_t at = strlen(line);
    while (at > 0) {
        unsigned char c = (unsigned char)line[at - 1];
        bool part =
            what == VARIABLES ? isalnum(c) || c == '_' || c == '$' || c >= 0x80 : !isspace(c);
        if (!part)
            break;
        at--;
    }
    return at;
}

char **debug_complete(struct debug *d, const char *line, size_t *ret_word)
{
    struct words w = {0};
    char first[32];
    const char *start = line + strspn(line, " \t");
    size_t n = strcspn(start, " \t");
    enum complete what = COMMANDS;
    if (n < sizeof first && start[n] != '\0') {
        snprintf(first, sizeof first, "%.*s", (int)n, start);
        const struct command *c = n > 0 ? find(first) : NULL;
        what = c ? c->complete : NOTHING;
    }
    *ret_word = word_start(line, what);
    w.typed = line + *ret_word;
    /* A property of an object is no variable. */
    if (what == VARIABLES && *ret_word > 0 && line[*ret_word - 1] == '.')
        what = NOTHING;
    add_for(d, what, &w);
    return w.items;
}
