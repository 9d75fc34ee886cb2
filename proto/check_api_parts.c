/* What many requests have. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "proto/check_api_private.h"
#include "proto/limits.h"

#define INVALID CHECK_API_INVALID

int api_error_set(struct api_error *e, int code, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    e->code = code;
    e->hint = hint;
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    text_to_line(e->message);
    return -EBADMSG;
}

int check_api_name(const char *s, const char *field, struct api_error *e)
{
    if (text_is_name(s, LIMIT_NAME_BYTES))
        return 0;
    if (strlen(s) > LIMIT_NAME_BYTES)
        return api_error_set(e, INVALID, NULL, "%s name is longer than %u bytes", field,
                             LIMIT_NAME_BYTES);
    return api_error_set(e, INVALID, "use letters, digits, '.', '_' and '-', and not digits alone",
                         "bad %s name '%.64s'", field, s);
}

int check_api_vm_ref(const char *s, struct api_vm_ref *ret, struct api_error *e)
{
    if (!s || !*s)
        return api_error_set(e, INVALID, NULL, "no VM was named");
    if (text_to_u64(s, &ret->id) && ret->id != 0)
        return 0;
    ret->id = 0;
    ret->name = s;
    return check_api_name(s, "VM", e);
}

/* "cli:" and a uid as the daemon writes it: one spelling for each. */
static bool is_cli_name(const char *s)
{
    uint64_t uid;
    if (strncmp(s, "cli:", 4) != 0 || (s[4] == '0' && s[5] != '\0'))
        return false;
    return text_to_u64(s + 4, &uid) && uid < UINT32_MAX;
}

int check_api_debugger_name(const char *s, struct api_error *e)
{
    if (!s || !*s)
        return api_error_set(e, INVALID, NULL, "no debugger was named");
    return is_cli_name(s) ? 0 : check_api_name(s, "debugger", e);
}

int check_api_debugger_ref(const char *s, struct api_error *e)
{
    uint64_t id;
    if (s && text_to_u64(s, &id) && id != 0)
        return 0;
    return check_api_debugger_name(s, e);
}

int check_api_behalf(const char *s, const char **ret, struct api_error *e)
{
    *ret = s && *s ? s : NULL;
    return *ret ? check_api_debugger_ref(*ret, e) : 0;
}

int check_api_time(uint64_t us, const char *field, struct api_error *e)
{
    if (us <= LIMIT_TIME_US)
        return 0;
    return api_error_set(e, INVALID, NULL, "%s is longer than a year", field);
}

int check_api_page_size(uint32_t asked, uint32_t *ret)
{
    *ret = asked == 0 || asked > LIMIT_PAGE_ITEMS ? LIMIT_PAGE_ITEMS : asked;
    return 0;
}
