#include "worker/one_line.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

char *one_line(const char *text, char *line, size_t size)
{
    size_t len = strnlen(text, size - 1);
    if (text[len] != '\0')
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    for (size_t i = 0; i < len; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        line[i] = text[i];
        if (control)
            line[i] = ' ';
        /* U+0080 to U+009F */
        if (i > 0 && (unsigned char)line[i - 1] == 0xc2 && ((unsigned char)text[i] & 0xe0) == 0x80)
            line[i - 1] = line[i] = ' ';
    }
    line[len] = '\0';
    if (!text_is_utf8(line, len))
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)line[i] >= 0x80)
                line[i] = '?';
    return line;
}
