/*
 * condition.h: the conditions of hooks that need no evaluation: `NAME OP LITERAL`, a variable
 * compared with a number, a string, true, false, null or undefined. It decides what JavaScript
 * would, or says that it cannot, and then the engine evaluates the expression. It owns nothing.
 *
 * Worker, VM thread. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "worker/engine_debug.h"

enum condition_op {
    CONDITION_STRICT_EQUAL,
    CONDITION_STRICT_UNEQUAL,
    CONDITION_EQUAL,
    CONDITION_UNEQUAL,
    CONDITION_LESS,
    CONDITION_LESS_EQUAL,
    CONDITION_GREATER,
    CONDITION_GREATER_EQUAL,
};

struct condition {
    char *name;
    enum condition_op op;
    enum engine_value_type type; /**< of the literal */
    double number;               /**< NUMBER; BOOLEAN: 0 or 1 */
    char *text;                  /**< STRING: UTF-8, without NUL */
    size_t text_bytes;
};

enum condition_verdict { CONDITION_FALSE, CONDITION_TRUE, CONDITION_UNDECIDED };

/**
 * Returns 1 and fills *ret, whose texts condition_done() frees; 0 if the expression is no such
 * comparison; -ENOMEM.
 */
int condition_parse(const char *expression, struct condition *ret);
/** Accepts zeroes. */
void condition_done(struct condition *c);

/** What the comparison gives for this value of its variable; undecided if that takes more than is
 *  known here. */
enum condition_verdict condition_decide(const struct condition *c, const struct engine_value *v);

/** Whether the text is a name of a variable: ASCII, and no reserved word. */
bool condition_is_name(const char *text, size_t len);
