/*
 * The worker's own conditions of hooks: `NAME OP LITERAL` out of a client's text, and what they say
 * of values out of the guest.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tests/fuzz/fuzz.h"
#include "worker/condition.h"

static struct engine_value value_of(struct fuzz_input *in, char **ret_text)
{
    struct engine_value v = {.preview = "", .class_name = ""};
    uint8_t how = fuzz_u8(in);
    uint64_t bits = fuzz_u64(in);
    v.type = how % ENGINE_VALUE_UNAVAILABLE + 1;
    v.truncated = how & 0x80;
    memcpy(&v.number, &bits, sizeof v.number);
    if (how & 0x40)
        v.number = (double)(int64_t)(bits & 15);
    if (v.type == ENGINE_VALUE_BOOLEAN)
        v.number = (double)(bits & 1);
    *ret_text = fuzz_text(in, fuzz_u8(in));
    if (v.type == ENGINE_VALUE_STRING && !(how & 0x20)) {
        v.text = *ret_text;
        v.text_bytes = strlen(*ret_text);
    }
    return v;
}

/* What any comparison has to obey, whatever the value is. */
static void require_consistent(const struct condition *c, const struct engine_value *v)
{
    static const enum condition_op opposite[] = {
        [CONDITION_STRICT_EQUAL] = CONDITION_STRICT_UNEQUAL,
        [CONDITION_STRICT_UNEQUAL] = CONDITION_STRICT_EQUAL,
        [CONDITION_EQUAL] = CONDITION_UNEQUAL,
        [CONDITION_UNEQUAL] = CONDITION_EQUAL,
        [CONDITION_LESS] = CONDITION_GREATER_EQUAL,
        [CONDITION_LESS_EQUAL] = CONDITION_GREATER,
        [CONDITION_GREATER] = CONDITION_LESS_EQUAL,
        [CONDITION_GREATER_EQUAL] = CONDITION_LESS,
    };
    enum condition_verdict verdict = condition_decide(c, v);
    FUZZ_REQUIRE(verdict <= CONDITION_UNDECIDED);
    struct condition other = *c;
    other.op = opposite[c->op];
    enum condition_verdict inverse = condition_decide(&other, v);
    FUZZ_REQUIRE((verdict == CONDITION_UNDECIDED) == (inverse == CONDITION_UNDECIDED));
    bool unordered = c->op >= CONDITION_LESS && c->type == ENGINE_VALUE_NUMBER &&
                     v->type == ENGINE_VALUE_NUMBER && (isnan(v->number) || isnan(c->number));
    if (verdict != CONDITION_UNDECIDED)
        FUZZ_REQUIRE(unordered ? verdict == CONDITION_FALSE && inverse == CONDITION_FALSE
                               : verdict != inverse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct condition c;
    char *text = fuzz_text(&in, fuzz_u8(&in));
    FUZZ_REQUIRE(condition_is_name(text, strlen(text)) ? text[0] != '\0' : true);
    int r = text_is_utf8(text, strlen(text)) ? condition_parse(text, &c) : 0;
    if (r == 1) {
        fuzz_accepted();
        FUZZ_REQUIRE(condition_is_name(c.name, strlen(c.name)));
        FUZZ_REQUIRE(c.type != ENGINE_VALUE_STRING ||
                     (c.text_bytes == strlen(c.text) && text_is_utf8(c.text, c.text_bytes)));
        /* The variable has the literal's value, and values that the guest chose. */
        const struct engine_value same = {.type = c.type,
                                          .preview = "",
                                          .class_name = "",
                                          .number = c.number,
                                          .text = c.text,
                                          .text_bytes = c.text_bytes};
        require_consistent(&c, &same);
        if (c.op == CONDITION_STRICT_EQUAL && !isnan(c.number))
            FUZZ_REQUIRE(condition_decide(&c, &same) == CONDITION_TRUE);
        while (in.left > 0) {
            char *owned;
            struct engine_value v = value_of(&in, &owned);
            require_consistent(&c, &v);
            free(owned);
        }
        condition_done(&c);
    } else {
        FUZZ_REQUIRE(r == 0);
        fuzz_refused();
    }
    free(text);
    return 0;
}
