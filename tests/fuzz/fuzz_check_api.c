/*
 * The door for what clients say: one frame. What passes has been checked and filled in as
 * proto/check_api.h promises, and passes again when it is packed again; what does not has an error
 * that can be sent to the client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proto/api.pb-c.h"
#include "proto/check_api.h"
#include "tests/fuzz/fuzz.h"

static bool is_name(const char *s)
{
    return text_is_name(s, LIMIT_NAME_BYTES);
}

static void require_vm(const struct api_vm_ref *ref)
{
    FUZZ_REQUIRE((ref->id != 0) != (ref->name != NULL));
    if (ref->name)
        FUZZ_REQUIRE(is_name(ref->name));
}

static void require_text(const char *s, size_t max)
{
    FUZZ_REQUIRE(strlen(s) <= max && text_is_utf8(s, strlen(s)));
}

static void require_behalf(const char *s)
{
    if (s)
        require_text(s, LIMIT_NAME_BYTES);
}

static void require_page(uint32_t size)
{
    FUZZ_REQUIRE(size >= 1 && size <= LIMIT_PAGE_ITEMS);
}

static void require_hook(const struct api_hook *h)
{
    FUZZ_REQUIRE(h->n_kinds >= 1 && h->n_kinds <= LIMIT_HOOK_KINDS);
    for (size_t i = 0; i < h->n_kinds; i++)
        for (size_t k = 0; k < i; k++)
            FUZZ_REQUIRE(h->kinds[i] != h->kinds[k]);
    FUZZ_REQUIRE(h->n_expressions <= LIMIT_EXPRESSIONS);
    for (size_t i = 0; i < h->n_expressions; i++)
        require_text(h->expressions[i], LIMIT_EXPRESSION_BYTES);
    if (h->condition)
        require_text(h->condition, LIMIT_EXPRESSION_BYTES);
    if (h->log)
        require_text(h->log, LIMIT_EXPRESSION_BYTES);
    if (h->note)
        require_text(h->note, LIMIT_NOTE_BYTES);
    FUZZ_REQUIRE(h->line_to == 0 || h->line_from <= h->line_to);
    FUZZ_REQUIRE(h->stack_depth <= LIMIT_HIT_FRAMES);
    /* strlen reads them: they belong to the message. */
    FUZZ_REQUIRE(!h->url || strlen(h->url) <= LIMIT_HOOK_BYTES);
    FUZZ_REQUIRE(!h->function || strlen(h->function) <= LIMIT_HOOK_BYTES);
    FUZZ_REQUIRE(!h->at.url || strlen(h->at.url) <= LIMIT_HOOK_BYTES);
}

static void require_run(const struct api_request *r)
{
    FUZZ_REQUIRE(!r->run_vm.name || is_name(r->run_vm.name));
    FUZZ_REQUIRE(is_name(r->run_vm.world));
    require_text(r->run_vm.program, LIMIT_PATH_BYTES);
    FUZZ_REQUIRE(r->run_vm.engine && r->run_vm.argc <= LIMIT_ARGS);
    size_t bytes = 0;
    for (size_t i = 0; i < r->run_vm.argc; i++)
        bytes += strlen(r->run_vm.argv[i]);
    FUZZ_REQUIRE(bytes <= LIMIT_ARGS_BYTES && r->n_fds == 1);
}

static void require_request(const struct api_request *r)
{
    FUZZ_REQUIRE(r->id != 0 && r->kind < API_KINDS && r->n_fds <= LIMIT_FRAME_FDS);
    FUZZ_REQUIRE(api_kind_name(r->kind));
    switch (r->kind) {
    case API_HELLO:
        require_text(r->hello.client, 4096);
        break;
    case API_RUN_VM:
        require_run(r);
        break;
    case API_ADD_FILE:
        FUZZ_REQUIRE(text_is_bundle_path(r->add_file.path, LIMIT_PATH_BYTES));
        break;
    case API_ANSWER_IMPORT:
        FUZZ_REQUIRE(r->answer_import.error || r->n_fds == 1);
        break;
    case API_ANSWER_STDIN:
        FUZZ_REQUIRE(r->answer_stdin.len <= LIMIT_STDIN_CHUNK_BYTES);
        free(fuzz_copy(r->answer_stdin.data, r->answer_stdin.len));
        break;
    case API_KILL_VM:
    case API_GET_VM:
    case API_SET_TARGET:
    case API_GET_PAUSE:
        require_vm(&r->vm.vm);
        break;
    case API_CALL_FUNCTION:
        require_vm(&r->call_function.vm);
        require_text(r->call_function.args_json, LIMIT_JSON_BYTES);
        FUZZ_REQUIRE(strlen(r->call_function.function) > 0);
        break;
    case API_SEND_MESSAGE:
        require_vm(&r->send_message.vm);
        require_text(r->send_message.json, LIMIT_JSON_BYTES);
        break;
    case API_LIST_VMS:
        require_page(r->list_vms.page_size);
        FUZZ_REQUIRE(!r->list_vms.world || is_name(r->list_vms.world));
        break;
    case API_READ_LOG:
        require_vm(&r->read_log.vm);
        break;
    case API_WAIT_VM:
        require_vm(&r->wait_vm.vm);
        FUZZ_REQUIRE(r->wait_vm.what >= API_WAIT_EXITED && r->wait_vm.what <= API_WAIT_ACTIVE);
        break;
    case API_HOLD_VM:
    case API_RELEASE_VM:
        require_vm(&r->hold.vm);
        require_behalf(r->hold.debugger);
        break;
    case API_LIST_UNITS:
        require_page(r->list_units.page_size);
        FUZZ_REQUIRE(!r->list_units.unit || is_name(r->list_units.unit));
        FUZZ_REQUIRE(!r->list_units.page_token || is_name(r->list_units.page_token));
        break;
    case API_START_UNIT:
    case API_STOP_UNIT:
    case API_ENABLE_UNIT:
    case API_DISABLE_UNIT:
        FUZZ_REQUIRE(is_name(r->unit.unit));
        break;
    case API_LIST_WORLDS:
        require_page(r->list_worlds.page_size);
        break;
    case API_GET_WORLD:
    case API_RESUME_WORLD:
        FUZZ_REQUIRE(is_name(r->world.world));
        break;
    case API_STOP_WORLD:
        FUZZ_REQUIRE(is_name(r->stop_world.world));
        require_behalf(r->stop_world.debugger);
        break;
    case API_CONTINUE_VM:
        require_vm(&r->continue_vm.vm);
        if (r->continue_vm.answer_expression)
            require_text(r->continue_vm.answer_expression, LIMIT_EXPRESSION_BYTES);
        break;
    case API_TAKE_LEASE:
    case API_HAND_OVER_LEASE:
        FUZZ_REQUIRE(is_name(r->lease.world) && r->lease.hold_us > 0);
        break;
    case API_INSPECT_WORLD:
        FUZZ_REQUIRE(is_name(r->inspect.world));
        break;
    case API_SUBSCRIBE:
        FUZZ_REQUIRE(r->subscribe.kinds != 0);
        break;
    case API_OPEN_DEBUGGER:
        FUZZ_REQUIRE(r->open_debugger.name && strlen(r->open_debugger.name) <= LIMIT_NAME_BYTES);
        break;
    case API_CLOSE_DEBUGGER:
        FUZZ_REQUIRE(r->debugger.name && strlen(r->debugger.name) > 0);
        break;
    case API_LIST_DEBUGGERS:
        require_page(r->list_debuggers.page_size);
        break;
    case API_ADD_HOOKS:
        if (r->add_hooks.one_vm)
            require_vm(&r->add_hooks.vm);
        require_hook(&r->add_hooks.hook);
        FUZZ_REQUIRE(r->add_hooks.wait_us > 0 && r->add_hooks.deadline_us > 0);
        break;
    case API_REMOVE_HOOKS:
        FUZZ_REQUIRE(r->remove_hooks.n <= LIMIT_HOOKS_REMOVED);
        FUZZ_REQUIRE(r->remove_hooks.n > 0 || r->remove_hooks.debugger);
        free(fuzz_copy(r->remove_hooks.hooks, r->remove_hooks.n * sizeof *r->remove_hooks.hooks));
        break;
    case API_LIST_HOOKS:
        require_page(r->list_hooks.page_size);
        break;
    case API_LIST_AUDITORS:
        require_page(r->list_auditors.page_size);
        break;
    case API_READ_HITS:
        FUZZ_REQUIRE(r->read_hits.debugger);
        require_page(r->read_hits.max_hits);
        break;
    case API_LIST_FRAMES:
    case API_LIST_SOURCES:
        require_vm(&r->look_page.vm);
        require_page(r->look_page.max);
        break;
    case API_LIST_SCOPES:
        require_vm(&r->list_scopes.vm);
        break;
    case API_LIST_VARIABLES:
        require_vm(&r->list_variables.vm);
        require_page(r->list_variables.max);
        FUZZ_REQUIRE(r->list_variables.ref != 0);
        break;
    case API_EVALUATE:
        require_vm(&r->evaluate.vm);
        require_text(r->evaluate.expression, LIMIT_EXPRESSION_BYTES);
        FUZZ_REQUIRE(r->evaluate.timeout_us > 0);
        break;
    case API_SET_VARIABLE:
        require_vm(&r->set_variable.vm);
        require_text(r->set_variable.expression, LIMIT_EXPRESSION_BYTES);
        FUZZ_REQUIRE(strlen(r->set_variable.name) > 0 && r->set_variable.timeout_us > 0);
        break;
    case API_STEP_VM:
        require_vm(&r->step_vm.vm);
        FUZZ_REQUIRE(r->step_vm.count >= 1 && r->step_vm.count <= LIMIT_STEPS);
        break;
    case API_READ_SOURCE:
        require_vm(&r->read_source.vm);
        FUZZ_REQUIRE((r->read_source.source != 0) != (r->read_source.url != NULL));
        FUZZ_REQUIRE(r->read_source.max_bytes >= 1 && r->read_source.max_bytes <= LIMIT_DATA_BYTES);
        break;
    case API_LIST_POSITIONS:
        require_vm(&r->list_positions.vm);
        FUZZ_REQUIRE((r->list_positions.source != 0) != (r->list_positions.url != NULL));
        break;
    case API_ACCESS_MEMORY:
        require_vm(&r->access_memory.vm);
        FUZZ_REQUIRE(r->access_memory.write_bytes <= LIMIT_MEMORY_WRITE_BYTES);
        FUZZ_REQUIRE((r->access_memory.length == 0) == (r->access_memory.write_bytes > 0));
        free(fuzz_copy(r->access_memory.write, r->access_memory.write_bytes));
        break;
    case API_START_VM:
    case API_UNSUBSCRIBE:
    case API_DOCTOR:
    case API_KINDS:
        break;
    }
}

/* What was understood and is said again is understood as the same. */
static void require_again(const struct api_request *r)
{
    const ProtobufCMessage *m = r->message;
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *packed = malloc(len ? len : 1);
    struct api_request again;
    struct api_error error;
    FUZZ_REQUIRE(packed && protobuf_c_message_pack(m, packed) == len);
    FUZZ_REQUIRE(check_api_request(packed, len, &again, &error) == 0);
    FUZZ_REQUIRE(again.kind == r->kind && again.id == r->id && again.n_fds == r->n_fds);
    check_api_done(&again);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_request request;
    struct api_error error;
    if (size == 0 || size > LIMIT_FRAME_BYTES)
        return 0;
    int r = check_api_request(data, size, &request, &error);
    FUZZ_REQUIRE(r == 0 || r == -EPROTO || r == -EBADMSG);
    if (r < 0) {
        fuzz_refused();
        FUZZ_REQUIRE(error.message[0] && error.code != 0);
        fuzz_require_text(error.message, true);
        FUZZ_REQUIRE(r != -EBADMSG || request.n_fds <= LIMIT_FRAME_FDS);
        return 0;
    }
    fuzz_accepted();
    fuzz_touch(request.message);
    require_request(&request);
    require_again(&request);
    check_api_done(&request);
    return 0;
}
