/*
 * Arguments of stillctl as people write them: numbers, times, sizes, places, lines, JSON, and
 * names. What a parser takes has to mean what it says.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/parse.h"
#include "client/stillpoint.h"
#include "tests/fuzz/fuzz.h"

static bool all_digits(const char *s)
{
    return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static bool numbers(const char *text)
{
    uint64_t v, again;
    char shown[24];
    bool taken = parse_u64(text, &v);
    if (taken) {
        snprintf(shown, sizeof shown, "%" PRIu64, v);
        FUZZ_REQUIRE(all_digits(text) && parse_u64(shown, &again) && again == v);
        FUZZ_REQUIRE(strcmp(text + strspn(text, "0"), shown[0] == '0' ? "" : shown) == 0);
        FUZZ_REQUIRE(parse_address(text, &again) && again == v && parse_is_vm(text));
    }
    uint32_t percent;
    if (parse_percent(text, &percent)) {
        taken = true;
        FUZZ_REQUIRE(percent > 0 && text[strlen(text) - 1] == '%');
    }
    if (parse_address(text, &v)) {
        taken = true;
        snprintf(shown, sizeof shown, "0x%" PRIx64, v);
        FUZZ_REQUIRE(parse_address(shown, &again) && again == v);
    }
    return taken;
}

static bool times(const char *text)
{
    uint64_t us, bytes, again;
    char shown[32];
    bool taken = parse_duration(text, &us);
    if (taken) {
        snprintf(shown, sizeof shown, "%" PRIu64 "us", us);
        FUZZ_REQUIRE(parse_duration(shown, &again) && again == us);
    }
    if (parse_size(text, &bytes)) {
        taken = true;
        snprintf(shown, sizeof shown, "%" PRIu64, bytes);
        FUZZ_REQUIRE(bytes > 0 && parse_size(shown, &again) && again == bytes);
    }
    return taken;
}

static bool places(const char *text)
{
    struct stillpoint_position p;
    uint32_t from = 0, to = 0;
    char *copy = strdup(text);
    FUZZ_REQUIRE(copy);
    bool taken = parse_position(copy, &p);
    if (taken) {
        FUZZ_REQUIRE(p.url == copy && p.url[0] != '\0' && strncmp(text, p.url, strlen(p.url)) == 0);
        FUZZ_REQUIRE(p.has_offset ? p.line == 0 && p.column == 0 : p.line > 0);
    } else {
        FUZZ_REQUIRE(strcmp(copy, text) == 0);
    }
    free(copy);
    if (parse_lines(text, &from, &to)) {
        taken = true;
        FUZZ_REQUIRE((from > 0 || to > 0) && (from == 0 || to == 0 || from <= to));
    }
    return taken;
}

static bool names(const char *text)
{
    bool taken = stillpoint_is_name(text);
    if (taken)
        FUZZ_REQUIRE(!parse_is_glob(text) && parse_is_vm(text) && parse_is_debugger_name(text) &&
                     strlen(text) <= STILLPOINT_NAME_BYTES && !all_digits(text));
    if (parse_is_cli_debugger(text)) {
        taken = true;
        FUZZ_REQUIRE(!stillpoint_is_name(text) && parse_is_debugger(text));
    }
    if (parse_is_debugger_name(text))
        FUZZ_REQUIRE(parse_is_debugger(text));
    (void)stillpoint_source_kind_of(text);
    return taken;
}

static bool json(const char *text)
{
    char why[128] = "";
    bool taken = parse_json(text, why, sizeof why);
    FUZZ_REQUIRE(taken || why[0]);
    FUZZ_REQUIRE(strlen(why) < sizeof why);
    /* Shown as a value or as a text, but always. */
    json_t *value = json_of_json(text);
    char *dumped = json_dumps(value, JSON_ENCODE_ANY);
    FUZZ_REQUIRE(dumped && parse_json(dumped, why, sizeof why));
    free(dumped);
    json_decref(value);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const parsers[])(const char *) = {numbers, times, places, names, json};
    struct fuzz_input in = {data, size};
    unsigned which = fuzz_u8(&in) % (sizeof parsers / sizeof *parsers);
    char *text = fuzz_text(&in, in.left);
    if (parsers[which](text))
        fuzz_accepted();
    else
        fuzz_refused();
    free(text);
    return 0;
}
