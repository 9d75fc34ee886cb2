#include "cli/debug_line.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/print.h"
#include "client/stillpoint.h"

#define HISTORY_LINES 1000
#define END_OF_INPUT '\004' /* as libedit binds it */
#define LINE_BYTES_MAX ((size_t)64 * 1024)

struct debug_line {
    struct debug_line_source source;
    EditLine *edit; /* NULL: no terminal */
    History *history;
    char prompt[STILLPOINT_NAME_BYTES + 32];
    bool interrupted; /* Ctrl-C: the line is dropped */
    bool over;        /* SIGTERM, or the connection has ended */

    /* Without a terminal. */
    char *text;
    size_t bytes, used;
    bool at_end;
};

/* ---- waiting */

/* Until there is something to read. False: a signal came, or the connection ended. */
static bool wait_for_input(struct debug_line *l)
{
    struct stillpoint *sp = l->source.sp;
    for (;;) {
        struct signalfd_siginfo info;
        struct pollfd p[] = {
            {.fd = STDIN_FILENO, .events = POLLIN},
            {.fd = l->source.signal_fd, .events = POLLIN},
            {.fd = stillpoint_fd(sp), .events = stillpoint_poll_events(sp)},
        };
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return false;
        if (read(l->source.signal_fd, &info, sizeof info) == sizeof info) {
            l->interrupted = info.ssi_signo == SIGINT;
            l->over = !l->interrupted;
            return false;
        }
        if (p[2].revents != 0 && stillpoint_dispatch(sp) < 0) {
            l->over = true;
            return false;
        }
        if (p[0].revents != 0)
            return true;
    }
}

/* ---- libedit */

static int get_char(EditLine *edit, wchar_t *ret)
{
    struct debug_line *l;
    mbstate_t state = {0};
    el_get(edit, EL_CLIENTDATA, (void **)&l);
    for (;;) {
        char c;
        if (!wait_for_input(l))
            return -1;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n <= 0)
            return (int)n;
        if (c == '\0') /* so reads an end of input that was typed ahead, in the mode with lines */
            c = END_OF_INPUT;
        size_t used = mbrtowc(ret, &c, 1, &state);
        if (used == (size_t)-2)
            continue;
        if (used == (size_t)-1) {
            *ret = L'?';
            return 1;
        }
        return 1;
    }
}

static char *get_prompt(EditLine *edit)
{
    struct debug_line *l;
    el_get(edit, EL_CLIENTDATA, (void **)&l);
    return l->prompt;
}

/* How much all of them have in common. */
static size_t common_bytes(char *const *words)
{
    size_t n = strlen(words[0]);
    for (size_t i = 1; words[i]; i++)
        for (size_t k = 0; k < n; k++)
            if (words[i][k] != words[0][k])
                n = k;
    return n;
}

static unsigned char offer(EditLine *edit, char *const *words, const char *typed)
{
    size_t typed_bytes = strlen(typed), n = common_bytes(words);
    char more[1024];
    if (!words[1])
        snprintf(more, sizeof more, "%s ", words[0] + typed_bytes);
    else
        snprintf(more, sizeof more, "%.*s", (int)(n - typed_bytes), words[0] + typed_bytes);
    if (more[0])
        return el_insertstr(edit, more) == 0 ? CC_REFRESH : CC_ERROR;
    putchar('\n');
    for (size_t i = 0; words[i]; i++)
        print_line("  %s", words[i]);
    print_flush();
    return CC_REDISPLAY;
}

static unsigned char complete(EditLine *edit, int ch)
{
    struct debug_line *l;
    const LineInfo *info = el_line(edit);
    char typed[1024];
    size_t at, n = (size_t)(info->cursor - info->buffer);
    unsigned char r = CC_ERROR;
    (void)ch;
    el_get(edit, EL_CLIENTDATA, (void **)&l);
    if (n >= sizeof typed)
        return CC_ERROR;
    memcpy(typed, info->buffer, n);
    typed[n] = '\0';
    char **words = l->source.complete(l->source.userdata, typed, &at);
    if (words && words[0])
        r = offer(edit, words, typed + at);
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
    return r;
}

static void use_terminal(struct debug_line *l)
{
    HistEvent event;
    l->edit = el_init("stillctl", stdin, stdout, stderr);
    if (!l->edit)
        return;
    el_set(l->edit, EL_CLIENTDATA, l);
    el_set(l->edit, EL_PROMPT, get_prompt);
    el_set(l->edit, EL_EDITOR, "emacs");
    /* With wide texts, of which it keeps the pointers: it would copy narrow ones, and lose them. */
    el_wset(l->edit, EL_ADDFN, L"complete", L"complete the word", complete);
    el_set(l->edit, EL_BIND, "\t", "complete", NULL);
    el_set(l->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(l->edit, EL_GETCFN, get_char);
    l->history = history_init();
    if (!l->history)
        return;
    history(l->history, &event, H_SETSIZE, HISTORY_LINES);
    history(l->history, &event, H_SETUNIQUE, 1);
    el_set(l->edit, EL_HIST, history, l->history);
}

static char *edit_line(struct debug_line *l)
{
    HistEvent event;
    int n;
    const char *line;
    do {
        l->interrupted = false;
        /* Before the prompt is seen. el_gets changes the mode after it: what is typed in between
         * would be taken as a line, and its end of input as a NUL. */
        el_set(l->edit, EL_PREP_TERM, 1);
        line = el_gets(l->edit, &n);
        if (l->interrupted) {
            puts("^C");
            el_reset(l->edit);
        }
    } while (l->interrupted);
    if (!line || n <= 0 || l->over) {
        putchar('\n');
        return NULL;
    }
    free(l->text);
    l->text = strndup(line, strcspn(line, "\n"));
    if (l->text && l->text[0] && l->history)
        history(l->history, &event, H_ENTER, l->text);
    return l->text;
}

/* ---- without a terminal */

static bool read_more(struct debug_line *l)
{
    if (l->used > 0) {
        memmove(l->text, l->text + l->used, l->bytes - l->used);
        l->bytes -= l->used;
        l->used = 0;
    }
    char *text = l->bytes < LINE_BYTES_MAX ? realloc(l->text, l->bytes + 4097) : NULL;
    if (!text)
        return false;
    l->text = text;
    l->interrupted = false;
    if (!wait_for_input(l))
        return l->interrupted; /* Ctrl-C where nothing runs */
    ssize_t n = read(STDIN_FILENO, l->text + l->bytes, 4096);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    l->at_end = n == 0;
    l->bytes += (size_t)n;
    return true;
}

static char *plain_line(struct debug_line *l)
{
    for (;;) {
        char *start = l->text + l->used;
        char *newline = l->bytes > l->used ? memchr(start, '\n', l->bytes - l->used) : NULL;
        if (newline) {
            *newline = '\0';
            l->used = (size_t)(newline - l->text) + 1;
            return start;
        }
        if (l->at_end && l->bytes > l->used) {
            l->text[l->bytes] = '\0';
            l->used = l->bytes;
            return start;
        }
        if (l->at_end || l->over || !read_more(l))
            return NULL;
    }
}

/* ---- both */

struct debug_line *debug_line_new(const struct debug_line_source *source)
{
    struct debug_line *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->source = *source;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        use_terminal(l);
    return l;
}

struct debug_line *debug_line_free(struct debug_line *l)
{
    if (!l)
        return NULL;
    if (l->edit)
        el_end(l->edit);
    if (l->history)
        history_end(l->history);
    free(l->text);
    free(l);
    return NULL;
}

bool debug_line_is_tty(const struct debug_line *l)
{
    return l->edit != NULL;
}

char *debug_line_read(struct debug_line *l)
{
    l->source.prompt(l->source.userdata, l->prompt, sizeof l->prompt);
    return l->edit ? edit_line(l) : plain_line(l);
}
