#!/bin/sh
# embed.sh INPUT.js OUTPUT.h: makes a C header with the bytes of INPUT as `static const char NAME[]` and
# their number as NAME_len, where NAME is INPUT's file name with every character that C does not allow
# in a name replaced by "_".
set -eu

if [ $# -ne 2 ]; then
    echo "usage: embed.sh INPUT.js OUTPUT.h" >&2
    exit 2
fi
input=$1
output=$2
name=$(basename "$input" | sed 's/[^A-Za-z0-9_]/_/g')

{
    printf '/* Made by embed.sh from %s. */\n' "$(basename "$input")"
    printf 'static const char %s[] = {\n' "$name"
    # Bytes above 127 do not fit a signed char: they are written as the negative number they become.
    LC_ALL=C od -An -v -td1 "$input" | awk '{ gsub(/ +/, ","); print substr($0, 2) "," }'
    printf '0};\n'
    printf 'static const unsigned long %s_len = sizeof(%s) - 1;\n' "$name" "$name"
} >"$output.tmp"
mv "$output.tmp" "$output"
