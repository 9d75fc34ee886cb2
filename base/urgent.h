/*
 * urgent.h: `_urgent_` marks the functions of a way that is gone seldom and must not take long. The
 * compiler puts them side by side, so that when the caches have lost them few pages are read again.
 * Nothing else follows from the mark.
 */
#pragma once

#define _urgent_ __attribute__((hot))
