/*
 * hits.h: hits as they are printed, one by one or as a list at the end.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"

struct hits {
    const struct cli *cli;
    char debugger[STILLPOINT_NAME_BYTES + 1]; /**< whose they are */
    json_t *list; /**< they are collected here rather than printed; NULL: a line each */
};

void hits_print(const struct hits *hits, const struct stillpoint_hit *hit);
