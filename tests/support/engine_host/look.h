/*
 * look.h: a debugger for tests. Wherever the VM stands a session says so in a line of JSON, and
 * then answers questions, a line each, until one of them lets the VM go on:
 *
 *   stack MAX · frames FIRST MAX · scopes FRAME · arguments FRAME · variable FRAME NAME REF
 *   variables REF FIRST MAX GETTERS [LIMIT-MS] · evaluate FRAME REALM REFS LIMIT-MS EXPRESSION
 *   assign FRAME NAME LIMIT-MS EXPRESSION · sources FIRST MAX · source_text SOURCE URL FIRST MAX
 *   read FRAME MEMORY ADDRESS LENGTH · write FRAME MEMORY ADDRESS BYTES · realms · gc
 *   go · terminate
 *
 * Texts are in hexadecimal, "-" is an empty one; "none" is UINT32_MAX. An evaluation that takes
 * longer than LIMIT-MS is ended as the worker would do it; 0 is no limit.
 */
#pragma once

#include "worker/engine.h"

#include <atomic>
#include <string>

class Look
{
  public:
    Look(const engine_ops *ops, int control_fd, int report_fd)
        : ops(ops), control_fd(control_fd), report_fd(report_fd)
    {
    }

    engine *vm = nullptr;

    /** Returns what the host's callback has to. */
    int stand(const char *where);

    /** True while an evaluation of ours is what runs. */
    bool evaluating() const { return evaluations != 0; }
    /** What a safe point in an evaluation returns. */
    int evaluation_safe_point() const { return over ? ENGINE_TERMINATED : 0; }

  private:
    const engine_ops *ops;
    int control_fd, report_fd;
    std::string unread;
    unsigned evaluations = 0;
    std::atomic<bool> over{false};

    bool read_question(std::string *ret_line);
    void say(const std::string &line);
    std::string answer(const std::string &question);
};
