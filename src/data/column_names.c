/* SPDX-License-Identifier: Apache-2.0 */
/* Column names are bytes of a stranger's file; a message shows them short and printable. Also the
 * format that a path's end names. */
#include "data/column_names.h"

#include <stdio.h>
#include <string.h>

bool sqzi_text_is(sqz_text text, const char *word)
{
    if (!word) return false;
    const size_t n = strlen(word);
    return text.n_bytes == n && (n == 0 || memcmp(text.bytes, word, n) == 0);
}

/* Bytes of a name that a message shows: whole code points. */
static size_t shown_bytes(sqz_text name)
{
    enum { MOST = 40 };
    if (name.n_bytes <= MOST) return name.n_bytes;
    size_t n = MOST;
    while (n && ((unsigned char)name.bytes[n] & 0xC0) == 0x80) n--;
    return n;
}

void sqzi_list_names(const sqz_text *names, size_t n, size_t stride, char to[SQZI_NAMES_BYTES])
{
    enum { SPARE = 70 }; /* a name and "and N more" */
    size_t used = 0, shown = 0;
    const char *at = (const char *)names;
    for (; shown < n && used + SPARE < SQZI_NAMES_BYTES; shown++, at += stride) {
        const sqz_text *name = (const void *)at;
        if (shown) used += (size_t)snprintf(to + used, SQZI_NAMES_BYTES - used, ", ");
        to[used++] = '\'';
        for (size_t i = 0, end = shown_bytes(*name); i < end; i++)
            to[used++] = (unsigned char)name->bytes[i] < 0x20 ? ' ' : name->bytes[i];
        to[used++] = '\'';
    }
    if (!n) used = (size_t)snprintf(to, SQZI_NAMES_BYTES, "none");
    else if (shown < n)
        used += (size_t)snprintf(to + used, SQZI_NAMES_BYTES - used, " and %zu more", n - shown);
    to[used] = '\0';
}

const char *sqzi_header_hint(const sqz_text *names, size_t n, char separator)
{
    static const char *const by[] = {
        "\t; cells seem to be parted by TABs: read it as tsv (--input tsv)",
        ",; cells seem to be parted by ',': read it as csv (--input csv)",
        ";; cells seem to be parted by ';', which is not read: save it with commas or TABs",
        "|; cells seem to be parted by '|', which is not read: save it with commas or TABs"};
    for (size_t i = 0; n == 1 && i < sizeof by / sizeof *by; i++)
        if (by[i][0] != separator && memchr(names->bytes, by[i][0], names->n_bytes))
            return by[i] + 1;
    return "";
}

/* Does the path end so, whatever its case? */
static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), bytes = strlen(end);
    if (n < bytes) return false;
    for (size_t i = 0; i < bytes; i++) {
        const char c = path[n - bytes + i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != end[i]) return false;
    }
    return true;
}

sqz_rows_format sqz_rows_format_of(const char *path)
{
    if (ends_in(path, ".csv")) return SQZ_ROWS_CSV;
    if (ends_in(path, ".tsv")) return SQZ_ROWS_TSV;
    if (ends_in(path, ".jsonl") || ends_in(path, ".ndjson")) return SQZ_ROWS_JSONL;
    return SQZ_ROWS_LINES;
}
