/*
 * address.h: the 64-bit addresses by which LLDB knows WebAssembly: bits 63 and 62 say what it is an
 * address of, 61 to 32 are the id of an instance, 31 to 0 an offset in it. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Ids of instances are 1 to this, and none is used twice. */
#define ADDRESS_MOST_INSTANCES 0x3fffffffu

/** Where a thread stands that is in no WebAssembly: this is nobody's code. */
#define ADDRESS_NOWHERE 0xc000000000000000ull

/** Of one instance's memory, or code. */
#define ADDRESS_SPAN 0x100000000ull

enum address_kind {
    ADDRESS_MEMORY = 0,
    ADDRESS_CODE = 1,
};

static inline uint64_t address_make(enum address_kind kind, uint32_t instance, uint32_t offset)
{
    return (uint64_t)kind << 62 | (uint64_t)instance << 32 | offset;
}

/** False: it is of neither kind. */
static inline bool address_is(uint64_t address, enum address_kind kind)
{
    return address >> 62 == (uint64_t)kind;
}

static inline uint32_t address_instance(uint64_t address)
{
    return (uint32_t)(address >> 32) & ADDRESS_MOST_INSTANCES;
}

static inline uint32_t address_offset(uint64_t address)
{
    return (uint32_t)address;
}
