/*
 * refused_call.h: the system call that a worker's filter refused, in words. Twin of
 * worker/refused_call, which writes it down; a hostile worker may have written anything, so these
 * are words for people, and nothing is decided by them. Any thread, keeps nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * `call` and `at` as status_page.refused_call and refused_at have them. Writes at most `size`
 * bytes: number, name if there is one, architecture, address; or that it is not known.
 */
void refused_call_text(uint64_t call, uint64_t at, char *text, size_t size);
