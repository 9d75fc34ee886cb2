/*
 * host_main.cc: a stand-in for the worker, to develop and test an engine adapter with.
 *
 * engine-host [OPTION…] FILE [ARG…] behaves as `node FILE [ARG…]`: one VM, an event loop, imports
 * from FILE's folder, a few WASI functions. The VM runs in a child that is forked between `init`
 * and `vm_new`, as a zygote does it. Options:
 *
 *   --no-fork            init and vm_new in one process
 *   --heap=BYTES         soft memory limit
 *   --threads=N          helper threads
 *   --interrupt=USECS    a second thread interrupts at random, USECS apart on the average
 *   --interrupt-after=USECS    once, when the VM's thread has been on a processor for so long since
 * its program began to be loaded: where that is does not depend on who else runs
 *   --terminate=MSECS    after that time the next safe point asks the VM to end
 *   --message=JSON       delivered once the program has started; may be repeated
 *   --call=NAME:JSON     called once the program has started; may be repeated
 *   --interrupts=N       no more than that many of them
 *   --inspect=KINDS      asks at every safe point, sleep, line of output and WASI call, and when
 *                        idle: g collects garbage, c takes a census, s the stack; as "gcs"
 *   --report=FD          where each answer goes, as a line of JSON; without it nowhere
 *   --max-frames=N       of a stack (512)
 *   --gc                 says before the end what a collection leaves
 *   --debug              what is compiled can be inspected (engine_config.debug)
 *   --look=FD            where the VM stands, questions are read from there, and answered to the
 *                        report (look.h)
 *   --look-at=PLACES     only there: safe_point, sleep, write, wasi, idle; separated by commas
 *
 * Auditors; everything that they report goes to --report as lines of JSON:
 *
 *   --audit=KIND[@REALM],…      at all realms or one, later ones too; pop and step at every frame
 *                               that is entered
 *   --break=URL:LINE[:COLUMN], --break=URL@OFFSET     in every script that is loaded
 *   --answer=KIND:FUNCTION:ACTION:EXPRESSION          to the first such hit: return, throw,
 *                                                     terminate; may be repeated
 *   --wanted=NAME=PREVIEW      of breakpoints only hits at which the variable looks so, or is not
 * there
 *   --condition=EXPRESSION, --variable=NAME, --arguments, --hit-stack     looked at in each hit
 *   --off-after=N               clears all after so many hits
 *   --audit-at-interrupt        sets them at the first safe point, not at the start
 *   --step-at-interrupt=N       steps the frame that is interrupted first, N times
 *   --quiet                     reports only how many hits there were
 */
#include "auditing.h"
#include "look.h"

#include "worker/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace
{

struct Options {
    bool fork = true;
    bool gc = false;
    bool debug = false;
    uint64_t heap_bytes = 0;
    unsigned threads = 2;
    unsigned interrupt_us = 0;
    unsigned interrupts = UINT_MAX;
    uint64_t interrupt_after_ns = 0;
    unsigned terminate_ms = 0;
    std::string inspect;
    int report_fd = -1;
    size_t max_frames = 512;
    int look_fd = -1;
    std::string look_at = "safe_point,sleep,write,wasi,idle";
    std::vector<std::string> messages;
    std::vector<std::string> calls;
};

struct Timer {
    uint64_t id;
    uint64_t period_ns; /**< 0: fires once */
};

struct Host {
    const engine_ops *ops;
    engine *vm;
    std::string folder;
    std::vector<std::string> arguments;
    int wake_fd;
    std::multimap<uint64_t, Timer>
        timers; /**< by deadline; equal ones in the order of their start */
    std::deque<std::pair<uint64_t, std::string>> imports;
    bool loaded = false;
    std::string load_error;
    unsigned open_calls = 0;
    std::atomic<bool> stop_interrupter{false};
    clockid_t cpu_clock; /**< of the VM's thread */
    uint64_t terminate_at = UINT64_MAX;
    const Options *options;
    std::unique_ptr<Look> look;
};

uint64_t monotonic_ns()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

/** Of a thread, this one if not said: what a busy machine does not change. */
uint64_t cpu_ns(clockid_t clock = CLOCK_THREAD_CPUTIME_ID)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

Host *host_of(void *data)
{
    return static_cast<Host *>(data);
}

void write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (n > 0) {
            text += n;
            length -= static_cast<size_t>(n);
        }
    }
}

/** Maps a file; false with errno. */
bool map_file(const std::string &path, const uint8_t **ret_text, size_t *ret_bytes)
{
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat info;
    bool ok = fstat(fd, &info) == 0;
    void *text = nullptr;
    if (ok && !S_ISREG(info.st_mode)) {
        errno = EISDIR;
        ok = false;
    }
    if (ok && info.st_size > 0) {
        text = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
        ok = text != MAP_FAILED;
    }
    int error = errno;
    close(fd);
    errno = error;
    *ret_text = info.st_size > 0 ? static_cast<const uint8_t *>(text)
                                 : reinterpret_cast<const uint8_t *>("");
    *ret_bytes = static_cast<size_t>(info.st_size);
    return ok;
}

/* What the engine asks for */

/** Asks what --inspect says. Everything that an answer has is in its line. */
class Inspector
{
  public:
    Inspector(Host *host, const char *where) : host(host), where(where) {}

    void ask_all()
    {
        for (char kind : host->options->inspect)
            ask(kind);
    }

  private:
    Host *host;
    const char *where;
    std::string rows;

    static std::string quoted(const char *text)
    {
        std::string quoted = "\"";
        for (; *text; text++) {
            char escape[8];
            snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned char>(*text));
            bool plain = static_cast<unsigned char>(*text) >= 0x20 && *text != '"' && *text != '\\';
            quoted += plain ? std::string(1, *text) : escape;
        }
        return quoted + "\"";
    }

    void add_row(const std::string &row) { rows += (rows.empty() ? "" : ",") + row; }

    static void on_class(void *data, const engine_class *row)
    {
        static_cast<Inspector *>(data)->add_row(quoted(row->name) + ":[" +
                                                std::to_string(row->count) + "," +
                                                std::to_string(row->bytes) + "]");
    }

    static void on_frame(void *data, const engine_frame *frame)
    {
        static const char *const KINDS[] = {"?", "js", "wasm", "host"};
        static_cast<Inspector *>(data)->add_row(
            "{\"kind\":" + quoted(KINDS[frame->kind]) + ",\"function\":" + quoted(frame->function) +
            ",\"url\":" + quoted(frame->url) + ",\"line\":" + std::to_string(frame->line) +
            ",\"column\":" + std::to_string(frame->column) +
            ",\"offset\":" + std::to_string(frame->offset) + "}");
    }

    void ask(char kind)
    {
        std::string line;
        uint64_t start = cpu_ns(), before = 0, after = 0;
        bool truncated = false;
        int r = -EINVAL;
        rows.clear();
        if (kind == 'g') {
            r = host->ops->gc(host->vm, &before, &after);
            line = "\"before\":" + std::to_string(before) + ",\"after\":" + std::to_string(after);
        } else if (kind == 'c') {
            r = host->ops->census(host->vm, on_class, this);
            line = "\"classes\":{" + rows + "}";
        } else if (kind == 's') {
            r = host->ops->stack(host->vm, host->options->max_frames, on_frame, this, &truncated);
            line = "\"frames\":[" + rows + "],\"truncated\":" + (truncated ? "true" : "false");
        }
        uint64_t us = (cpu_ns() - start) / 1000;
        line = "{\"where\":" + quoted(where) + ",\"error\":" + std::to_string(r) +
               ",\"us\":" + std::to_string(us) + "," + line + "}\n";
        if (host->options->report_fd >= 0)
            write_all(host->options->report_fd, line.data(), line.size());
    }
};

/** In an evaluation nothing may wait. */
bool refuse_to_wait(Host *host)
{
    return host->look && host->look->evaluating();
}

/** The VM is in a host callback, and whoever looks at it does that now. */
int stand(Host *host, const char *where)
{
    if (!host->look || ("," + host->options->look_at + ",").find("," + std::string(where) + ",") ==
                           std::string::npos)
        return 0;
    return host->look->stand(where);
}

/* This host has no signals. */
void on_needs_watcher(void *) {}

int on_safe_point(void *data)
{
    Host *host = host_of(data);
    if (host->look && host->look->evaluating())
        return host->look->evaluation_safe_point();
    Inspector(host, "safe_point").ask_all();
    auditing_at_safe_point();
    if (stand(host, "safe_point") != 0)
        return ENGINE_TERMINATED;
    return monotonic_ns() >= host->terminate_at ? ENGINE_TERMINATED : 0;
}

int on_write(void *data, engine_stream stream, engine_level level, const char *text, size_t length)
{
    Host *host = host_of(data);
    std::string line(text, length);
    if (!refuse_to_wait(host)) {
        Inspector(host, "write").ask_all();
        if (stand(host, "write") != 0)
            return ENGINE_TERMINATED;
    } else if (line.find("wait") != std::string::npos) {
        return -EWOULDBLOCK; /* a test wants its reader to be slow */
    }
    if (level != ENGINE_LEVEL_RAW)
        line += '\n';
    write_all(stream == ENGINE_STDERR ? STDERR_FILENO : STDOUT_FILENO, line.data(), line.size());
    return 0;
}

uint64_t on_now(void *)
{
    return monotonic_ns();
}

int on_timer_start(void *data, uint64_t id, uint64_t delay_ns, bool repeat)
{
    host_of(data)->timers.insert({monotonic_ns() + delay_ns, {id, repeat ? delay_ns : 0}});
    return 0;
}

void on_timer_cancel(void *data, uint64_t id)
{
    auto &timers = host_of(data)->timers;
    for (auto i = timers.begin(); i != timers.end(); ++i) {
        if (i->second.id == id) {
            timers.erase(i);
            return;
        }
    }
}

int on_sleep_until(void *data, uint64_t deadline_ns)
{
    Host *host = host_of(data);
    if (refuse_to_wait(host))
        return -EWOULDBLOCK;
    Inspector(host, "sleep").ask_all();
    if (stand(host, "sleep") != 0)
        return ENGINE_TERMINATED;
    for (;;) {
        uint64_t now = monotonic_ns();
        if (now >= host->terminate_at)
            return ENGINE_TERMINATED;
        uint64_t until = std::min(deadline_ns, host->terminate_at);
        if (now >= deadline_ns)
            return 0;
        uint64_t ms = std::min<uint64_t>((until - now) / 1000000 + 1, 1000);
        poll(nullptr, 0, static_cast<int>(ms));
    }
}

int on_import_request(void *data, uint64_t import_id, const char *path)
{
    host_of(data)->imports.push_back({import_id, path});
    return 0;
}

int on_post(void *, const char *json, size_t length)
{
    std::string line = "posted: " + std::string(json, length) + "\n";
    write_all(STDOUT_FILENO, line.data(), line.size());
    return 0;
}

void on_call_done(void *data, uint64_t call_id, bool ok, const char *text, size_t length)
{
    std::string line = "call " + std::to_string(call_id) + (ok ? ": " : " failed: ") +
                       std::string(text, length) + "\n";
    write_all(STDOUT_FILENO, line.data(), line.size());
    host_of(data)->open_calls--;
}

void on_loaded(void *data, const char *error)
{
    Host *host = host_of(data);
    host->loaded = true;
    if (error)
        host->load_error = error;
}

void on_oom(void *) {}

void on_wake(void *data)
{
    uint64_t one = 1;
    while (write(host_of(data)->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* WASI, as much as hello-world programs use */

constexpr uint32_t WASI_BADF = 8, WASI_FAULT = 21, WASI_NOSYS = 52;

struct Memory {
    uint8_t *data;
    size_t bytes;

    uint8_t *at(uint64_t address, uint64_t length) const
    {
        return data && address <= bytes && length <= bytes - address ? data + address : nullptr;
    }
    bool put32(uint64_t address, uint32_t value) const
    {
        uint8_t *p = at(address, sizeof(value));
        if (p)
            memcpy(p, &value, sizeof(value));
        return p;
    }
    bool put64(uint64_t address, uint64_t value) const
    {
        uint8_t *p = at(address, sizeof(value));
        if (p)
            memcpy(p, &value, sizeof(value));
        return p;
    }
    uint32_t get32(uint64_t address) const
    {
        uint32_t value = 0;
        if (const uint8_t *p = at(address, sizeof(value)))
            memcpy(&value, p, sizeof(value));
        return value;
    }
};

uint32_t wasi_args_sizes(Host *host, const uint64_t *a, Memory m)
{
    size_t bytes = 0;
    for (const std::string &argument : host->arguments)
        bytes += argument.size() + 1;
    return m.put32(a[0], static_cast<uint32_t>(host->arguments.size())) &&
                   m.put32(a[1], static_cast<uint32_t>(bytes))
               ? 0
               : WASI_FAULT;
}

uint32_t wasi_args(Host *host, const uint64_t *a, Memory m)
{
    uint64_t pointers = a[0], bytes = a[1];
    for (const std::string &argument : host->arguments) {
        uint8_t *p = m.at(bytes, argument.size() + 1);
        if (!p || !m.put32(pointers, static_cast<uint32_t>(bytes)))
            return WASI_FAULT;
        memcpy(p, argument.c_str(), argument.size() + 1);
        pointers += 4;
        bytes += argument.size() + 1;
    }
    return 0;
}

uint32_t wasi_environ_sizes(Host *, const uint64_t *a, Memory m)
{
    return m.put32(a[0], 0) && m.put32(a[1], 0) ? 0 : WASI_FAULT;
}

uint32_t wasi_nothing(Host *, const uint64_t *, Memory)
{
    return 0;
}
uint32_t wasi_bad_file(Host *, const uint64_t *, Memory)
{
    return WASI_BADF;
}
uint32_t wasi_unsupported(Host *, const uint64_t *, Memory)
{
    return WASI_NOSYS;
}

uint32_t wasi_fd_write(Host *, const uint64_t *a, Memory m)
{
    if (a[0] != STDOUT_FILENO && a[0] != STDERR_FILENO)
        return WASI_BADF;
    uint32_t total = 0;
    for (uint64_t i = 0; i < a[2]; i++) {
        uint32_t length = m.get32(a[1] + 8 * i + 4);
        const uint8_t *text = m.at(m.get32(a[1] + 8 * i), length);
        if (!text)
            return WASI_FAULT;
        write_all(static_cast<int>(a[0]), reinterpret_cast<const char *>(text), length);
        total += length;
    }
    return m.put32(a[3], total) ? 0 : WASI_FAULT;
}

uint32_t wasi_clock_time(Host *, const uint64_t *a, Memory m)
{
    return m.put64(a[2], monotonic_ns()) ? 0 : WASI_FAULT;
}

struct WasiRow {
    const char *name;
    const char *params;
    uint32_t (*call)(Host *, const uint64_t *, Memory); /**< NULL: proc_exit */
};

const WasiRow WASI_ROWS[] = {
    {"args_sizes_get", "ii", wasi_args_sizes},
    {"args_get", "ii", wasi_args},
    {"environ_sizes_get", "ii", wasi_environ_sizes},
    {"environ_get", "ii", wasi_nothing},
    {"clock_time_get", "ili", wasi_clock_time},
    {"fd_write", "iiii", wasi_fd_write},
    {"fd_read", "iiii", wasi_bad_file},
    {"fd_close", "i", wasi_bad_file},
    {"fd_seek", "ilii", wasi_bad_file},
    {"fd_fdstat_get", "ii", wasi_bad_file},
    {"fd_prestat_get", "ii", wasi_bad_file},
    {"fd_prestat_dir_name", "iii", wasi_bad_file},
    {"random_get", "ii", wasi_unsupported},
    {"sched_yield", "", wasi_nothing},
    {"proc_exit", "i", nullptr},
};

std::vector<engine_wasi_function> wasi_table()
{
    std::vector<engine_wasi_function> table;
    for (const WasiRow &row : WASI_ROWS)
        table.push_back({row.name, row.params, row.call != nullptr});
    table.push_back({nullptr, nullptr, false});
    return table;
}

int on_wasi_call(void *data, unsigned index, const uint64_t *args, uint8_t *memory,
                 size_t memory_bytes, uint32_t *ret_value)
{
    const WasiRow &row = WASI_ROWS[index];
    if (!row.call) {
        *ret_value = static_cast<uint32_t>(args[0]);
        return ENGINE_EXIT;
    }
    Inspector(host_of(data), "wasi").ask_all();
    if (stand(host_of(data), "wasi") != 0)
        return ENGINE_TERMINATED;
    *ret_value = row.call(host_of(data), args, {memory, memory_bytes});
    return 0;
}

/* The loop */

void answer_import(Host *host)
{
    auto [id, path] = host->imports.front();
    host->imports.pop_front();
    const uint8_t *text = nullptr;
    size_t bytes = 0;
    bool ok = map_file(host->folder + "/" + path, &text, &bytes);
    host->ops->import_answer(host->vm, id, ok ? nullptr : strerror(errno), text, bytes);
}

/** Until the first deadline, in ms as poll takes it. */
int poll_timeout(const Host *host)
{
    if (host->timers.empty())
        return -1;
    uint64_t now = monotonic_ns(), deadline = host->timers.begin()->first;
    return deadline <= now
               ? 0
               : static_cast<int>(std::min<uint64_t>((deadline - now) / 1000000 + 1, 60000));
}

int fire_due_timer(Host *host, bool *ret_fired)
{
    *ret_fired = false;
    auto first = host->timers.begin();
    if (first == host->timers.end() || first->first > monotonic_ns())
        return 0;
    *ret_fired = true;
    Timer timer = first->second;
    host->timers.erase(first);
    if (timer.period_ns != 0)
        host->timers.insert({monotonic_ns() + timer.period_ns, timer});
    return host->ops->fire_timer(host->vm, timer.id);
}

int loop(Host *host)
{
    for (;;) {
        if (!host->imports.empty()) {
            answer_import(host);
            continue;
        }
        int outcome = 0;
        bool fired = false;
        if (host->ops->jobs_ready(host->vm))
            outcome = host->ops->run_jobs(host->vm);
        else
            outcome = fire_due_timer(host, &fired);
        if (outcome != 0)
            return outcome;
        if (fired || host->ops->jobs_ready(host->vm) || !host->imports.empty())
            continue;
        bool waits = host->ops->pending(host->vm);
        if (!waits && host->timers.empty())
            return 0;
        Inspector(host, "idle").ask_all();
        if (stand(host, "idle") != 0)
            return ENGINE_TERMINATED;
        struct pollfd wake = {host->wake_fd, POLLIN, 0};
        if (poll(&wake, 1, poll_timeout(host)) > 0) {
            uint64_t count;
            if (read(host->wake_fd, &count, sizeof(count)) < 0)
                continue;
        } else if (waits && host->timers.empty()) {
            return 0;
        }
    }
}

void *interrupter(void *data)
{
    Host *host = host_of(data);
    unsigned seed = static_cast<unsigned>(getpid()), interrupt_us = host->options->interrupt_us;
    unsigned left = host->options->interrupts;
    uint64_t after_ns = host->options->interrupt_after_ns, start = cpu_ns(host->cpu_clock);
    while (!host->stop_interrupter) {
        uint64_t now = monotonic_ns();
        uint64_t us = interrupt_us ? rand_r(&seed) % (2 * interrupt_us) : after_ns ? 1000 : 100000;
        if (host->terminate_at > now && host->terminate_at != UINT64_MAX)
            us = std::min<uint64_t>(us, (host->terminate_at - now) / 1000 + 1);
        usleep(static_cast<useconds_t>(us));
        bool periodic = interrupt_us && left > 0;
        left -= periodic;
        bool once = after_ns && cpu_ns(host->cpu_clock) - start >= after_ns;
        if (once)
            after_ns = 0;
        if (periodic || once || monotonic_ns() >= host->terminate_at)
            host->ops->interrupt(host->vm);
    }
    return nullptr;
}

int after_start(Host *host, const Options &options)
{
    for (const std::string &message : options.messages) {
        int r = host->ops->deliver(host->vm, message.data(), message.size());
        if (r > 0)
            return r;
        if (r < 0)
            fprintf(stderr, "engine-host: deliver: %s\n", strerror(-r));
    }
    uint64_t id = 0;
    for (const std::string &call : options.calls) {
        size_t colon = std::min(call.find(':'), call.size());
        std::string json = colon < call.size() ? call.substr(colon + 1) : "[]";
        host->open_calls++;
        int r = host->ops->call(host->vm, ++id, call.substr(0, colon).c_str(), json.data(),
                                json.size());
        if (r > 0)
            return r;
        if (r < 0) {
            host->open_calls--;
            fprintf(stderr, "engine-host: call: %s\n", strerror(-r));
        }
    }
    return 0;
}

bool ends_with(const std::string &text, const char *suffix)
{
    size_t length = strlen(suffix);
    return text.size() >= length && text.compare(text.size() - length, length, suffix) == 0;
}

int exit_status(Host *host, int outcome)
{
    if (outcome == 0)
        return host->ops->exit_code(host->vm);
    struct engine_exit info = host->ops->exit_info(host->vm);
    if (outcome == ENGINE_TERMINATED)
        return 124;
    if (outcome == ENGINE_OOM)
        fprintf(stderr, "engine-host: %s\n", info.detail);
    return info.code;
}

int run_program(const engine_ops *ops, const Options &options, int argc, char **argv)
{
    Host host;
    host.ops = ops;
    std::string file = argv[0];
    size_t slash = file.rfind('/');
    host.folder = slash == std::string::npos ? "." : file.substr(0, slash);
    std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
    host.arguments.assign(argv, argv + argc);
    host.wake_fd = eventfd(0, EFD_CLOEXEC);
    host.options = &options;
    if (options.terminate_ms)
        host.terminate_at = monotonic_ns() + options.terminate_ms * 1000000ull;

    std::vector<engine_wasi_function> table = wasi_table();
    engine_host_ops host_ops = {};
    host_ops.safe_point = on_safe_point;
    host_ops.needs_watcher = on_needs_watcher;
    host_ops.write = on_write;
    host_ops.now_ns = on_now;
    host_ops.timer_start = on_timer_start;
    host_ops.timer_cancel = on_timer_cancel;
    host_ops.sleep_until = on_sleep_until;
    host_ops.import_request = on_import_request;
    host_ops.post = on_post;
    host_ops.call_done = on_call_done;
    host_ops.loaded = on_loaded;
    host_ops.oom = on_oom;
    host_ops.wake = on_wake;
    host_ops.wasi_functions = table.data();
    host_ops.wasi_call = on_wasi_call;
    host_ops.debug = &AUDITING_HOST_OPS;

    engine_config config = {};
    config.heap_bytes = options.heap_bytes;
    config.helper_threads = options.threads;
    config.debug = options.debug;
    config.host_ops = &host_ops;
    config.host = &host;

    engine_program program = {};
    program.kind = ends_with(name, ".wasm")  ? ENGINE_SOURCE_WASM
                   : ends_with(name, ".mjs") ? ENGINE_SOURCE_MODULE
                                             : ENGINE_SOURCE_SCRIPT_OR_MODULE;
    program.path = name.c_str();
    program.argc = static_cast<size_t>(argc - 1);
    program.argv = argv + 1;
    if (!map_file(file, &program.text, &program.text_bytes)) {
        fprintf(stderr, "engine-host: cannot read %s: %s\n", file.c_str(), strerror(errno));
        return 125;
    }
    int r = ops->vm_new(&config, &host.vm);
    if (r < 0) {
        fprintf(stderr, "engine-host: vm_new: %s\n", strerror(-r));
        return 125;
    }
    if (options.look_fd >= 0) {
        host.look = std::make_unique<Look>(ops, options.look_fd, options.report_fd);
        host.look->vm = host.vm;
    }
    if (auditing_wanted())
        auditing_start(ops, host.vm, options.report_fd);
    pthread_t thread;
    bool interrupting = options.interrupt_us || options.interrupt_after_ns || options.terminate_ms;
    if (interrupting) {
        pthread_getcpuclockid(pthread_self(), &host.cpu_clock);
        pthread_create(&thread, nullptr, interrupter, &host);
    }

    r = ops->load(host.vm, &program);
    while (r == 0 && !host.loaded && !host.imports.empty())
        answer_import(&host);
    int status = 125;
    if (r < 0 || !host.loaded) {
        fprintf(stderr, "engine-host: load: %s\n", r < 0 ? strerror(-r) : "never ended");
    } else if (!host.load_error.empty()) {
        fprintf(stderr, "%s\n", host.load_error.c_str());
        status = 1;
    } else {
        int outcome = ops->run(host.vm);
        if (outcome == 0)
            outcome = after_start(&host, options);
        if (outcome == 0)
            outcome = loop(&host);
        if (options.gc) {
            uint64_t before = 0, after = 0;
            ops->gc(host.vm, &before, &after);
            fprintf(stderr, "gc: %llu -> %llu\n", static_cast<unsigned long long>(before),
                    static_cast<unsigned long long>(after));
        }
        if (auditing_wanted())
            auditing_end();
        status = exit_status(&host, outcome);
    }
    if (interrupting) {
        host.stop_interrupter = true;
        pthread_join(thread, nullptr);
    }
    ops->vm_free(host.vm);
    close(host.wake_fd);
    return status;
}

bool parse_option(const char *text, Options *options)
{
    auto value = [&](const char *name) {
        size_t length = strlen(name);
        return strncmp(text, name, length) == 0 ? text + length : nullptr;
    };
    if (strcmp(text, "--no-fork") == 0)
        options->fork = false;
    else if (strcmp(text, "--gc") == 0)
        options->gc = true;
    else if (strcmp(text, "--debug") == 0)
        options->debug = true;
    else if (const char *heap = value("--heap="))
        options->heap_bytes = strtoull(heap, nullptr, 10);
    else if (const char *threads = value("--threads="))
        options->threads = static_cast<unsigned>(atoi(threads));
    else if (const char *interrupt = value("--interrupt="))
        options->interrupt_us = static_cast<unsigned>(atoi(interrupt));
    else if (const char *interrupts = value("--interrupts="))
        options->interrupts = static_cast<unsigned>(atoi(interrupts));
    else if (const char *after = value("--interrupt-after="))
        options->interrupt_after_ns = strtoull(after, nullptr, 10) * 1000;
    else if (const char *kinds = value("--inspect="))
        options->inspect = kinds;
    else if (const char *fd = value("--report="))
        options->report_fd = atoi(fd);
    else if (const char *frames = value("--max-frames="))
        options->max_frames = strtoull(frames, nullptr, 10);
    else if (const char *look = value("--look="))
        options->look_fd = atoi(look);
    else if (const char *places = value("--look-at="))
        options->look_at = places;
    else if (const char *terminate = value("--terminate="))
        options->terminate_ms = static_cast<unsigned>(atoi(terminate));
    else if (const char *message = value("--message="))
        options->messages.push_back(message);
    else if (const char *call = value("--call="))
        options->calls.push_back(call);
    else
        return auditing_option(text);
    return true;
}

} // namespace

int main(int argc, char **argv)
{
    Options options;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (!parse_option(argv[i], &options)) {
            fprintf(stderr, "engine-host: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (i == argc) {
        fprintf(stderr, "usage: engine-host [OPTION…] FILE [ARG…]\n");
        return 2;
    }
    const engine_ops *ops = engine_ops_get();
    int r = ops->init();
    if (r < 0) {
        fprintf(stderr, "engine-host: init: %s\n", strerror(-r));
        return 125;
    }
    if (!options.fork)
        return run_program(ops, options, argc - i, argv + i);
    pid_t child = fork();
    if (child < 0)
        return 125;
    if (child == 0)
        _exit(run_program(ops, options, argc - i, argv + i));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
