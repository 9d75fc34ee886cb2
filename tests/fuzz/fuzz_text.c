/*
 * Texts that come from outside: what is UTF-8, what is a name or a path in a bundle, what is a
 * number, a size or a time, and what becomes of any text that has to be one line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"
#include "worker/one_line.h"

/* UTF-8 by its definition: decodes, and looks at the number. */
static bool decodes(const uint8_t *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        unsigned c = s[at];
        size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
        if (n == 0 || n > len - at)
            return false;
        uint32_t code = n == 1 ? c : c & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
            if (s[at + i] >> 6 != 2)
                return false;
            code = code << 6 | (s[at + i] & 0x3fu);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        at += n;
    }
    return true;
}

static void require_name(const char *text)
{
    if (!text_is_name(text, LIMIT_NAME_BYTES))
        return;
    FUZZ_REQUIRE(strlen(text) <= LIMIT_NAME_BYTES && !strpbrk(text, "/ \t\n:*?[%"));
    FUZZ_REQUIRE(text[strspn(text, "0123456789")] != '\0' && strcmp(text, "..") != 0);
}

static void require_path(const char *text)
{
    if (!text_is_bundle_path(text, LIMIT_PATH_BYTES))
        return;
    char *copy = strdup(text), *rest = copy, *part;
    FUZZ_REQUIRE(copy && text[0] != '/' && text[strlen(text) - 1] != '/');
    while ((part = strsep(&rest, "/")) != NULL)
        FUZZ_REQUIRE(part[0] && strcmp(part, ".") != 0 && strcmp(part, "..") != 0);
    fuzz_require_text(text, false);
    free(copy);
}

struct unit {
    const char *name;
    uint64_t times;
};

/* Digits and a unit, by their definition. */
static bool amounts(const char *text, const struct unit *units, size_t n, uint64_t *ret)
{
    const char *at = text;
    unsigned __int128 v = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        v = v * 10 + (unsigned)(*at - '0');
        if (v > UINT64_MAX)
            return false;
    }
    for (size_t i = 0; i < n && at > text; i++)
        if (strcmp(at, units[i].name) == 0) {
            *ret = (uint64_t)(v * units[i].times);
            return v * units[i].times <= UINT64_MAX;
        }
    return false;
}

static void require_amounts(const char *text)
{
    static const struct unit sizes[] = {
        {"", 1}, {"K", 1024}, {"M", 1048576}, {"G", 1073741824}, {"T", 1099511627776}};
    static const struct unit times[] = {{"us", 1},         {"ms", 1000},       {"s", 1000000},
                                        {"min", 60000000}, {"h", 3600000000u}, {"d", 86400000000u}};
    uint64_t is = 0, wanted = 0;
    bool size = amounts(text, sizes, sizeof sizes / sizeof *sizes, &wanted);
    /* A number of more digits than any has is refused although it may be small: 000…01. */
    bool long_ = strspn(text, "0123456789") > 20;
    FUZZ_REQUIRE(text_to_bytes(text, &is) == size || long_);
    FUZZ_REQUIRE(!size || long_ || is == wanted);
    bool time = amounts(text, times, sizeof times / sizeof *times, &wanted);
    FUZZ_REQUIRE(text_to_us(text, &is) == time || long_);
    FUZZ_REQUIRE(!time || long_ || is == wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    size_t room = fuzz_u8(&in) + 1u, left = in.left;
    const uint8_t *bytes = in.data;
    bool utf8 = text_is_utf8((const char *)bytes, left);
    FUZZ_REQUIRE(utf8 == (decodes(bytes, left) && !memchr(bytes ? bytes : data, 0, left)));
    if (utf8)
        fuzz_accepted();
    else
        fuzz_refused();

    char *text = fuzz_text(&in, left), *line = malloc(room), *copy = malloc(room);
    FUZZ_REQUIRE(line && copy);
    require_name(text);
    require_path(text);
    require_amounts(text);

    FUZZ_REQUIRE(one_line(text, line, room) == line && strlen(line) < room);
    fuzz_require_text(line, true);

    text_copy(copy, room, text);
    FUZZ_REQUIRE(strlen(copy) < room && strncmp(copy, text, strlen(copy)) == 0);
    if (utf8)
        FUZZ_REQUIRE(text_is_utf8(copy, strlen(copy)) &&
                     strlen(copy) + 4 > (left < room - 1 ? left : room - 1));

    uint64_t number;
    if (text_to_u64(text, &number))
        FUZZ_REQUIRE(strspn(text, "0123456789") == strlen(text) && text[0] != '\0');
    free(text);
    free(line);
    free(copy);
    return 0;
}
