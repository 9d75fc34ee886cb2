/*
 * step.h: what steps and the prompt share.
 */
#pragma once

#include "cli/cli.h"

void step_print(const struct cli *cli, const struct stillpoint_vm *vm,
                const struct stillpoint_stepped *stepped);
/** 0, or CLI_USAGE after having told. */
int step_parse_granularity(const struct cli *cli, const char *word,
                           enum stillpoint_granularity *ret);
