#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/api.pb-c.h"
#include "proto/check_api.h"
#include "proto/limits.h"

typedef Stillpoint__Api__Envelope Envelope;
#define BODY(name) STILLPOINT__API__ENVELOPE__BODY_##name
#define CODE(name) STILLPOINT__API__ERROR_CODE__ERROR_##name

static struct api_request request;
static struct api_error error;

/* Packs, and lets it pass the door. The request is freed by the caller where it was taken. */
static int pass(Envelope *e)
{
    size_t len = stillpoint__api__envelope__get_packed_size(e);
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    stillpoint__api__envelope__pack(e, data);
    int r = check_api_request(data, len, &request, &error);
    free(data);
    return r;
}

static Envelope envelope(uint64_t id)
{
    Envelope e = STILLPOINT__API__ENVELOPE__INIT;
    e.has_request_id = id != 0;
    e.request_id = id;
    return e;
}

static int pass_run(Stillpoint__Api__RunVm *run)
{
    Envelope e = envelope(7);
    e.has_fd_count = 1;
    e.fd_count = 1;
    e.body_case = BODY(RUN_VM);
    e.run_vm = run;
    return pass(&e);
}

static void refused(int r, int code, const char *words)
{
    assert_int_equal(r, -EBADMSG);
    assert_int_equal(error.code, code);
    if (!strstr(error.message, words))
        fail_msg("'%s' does not say '%s'", error.message, words);
    assert_int_equal(request.id, 7);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    assert_int_equal(pass_run(&run), 0);
    assert_int_equal(request.kind, API_RUN_VM);
    assert_int_equal(request.id, 7);
    assert_string_equal(request.run_vm.world, "default");
    assert_string_equal(request.run_vm.engine, "mozjs");
    assert_null(request.run_vm.name);
    assert_int_equal(request.run_vm.memory_bytes, DEFAULT_MEMORY_BYTES);
    assert_int_equal(request.n_fds, 1);
    check_api_done(&request);
}

static void names_are_judged(void **state)
{
    (void)state;
    static const char *const bad[] = {"a/b", "..", "12", "a b", "a\nb", "\xc3\xa4"};
    char long_name[LIMIT_NAME_BYTES + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run.name = (char *)(uintptr_t)bad[i];
        refused(pass_run(&run), CODE(INVALID_ARGUMENT), "bad VM name");
    }
    run.name = long_name;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "longer than 64 bytes");
    long_name[LIMIT_NAME_BYTES] = '\0';
    assert_int_equal(pass_run(&run), 0);
    check_api_done(&request);
}

static void program_paths_stay_inside(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/etc/passwd", "../x.js", "a/../../x",
                                      "a//b", "./a",         "a/"};
    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run.program = (char *)(uintptr_t)bad[i];
        refused(pass_run(&run), CODE(INVALID_ARGUMENT), "program path");
    }
    run.program = NULL;
    refused(pass_run(&run), CODE(INVALID_ARGUMENT), "program path");
}

static void times_beyond_a_year_are_refused(void **state)
{
    (void)state;
    Stillpoint__Api__StopWorld stop = STILLPOINT__API__STOP_WORLD__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(STOP_WORLD);
    e.stop_world = &stop;
    stop.has_deadline_us = 1;
    stop.deadline_us = UINT64_MAX;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "deadline is longer than a year");
    stop.deadline_us = 0;
    stop.has_hold_us = 1;
    stop.hold_us = UINT64_MAX / 2;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "hold is longer than a year");
}

static void vms_are_named_by_id_or_name(void **state)
{
    (void)state;
    Stillpoint__Api__KillVm kill = STILLPOINT__API__KILL_VM__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(KILL_VM);
    e.kill_vm = &kill;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "no VM was named");
    kill.vm = (char *)"18446744073709551615";
    assert_int_equal(pass(&e), 0);
    assert_true(request.vm.vm.id == UINT64_MAX && !request.vm.vm.name);
    check_api_done(&request);
    kill.vm = (char *)"18446744073709551616"; /* no id, and all digits is no name */
    refused(pass(&e), CODE(INVALID_ARGUMENT), "bad VM name");
    kill.vm = (char *)"app-1";
    assert_int_equal(pass(&e), 0);
    assert_string_equal(request.vm.vm.name, "app-1");
    check_api_done(&request);
}

static void descriptors_come_only_where_they_are_taken(void **state)
{
    (void)state;
    Stillpoint__Api__Doctor doctor = STILLPOINT__API__DOCTOR__INIT;
    Envelope e = envelope(7);
    e.body_case = BODY(DOCTOR);
    e.doctor = &doctor;
    e.has_fd_count = 1;
    e.fd_count = 1;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "takes no file descriptor");
    assert_int_equal(request.n_fds, 1); /* the reader takes it off the stream all the same */
    e.fd_count = 2;
    assert_int_equal(pass(&e), -EPROTO);

    Stillpoint__Api__RunVm run = STILLPOINT__API__RUN_VM__INIT;
    run.program = (char *)"app.js";
    e = envelope(7);
    e.body_case = BODY(RUN_VM);
    e.run_vm = &run;
    refused(pass(&e), CODE(INVALID_ARGUMENT), "needs one file descriptor");
}

static void what_is_no_request_ends_the_connection(void **state)
{
    (void)state;
    Stillpoint__Api__Doctor doctor = STILLPOINT__API__DOCTOR__INIT;
    Envelope e = envelope(0);
    e.body_case = BODY(DOCTOR);
    e.doctor = &doctor;
    assert_int_equal(pass(&e), -EPROTO);
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    assert_int_equal(check_api_request(garbage, sizeof garbage, &request, &error), -EPROTO);
    e = envelope(7);
    refused(pass(&e), CODE(UNSUPPORTED), "no such request");
}

static void a_message_of_very_many_fields_is_refused_before_it_is_unpacked(void **state)
{
    (void)state;
    /* SUBSCRIBE.kinds, unpacked form: two bytes a field. */
    size_t n = LIMIT_UNPACK_ELEMENTS + 10;
    uint8_t *data = malloc(2 * n + 16), *at = data;
    assert_non_null(data);
    *at++ = 1 << 3;
    *at++ = 7; /* request_id */
    *at++ = 0xc2;
    *at++ = 0x02; /* field 40, length-delimited */
    size_t len = 2 * n;
    *at++ = (uint8_t)(len | 0x80);
    *at++ = (uint8_t)(len >> 7 | 0x80);
    *at++ = (uint8_t)(len >> 14);
    for (size_t i = 0; i < n; i++) {
        *at++ = 2 << 3;
        *at++ = 1;
    }
    assert_int_equal(check_api_request(data, (size_t)(at - data), &request, &error), -EPROTO);
    assert_non_null(strstr(error.message, "too many fields"));
    free(data);
}

static void texts_are_utf8_without_nul(void **state)
{
    (void)state;
    /* envelope { request_id: 7, kill_vm (16) { vm: TEXT } } by hand: our packer would cut at the
     * NUL. */
    static const struct {
        uint8_t text[2];
    } bad[] = {{{'a', 0}}, {{0xc0, 0x80}}, {{0xff, 'a'}}, {{'a', 0xc3}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const uint8_t data[] = {1 << 3, 7, 0x82, 0x01, 4, 0x0a, 2, bad[i].text[0], bad[i].text[1]};
        assert_int_equal(check_api_request(data, sizeof data, &request, &error), -EPROTO);
        assert_non_null(strstr(error.message, "UTF-8"));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(defaults_are_filled_in),
    cmocka_unit_test(names_are_judged),
    cmocka_unit_test(program_paths_stay_inside),
    cmocka_unit_test(times_beyond_a_year_are_refused),
    cmocka_unit_test(vms_are_named_by_id_or_name),
    cmocka_unit_test(descriptors_come_only_where_they_are_taken),
    cmocka_unit_test(what_is_no_request_ends_the_connection),
    cmocka_unit_test(a_message_of_very_many_fields_is_refused_before_it_is_unpacked),
    cmocka_unit_test(texts_are_utf8_without_nul),
};

UNIT_MAIN(tests)
