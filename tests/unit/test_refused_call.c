#include "tests/support/unit.h"

#include <linux/audit.h>
#include <string.h>

#include "daemon/refused_call.h"

static void a_call_is_named_by_number_word_and_architecture(void **state)
{
    (void)state;
    static const struct {
        uint32_t arch, number;
        const char *text;
    } rows[] = {
        {AUDIT_ARCH_X86_64, 59, "system call 59 (execve, x86-64) at 0x1234"},
        {AUDIT_ARCH_X86_64, 100000, "system call 100000 (x86-64) at 0x1234"},
        {AUDIT_ARCH_X86_64, 0x40000000u, "system call 0 (read, x32) at 0x1234"},
        {AUDIT_ARCH_X86_64, UINT32_MAX, "system call -1 (x86-64) at 0x1234"},
        {AUDIT_ARCH_I386, 11, "system call 11 (execve, i386) at 0x1234"},
        {AUDIT_ARCH_AARCH64, 221, "system call 221 (execve, arm64) at 0x1234"},
        {0xdead, 1, "system call 1 (architecture 0xdead) at 0x1234"},
    };
    char text[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        refused_call_text((uint64_t)rows[i].arch << 32 | rows[i].number, 0x1234, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

static void what_was_not_written_down_is_said_to_be_so(void **state)
{
    (void)state;
    char text[128];
    refused_call_text(0, 0, text, sizeof text);
    assert_string_equal(text, "a system call that it did not write down");
}

static void a_short_buffer_is_not_left(void **state)
{
    (void)state;
    char text[8] = "1234567";
    refused_call_text(UINT64_MAX, UINT64_MAX, text, 4);
    assert_string_equal(text, "sys");
    assert_memory_equal(text + 4, "567", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_named_by_number_word_and_architecture),
        cmocka_unit_test(what_was_not_written_down_is_said_to_be_so),
        cmocka_unit_test(a_short_buffer_is_not_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
