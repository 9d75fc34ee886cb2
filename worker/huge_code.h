/*
 * huge_code.h: moves large machine code of the zygote into huge pages. A fork then copies one entry
 * for 2 MiB and faults none in again, where each worker would take some hundred faults to map the
 * engine's code anew, and the kernel as long to take it down. It owns nothing and changes no
 * behaviour: where the kernel has no huge pages, forks are slower.
 *
 * Process and thread: the zygote, which has one.
 */
#pragma once

/** Nothing of a library may be in use that has 2 MiB of code or more. Returns how many were moved,
 *  or negative errno. */
int huge_code_move(void);
